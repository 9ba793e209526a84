"""Pure functions on arrays: estimates and their intervals, tests, rank correlation."""

"""How data frames are written: one description of a table, its forms, and a module a topic."""

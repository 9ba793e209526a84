"""Files from outside, read without running or building anything that they did not promise to hold."""

"""How data frames are drawn: one look for all pictures, and a module a kind of picture."""

"""How data frames are drawn: one look for all pictures, and a module a kind of picture."""

from harness.base.matplotlib_import import load_matplotlib

load_matplotlib()  # before the modules here import it, and seaborn with it

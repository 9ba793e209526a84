"""How data frames are drawn: one look for all pictures, and a module a kind of picture."""

import reports.drawing  # noqa: F401 (loads matplotlib as it shall be, before the modules here import it)

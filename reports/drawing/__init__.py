"""What all figures share: the type of a picture, the style, rows of points, boxes and bands."""

from harness.base.matplotlib_import import load_matplotlib

load_matplotlib()  # before the modules here and those of figures/ import it, and seaborn with it

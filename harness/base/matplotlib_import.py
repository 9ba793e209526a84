"""matplotlib without its user's surroundings: a notebook's back end, a style in a matplotlibrc file."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any


def load_matplotlib() -> ModuleType:
    """Return matplotlib, whatever back end the environment names: a notebook's is often not installed here."""
    named = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named
    return matplotlib


@contextmanager
def drawing_settings(settings: Mapping[str, Any]) -> Iterator[None]:
    """Draw what is drawn inside with these settings and matplotlib's own, and with none of its user's."""
    matplotlib = load_matplotlib()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield

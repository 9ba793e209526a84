"""matplotlib without its user's surroundings: a notebook's back end, a style in a matplotlibrc file."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any


def load_matplotlib() -> ModuleType:
    """Return matplotlib, whatever the environment, a matplotlibrc file or a folder of styles name.

    The back end that a notebook names is often not installed here, and a file that is no UTF-8 ends the import.
    """
    if "matplotlib" in sys.modules:
        return sys.modules["matplotlib"]
    with _no_matplotlibrc():
        import matplotlib
    folder = matplotlib.get_configdir()
    if Path(folder, "stylelib").is_dir():
        from unittest.mock import patch

        with patch.object(matplotlib, "get_configdir", return_value=os.devnull):
            import matplotlib.style  # reads all styles of the user
    return matplotlib


@contextmanager
def _no_matplotlibrc() -> Iterator[None]:
    names = ("MPLBACKEND", "MATPLOTLIBRC")
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ["MATPLOTLIBRC"] = os.devnull
    # One in the current folder comes before the one that the environment names.
    elsewhere = chdir(Path(os.devnull).parent) if os.path.lexists("matplotlibrc") else nullcontext()
    try:
        with elsewhere:
            yield
    finally:
        del os.environ["MATPLOTLIBRC"]
        os.environ.update(kept)


@contextmanager
def drawing_settings(settings: Mapping[str, Any]) -> Iterator[None]:
    """Draw what is drawn inside with these settings and matplotlib's own, and with none of its user's."""
    matplotlib = load_matplotlib()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield

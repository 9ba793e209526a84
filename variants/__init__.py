"""The search methods, one file each; a file states only its difference from DARTS.

In the folder of a board that lies outside the project, the files in its own `variants` are modules of this package too.
"""

from pathlib import Path

_OWN = Path("variants").absolute()
if Path("params.yaml").is_file() and not Path("harness").exists() and _OWN.is_dir():
    __path__.append(str(_OWN))

"""DVC stage `theory`: what theory says of the relaxation and of its gradients, measured on small problems.

It depends on no setting and no search, so it runs once. `python -m pipelines.theory small` measures less.
"""

import sys
from pathlib import Path

from harness.theory.study import SMALL, Sizes, write_theory
from pipelines import stage

THEORY = Path("data/theory")


@stage
def main(sizes: Sizes) -> None:
    """Measure and write data/theory/."""
    write_theory(THEORY, sizes)
    print(f"{THEORY}: {sizes.cells} cells, {sizes.networks} networks")


if __name__ == "__main__":
    main(SMALL if sys.argv[1:] == ["small"] else Sizes())

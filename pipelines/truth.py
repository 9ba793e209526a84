"""DVC stage `truth`: import the true accuracies that params.yaml names into data/truth.parquet."""

from harness.settings.protocol import load_board
from harness.truth.sources import import_truth
from pipelines import stage


@stage
def main() -> None:
    """Import and say what there is."""
    truth = import_truth(load_board().truth)
    print(f"{truth.provenance.cells:,} cells from {truth.provenance.file}: {'; '.join(map(str, truth.columns()))}")


if __name__ == "__main__":
    main()

"""The runs of a board: run one, its state, its cost, joined with the truth, compared."""

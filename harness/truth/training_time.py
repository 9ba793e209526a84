"""What training and evaluating a cell costs where a truth table has no times: models of the benchmark's seconds."""

import numpy as np
from numpy.typing import NDArray

from harness.space.cell import CONV1, CONV3, OPERATIONS, POOL, SKIP, all_cells

MODEL_EPOCHS = 12
BENCHMARK_EPOCHS = 200
"""Length of the benchmark's full training, charged where a source does not state its own."""

SECONDS = {SKIP: -4.6, CONV1: 41.5, CONV3: 54.4, POOL: 19.6}
BASE_SECONDS = 86.1
"""Least squares over the 12-epoch times of 1,000 cells on the full CIFAR-10 training set, R^2 0.995."""

EVALUATION_SECONDS = {SKIP: -0.025, CONV1: 0.098, CONV3: 0.212, POOL: 0.069}
EVALUATION_BASE_SECONDS = 0.843
"""Least squares over what 1,000 cells take for 10,000 images, R^2 0.98; an image takes as long in all data sets."""

EVALUATED_IMAGES = {
    ("cifar10-valid", "valid"): 25_000,
    ("cifar10-valid", "test"): 10_000,
    ("cifar10", "test"): 10_000,
    **{("cifar100", split): images for split, images in (("valid", 5_000), ("test", 5_000), ("valtest", 10_000))},
    **{("ImageNet16-120", split): images for split, images in (("valid", 3_000), ("test", 3_000), ("valtest", 6_000))},
}
DATA_SET_FACTORS = {"cifar10-valid": 0.5, "cifar10": 1.0, "cifar100": 1.0, "ImageNet16-120": 3.034}


def model_seconds(data_set: str, epochs: int | None) -> NDArray[np.float64]:
    """Return the modelled training time of every cell by official index, seconds, [15625].

    The time is linear in the counts of the operations and in the epochs. Of the 1,000 cells it misses by 4 s on average
    (root mean square) where they take 218 s.
    """
    share = DATA_SET_FACTORS[data_set] * (epochs or BENCHMARK_EPOCHS) / MODEL_EPOCHS
    return share * _by_operations(BASE_SECONDS, SECONDS)


def model_evaluation_seconds(data_set: str, split: str) -> NDArray[np.float64]:
    """Return the modelled time of one evaluation of every cell on a split by official index, seconds, [15625].

    The time is linear in the counts of the operations and in the images.
    """
    return EVALUATED_IMAGES[data_set, split] / 10_000 * _by_operations(EVALUATION_BASE_SECONDS, EVALUATION_SECONDS)


def _by_operations(base: float, seconds: dict[str, float]) -> NDArray[np.float64]:
    counts = np.array([[cell.operations.count(operation) for operation in OPERATIONS] for cell in all_cells()])
    return base + counts @ np.array([seconds.get(operation, 0.0) for operation in OPERATIONS])

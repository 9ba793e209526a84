"""What theory says of the relaxation and of its gradients, measured on small problems and written as tables."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from harness.base.files import whole_folder
from harness.base.parquet import write_parquet
from harness.base.processes import map_in_processes, usable_cores
from harness.theory import bias, expressivity, supernet, zeroth_order
from harness.theory.quadratic import Quadratic


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    cells: int = 60
    logit_gaps: tuple[float, ...] = tuple(range(0, 41, 2))
    step_shares: tuple[float, ...] = (0.03, 0.3, 1.0)
    """Inner step sizes on the quadratic problem, as shares of 1 / largest curvature."""
    inner_steps: tuple[float, ...] = (0, 1, 3, 10, 30, 100, 300, 1000, math.inf)
    terms: tuple[int, ...] = (2, 10, 50)
    """K of the Neumann series."""
    direction_sets: int = 2
    """Sets of 30 orthonormal directions for the zeroth-order estimates."""
    networks: int = 3
    network_step_shares: tuple[float, ...] = (0.1, 1.0)
    network_inner_steps: tuple[float, ...] = (0, 10, 100, math.inf)
    network_terms: tuple[int, ...] = (2, 10)
    network_directions: int = 30
    """Of one set of 30 orthonormal directions, on one network."""
    twin_directions: int = 4
    """Of the same, on a network of a search's width."""
    twin_mus: tuple[float, ...] = (1e-2, 1e-4, 1e-8)
    """How far along its direction a twin's alpha lies."""


SMALL = Sizes(
    cells=6,
    logit_gaps=(0, 8, 16, 24, 40),
    step_shares=(0.3, 1.0),
    inner_steps=(0, 10, math.inf),
    terms=(2, 50),
    direction_sets=1,
    networks=1,
    network_step_shares=(1.0,),
    network_inner_steps=(0, 3, math.inf),
    network_terms=(2,),
    network_directions=2,
    twin_directions=2,
    twin_mus=(1e-2, 1e-8),
)
"""For tests: the same files in seconds."""


QUADRATIC, SUPERNET, TWINS = "quadratic", "supernet", "twins over mu"
TOY_WEIGHTS, TOY_ALPHAS, TOY_COUPLING = 60, 30, 0.3
Frames = dict[str, pd.DataFrame]
Part = Callable[[Sizes], Frames]


def limits_of_cells(sizes: Sizes) -> Frames:
    """Measure how fast the supernet tends to discrete cells."""
    measured = expressivity.distances(expressivity.drawn_cells(sizes.cells), sizes.logit_gaps)
    return {
        "distances": measured,
        "fits": expressivity.fits(measured),
        "underflow": expressivity.underflow(),
    }


def on_quadratic(sizes: Sizes) -> Frames:
    """Compare the estimators with the exact hyper-gradient on the quadratic problem."""
    toy = Quadratic(TOY_WEIGHTS, TOY_ALPHAS, coupling=TOY_COUPLING)
    reference = bias.ToyReference(toy)
    points = bias.trajectory(reference, sizes.step_shares, sizes.inner_steps)
    directions = bias.orthonormal_directions(reference.alpha.numel(), sizes.direction_sets)
    found = [
        bias.compare_gradients(reference, points, sizes.terms),
        bias.compare_zeroth_order(reference, points, directions),
    ]
    terms = bias.with_bounds(bias.error_terms(reference, points), toy)
    named = [frame.assign(problem=QUADRATIC, network=0) for frame in (*found, terms)]
    return {"estimates": pd.concat(named[:-1], ignore_index=True), "terms": named[-1]}


def on_network(network: int, sizes: Sizes) -> Frames:
    """Compare the estimators with the exact hyper-gradient on a supernet."""
    reference = supernet.SupernetReference(supernet.SupernetProblem(network))
    points = bias.trajectory(reference, sizes.network_step_shares, sizes.network_inner_steps)
    estimates = [bias.compare_gradients(reference, points, sizes.network_terms)]
    if network == 0:
        # A twin for each of 30 directions is dear, so one network and one point have to do.
        directions = bias.orthonormal_directions(reference.alpha.numel(), sets=1)[: sizes.network_directions]
        estimates.append(bias.compare_zeroth_order(reference, points[-1:], directions))
    frames = {
        "estimates": pd.concat(estimates, ignore_index=True),
        "terms": bias.error_terms(reference, points),
        "solutions": pd.DataFrame([asdict(supernet.solved_facts(reference))]),
    }
    return {name: frame.assign(problem=SUPERNET, network=network) for name, frame in frames.items()}


def twins(sizes: Sizes) -> Frames:
    """Measure how near a twin must stand."""
    problem = supernet.SupernetProblem(
        0,
        channels=zeroth_order.CHANNELS,
        alpha_sd=zeroth_order.ALPHA_SD,
        pretraining=zeroth_order.PRETRAINING,
    )
    directions = bias.orthonormal_directions(problem.alpha.numel(), sets=1)[: sizes.twin_directions]
    return {"twins": zeroth_order.slopes_over_mu(problem, directions, sizes.twin_mus)}


def setup(sizes: Sizes) -> Frames:
    """List the constants of the measurements, so that a reader of the numbers has them."""
    limits, nets = expressivity, supernet
    constants = {
        ("cells", "channels of the first stage"): limits.SHAPE.channels,
        ("cells", "cells a stage"): limits.SHAPE.cells_per_stage,
        ("cells", "drawn images"): limits.IMAGES,
        ("cells", "drawn cells"): sizes.cells,
        ("cells", "epsilon of batch norm"): limits.batch_norm_epsilon(),
        ("cells", "fit from logit gap"): limits.FIT[0],
        ("cells", "fit to logit gap"): limits.FIT[1],
        ("cells", "distance that counts as reached"): limits.SMALL,
        (QUADRATIC, "weights"): TOY_WEIGHTS,
        (QUADRATIC, "architecture parameters"): TOY_ALPHAS,
        (QUADRATIC, "scale of D"): TOY_COUPLING,
        (QUADRATIC, "sets of orthonormal directions"): sizes.direction_sets,
        ("zeroth order", "steps of a twin"): bias.TWIN_STEPS,
        ("zeroth order", "mu"): bias.MU,
        (TWINS, "channels of the first stage"): zeroth_order.CHANNELS,
        (TWINS, "images of each half"): 10 * nets.IMAGES_PER_CLASS,
        (TWINS, "sd of alpha"): zeroth_order.ALPHA_SD,
        (TWINS, "steps before the start"): zeroth_order.PRETRAINING,
        (TWINS, "steps of a twin"): zeroth_order.STEPS,
        (TWINS, "learning rate"): nets.PRETRAINING_LR,
        (TWINS, "momentum"): zeroth_order.MOMENTUM,
        (TWINS, "weight decay"): nets.WEIGHT_DECAY,
        (TWINS, "directions"): sizes.twin_directions,
        (SUPERNET, "networks"): sizes.networks,
        (SUPERNET, "channels of the first stage"): nets.CHANNELS,
        (SUPERNET, "images of each half"): 10 * nets.IMAGES_PER_CLASS,
        (SUPERNET, "sd of alpha"): nets.ALPHA_SD,
        (SUPERNET, "weight decay"): nets.WEIGHT_DECAY,
        (SUPERNET, "damping"): nets.DAMPING,
        (SUPERNET, "sharpness of softplus"): nets.SHARPNESS,
        (SUPERNET, "steps before the start"): nets.PRETRAINING,
        (SUPERNET, "tolerance of conjugate gradients"): nets.CG_TOLERANCE,
        (SUPERNET, "alpha's move in the finite difference"): nets.PROBE,
    }
    rows = [(part, quantity, float(value)) for (part, quantity), value in constants.items()]
    return {"setup": pd.DataFrame(rows, columns=["part", "quantity", "value"])}


def measured(sizes: Sizes) -> Frames:
    """Measure everything, in as many processes as there are cores; return each frame under its name."""
    networks = [partial(on_network, network) for network in range(sizes.networks)]
    parts: list[Part] = [setup, limits_of_cells, on_quadratic, *networks, twins]
    # The first network has the most to do, and the twins come next.
    by_length = sorted(range(len(parts)), key=lambda number: parts[number] not in (*networks[:1], twins))
    processes = usable_cores() if sizes.networks > 1 and usable_cores() > 1 else 0
    found = map_in_processes(partial(_measured, sizes), [parts[number] for number in by_length], processes)
    of_parts = dict(zip(by_length, found, strict=True))
    frames: dict[str, list[pd.DataFrame]] = {}
    for number in range(len(parts)):
        for name, frame in of_parts[number].items():
            frames.setdefault(name, []).append(frame)
    return {name: pd.concat(of_name, ignore_index=True) for name, of_name in frames.items()}


def _measured(sizes: Sizes, part: Part) -> Frames:
    torch.set_num_threads(1)
    return part(sizes)


def write_theory(folder: Path, sizes: Sizes) -> None:
    """Measure everything and write one Parquet file a frame; the folder appears whole."""
    with whole_folder(folder) as staging:
        for name, frame in measured(sizes).items():
            write_parquet(frame, staging / f"{name}.parquet")

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from harness.networks.supernet import Controls
from harness.search.variant import Phase
from harness.space.cell import EDGES
from harness.testing import tiny_search
from tests.variants.searches import assert_resumes
from variants.darts import Darts
from variants.edge_dropout import EdgeDropout, keep_probability, kept_edges, without_skip

SKIP = 1
OTHERS = [0, 2, 3, 4]
Q = 0.3


def drawn(settings, phase=Phase.WEIGHTS, steps=2000):
    """Op weights of many steps at a spread-out alpha, [steps, 6, 5], and that alpha."""
    search = tiny_search(EdgeDropout, {"probability": Q, **settings}, precision="float64", alpha__init_scale=1.0)
    alpha = search.architecture["alpha"].detach()
    found = [search.variant.op_weights({"alpha": alpha}, search.moment(phase, step)) for step in range(steps)]
    return torch.stack(found), alpha


def test_a_masked_edge_renormalises_over_the_other_operations() -> None:
    found, alpha = drawn({})
    plain, masked = torch.softmax(alpha, dim=-1), torch.softmax(alpha[:, OTHERS], dim=-1)
    assert torch.allclose(found.sum(dim=-1), torch.ones(1, dtype=torch.float64))
    without = found[:, :, SKIP] == 0
    assert float(without.double().mean()) == pytest.approx(Q, abs=0.015)
    assert torch.allclose(found[without][:, OTHERS], masked.expand(len(found), 6, 4)[without])
    assert torch.allclose(found[~without], plain.expand(len(found), 6, 5)[~without])
    assert np.abs(np.corrcoef(without.double().T.numpy()) - np.eye(6)).max() < 0.1


def test_cells_are_derived_from_the_mean_over_all_masks() -> None:
    search = tiny_search(EdgeDropout, {"probability": Q}, precision="float64", alpha__init_scale=1.0)
    alpha = search.architecture["alpha"].detach()
    mean = torch.zeros(6, 5, dtype=torch.float64)
    for mask in itertools.product((False, True), repeat=6):
        probability = np.prod([Q if one else 1 - Q for one in mask])
        logits = alpha.clone()
        logits[list(mask), SKIP] = -torch.inf
        mean += probability * torch.softmax(logits, dim=-1)
    assert search.derived_op_weights() == pytest.approx(mean.numpy())


def test_gradients_are_finite_and_a_masked_skip_has_none() -> None:
    search = tiny_search(EdgeDropout, {"probability": 0.5})
    alpha = search.architecture["alpha"]
    op_weights = search.variant.op_weights({"alpha": alpha}, search.moment(Phase.ALPHA))
    (gradient,) = torch.autograd.grad((op_weights * torch.randn(6, 5)).sum(), alpha)
    masked = op_weights[:, SKIP] == 0
    assert masked.any()
    assert not masked.all()
    assert gradient.isfinite().all()
    assert (gradient[masked, SKIP] == 0).all()
    assert (gradient[~masked, SKIP] != 0).all()


@pytest.mark.parametrize("mode", ["skip_mask", "seed_single_path"])
def test_passes_of_a_step_agree_and_steps_differ(mode) -> None:
    search = tiny_search(EdgeDropout, {"mode": mode, "probability": 0.5})
    architecture = {name: value.detach() for name, value in search.architecture.items()}

    def at(step):
        return search.variant.op_weights(architecture, search.moment(Phase.WEIGHTS, step))

    first = at(0)
    search.variant.op_weights(architecture, search.moment(Phase.ALPHA, 0))
    assert torch.equal(at(0), first)
    assert any(not torch.equal(at(step), first) for step in range(1, 5))


def test_dropping_edges_keeps_one_edge_a_node_and_the_mean_output() -> None:
    random = np.random.default_rng(0)
    draws = np.array([kept_edges(random, Q) for _ in range(20000)])
    for target in (1, 2, 3):
        incoming = [edge for edge, (_, end) in enumerate(EDGES) if end == target]
        assert draws[:, incoming].any(axis=1).all()
    # By enumeration: independent edges, and an equal share for each edge of an empty node.
    exact = np.zeros(6)
    for pattern in itertools.product((False, True), repeat=6):
        kept = np.array(pattern, dtype=float)
        for target in (1, 2, 3):
            incoming = [edge for edge, (_, end) in enumerate(EDGES) if end == target]
            if not kept[incoming].any():
                kept[incoming] = 1 / len(incoming)
        exact += np.prod([1 - Q if one else Q for one in pattern]) * kept
    assert keep_probability(Q) == pytest.approx(exact)
    assert draws.mean(axis=0) == pytest.approx(exact, abs=0.015)


def test_dropped_edges_have_a_factor_whose_mean_is_one() -> None:
    search = tiny_search(EdgeDropout, {"mode": "drop_edge", "probability": Q})
    factors = torch.stack(
        [search.variant.controls(search.architecture, search.moment(Phase.WEIGHTS)).edge_weights for _ in range(5000)]
    )
    assert factors.mean(dim=0).numpy() == pytest.approx(np.ones(6), abs=0.05)
    assert (factors[:, 0] == 1).all()  # the only edge into node 1
    assert (factors[:, 3] == 0).any()
    assert search.variant.controls(search.architecture, search.moment(Phase.DERIVE)) == Controls()
    plain = torch.softmax(search.architecture["alpha"].detach(), dim=-1)
    assert torch.equal(search.variant.op_weights(search.architecture, search.moment(Phase.WEIGHTS)).detach(), plain)


def test_a_single_path_is_the_argmax_or_a_draw_without_skip() -> None:
    found, alpha = drawn({"mode": "seed_single_path"}, steps=6000)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert (found.sum(dim=-1) == 1).all()
    best = torch.nn.functional.one_hot(alpha.argmax(dim=-1), 5)
    expected = (1 - Q) * best + Q * without_skip(alpha)
    assert torch.allclose(found.mean(dim=0), expected, atol=0.025)
    mixture, alpha = drawn({"mode": "seed_single_path"}, phase=Phase.ALPHA, steps=3)
    assert torch.allclose(mixture, torch.softmax(alpha, dim=-1).expand(3, 6, 5))


def test_a_single_path_computes_its_operations_alone() -> None:
    search = tiny_search(EdgeDropout, {"mode": "seed_single_path", "probability": 0.5})
    moment = search.moment(Phase.WEIGHTS)
    active = search.variant.controls(search.architecture, moment).active
    chosen = search.variant.op_weights(search.architecture, moment).argmax(dim=-1)
    assert [row.index(True) for row in active] == chosen.tolist()
    assert Counter(sum(active, ()))[True] == 6
    assert search.variant.controls(search.architecture, search.moment(Phase.ALPHA)).active is None


@pytest.mark.parametrize("mode", ["skip_mask", "drop_edge"])
def test_without_dropout_it_is_darts(mode) -> None:
    one, other = tiny_search(EdgeDropout, {"mode": mode, "probability": 0.0}), tiny_search(Darts)
    one.run_epoch()
    other.run_epoch()
    assert torch.allclose(one.architecture["alpha"], other.architecture["alpha"], atol=1e-6)


@pytest.mark.parametrize("mode", ["skip_mask", "drop_edge", "seed_single_path"])
def test_a_resumed_search_is_the_same_search(mode) -> None:
    assert_resumes(EdgeDropout, mode=mode)

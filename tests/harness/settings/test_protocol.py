import copy
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from harness.base.errors import UserError
from harness.settings import protocol
from harness.settings.protocol import Board, Protocol, load_board
from harness.settings.validation import canonical_json, content_hash, validate
from harness.space.cell import OPERATIONS
from harness.testing import TINY_PROTOCOL
from tests.conftest import ROOT, tiny_params


def changed(path: str, value: Any) -> dict[str, Any]:
    content = copy.deepcopy(tiny_params())
    section = content
    *parts, last = path.split(".")
    for part in parts:
        section = section[part]
    section[last] = value
    return content


def test_the_projects_own_params_are_valid_and_hold_the_named_protocols() -> None:
    board = load_board(ROOT / "params.yaml")
    assert set(board.protocols) == {
        "quick",
        "small-cifar",
        "nas-bench-201",
        "nats-bench",
        "drnas",
        "gdas",
        "lambda-darts",
        "gaea",
    }
    paper = board.protocols["nas-bench-201"]
    assert (paper.epochs, paper.batch_size, paper.weights.weight_decay) == (50, 64, 5e-4)
    assert (paper.network.channels, paper.network.cells_per_stage, paper.alpha.betas) == (16, 5, (0.5, 0.999))
    drnas = board.protocols["drnas"]
    assert (drnas.epochs, drnas.weights.nesterov, drnas.weights.weight_decay) == (100, False, 3e-4)


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text().replace("lr: 0.025", "lr: 25e-3")
    (tmp_path / "params.yaml").write_text(text)
    assert load_board(tmp_path / "params.yaml").chosen.weights.lr == 0.025


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("protocols.tiny.epoch", 3, "unknown key 'protocols.tiny.epoch', did you mean 'epochs'?"),
        (
            "protocols.tiny.weights.momentun",
            0.9,
            "unknown key 'protocols.tiny.weights.momentun', did you mean 'momentum'?",
        ),
        ("protocols.tiny.operations", [], "protocols.tiny.operations: expected at least two operations to choose from"),
        ("protocols.tiny.operations", ["none"], "expected at least two operations to choose from, not 1"),
        (
            "protocols.tiny.operations",
            ["skip_conect", "none"],
            "'skip_conect' is no operation, did you mean 'skip_connect'?",
        ),
        ("protocols.tiny.operations", ["none", "none"], "protocols.tiny.operations: none stands there 2 times"),
        ("protocols.tiny.data.split", {"kind": "same", "file": "a.json"}, "split.file belongs to split.kind 'file'"),
        ("sedes", [1], "unknown key 'sedes', did you mean 'seeds'?"),
        ("protocols.tiny.epochs", "many", "protocols.tiny.epochs: expected a number, not 'many'"),
        ("protocols.tiny.epochs", 0, "protocols.tiny.epochs: input should be greater than or equal to 1, not 0"),
        ("protocols.tiny.epochs", True, "protocols.tiny.epochs: expected a number, not True"),
        ("protocols.tiny.order", "both", "protocols.tiny.order: input should be 'alpha-then-weights'"),
        ("protocols.tiny.data.image_size", 9, "protocols.tiny.data.image_size: input should be a multiple of 4, not 9"),
        ("protocol", "tinny", "there is no protocol 'tinny', did you mean 'tiny'?"),
        ("seeds", [1, 1], "seeds: expected distinct numbers from 0 up"),
        ("seeds", [0, 2**63], f"seeds: expected distinct numbers from 0 up to {2**63 - 1}"),
        ("protocols.tiny.weights.lr", True, "protocols.tiny.weights.lr: expected a number, not True"),
        ("protocols.tiny.weights.lr", "0.1", "protocols.tiny.weights.lr: expected a number, not '0.1'"),
        ("protocols.tiny.weights.clip", False, "protocols.tiny.weights.clip: expected a number, not False"),
        ("protocols.tiny.weights.lr", 1e308, "protocols.tiny.weights.lr: input should be less than or equal to 1000"),
        ("protocols.tiny.weights.lr_min", 5.0, "protocols.tiny.weights: lr_min: expected at most lr, 0.025"),
        ("protocols.tiny.weights.momentum", 0, "protocols.tiny.weights: nesterov: expected false where momentum is 0"),
        (
            "protocols.tiny.weights.weight_decay",
            1e300,
            "protocols.tiny.weights.weight_decay: input should be less",
        ),
        (
            "protocols.tiny.alpha.betas",
            [0.5, 1.5],
            "protocols.tiny.alpha.betas.1: input should be less than 1",
        ),
        (
            "protocols.tiny.alpha.betas",
            [-1, 0.9],
            "protocols.tiny.alpha.betas.0: input should be greater",
        ),
        ("protocols.tiny.alpha.betas", [True, 0.9], "protocols.tiny.alpha.betas: expected numbers, not True"),
        ("protocols.tiny.alpha.init_scale", 1e308, "protocols.tiny.alpha.init_scale: input should be less than"),
        ("protocols.tiny.data.cutout", 9, "protocols.tiny.data: cutout: expected at most the 8 pixels of image_size"),
        ("protocols.tiny.data.crop_padding", 10**5, "protocols.tiny.data: crop_padding: expected at most the 8 pixels"),
        ("protocols.tiny.derivation.draws", 10**9, "protocols.tiny.derivation.draws: input should be less than"),
        ("protocols.tiny.threads", 10**6, "protocols.tiny.threads: input should be less than or equal to 1024"),
        ("protocols.lr0;5", {}, "the key 'protocols.lr0;5.data' is missing"),
        ("seeds", [], "seeds: tuple should have at least 1 item"),
        ("seeds", [1.5], "params.yaml: seeds.0: input should be a valid integer, not 1.5"),
        ("baselines.darts", {}, "baselines: 'darts' stands under variants too"),
        ("variants", "all", "variants: the names that stand here become stages of DVC, and `dartsboard use boards/"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_place(path: str, value: Any, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        validate(Board, changed(path, value), where="params.yaml")
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("params.yaml: ")
    assert "\n" not in str(caught.value) and "1 more" not in str(caught.value)


def test_a_board_without_any_method_is_refused() -> None:
    with pytest.raises(UserError, match="variants: expected at least one method there or under baselines"):
        validate(Board, tiny_params(variants={}, baselines={}), where="params.yaml")


def test_a_missing_key_is_named() -> None:
    content = tiny_params()
    del content["protocols"]["tiny"]["weights"]["lr"]
    with pytest.raises(UserError, match=r"the key 'protocols\.tiny\.weights\.lr' is missing"):
        validate(Board, content, where="params.yaml")


@pytest.mark.parametrize(
    "text",
    ["", "- 1\n- 2\n", "a: [", "\x00", "a: 2001-99-99", "a: " + "[" * 1000, "a: " + "9" * 5000, "? [1]\n: 2"],
)
def test_what_is_no_params_file_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"params\.yaml") as caught:
        load_board(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def leaves(model: type[BaseModel], content: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in content.items():
        found += leaves(model, value, (*path, key)) if isinstance(value, dict) else [(*path, key)]
    return found


junk = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=3)
)


@given(st.sampled_from(leaves(Protocol, TINY_PROTOCOL)), junk)
@example(("weights", "weight_decay"), math.inf)
def test_any_value_is_accepted_or_refused_in_one_sentence(path: tuple[str, ...], value: Any) -> None:
    content = copy.deepcopy(TINY_PROTOCOL)
    section = content
    for part in path[:-1]:
        section = section[part]
    section[path[-1]] = value
    try:
        accepted = validate(Protocol, content, where="params.yaml")
    except UserError as error:
        assert "\n" not in str(error)
        return
    # What is accepted has one canonical text, and reads back as itself.
    plain = accepted.model_dump(mode="json")
    assert Protocol.model_validate(plain) == accepted
    assert content_hash(plain) == content_hash(dict(reversed(plain.items())))


def test_canonical_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": float("nan")})


@pytest.mark.parametrize("key", ["a\nb", "x" * 10_000])
def test_a_sentence_stays_short_and_on_one_line(key: str) -> None:
    content = changed(f"protocols.{key}", {"epochs": "y" * 10_000})
    with pytest.raises(UserError) as caught:
        validate(Board, content, where="params.yaml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2500


def test_three_protocols_are_those_that_methods_were_published_with() -> None:
    protocols = load_board(ROOT / "params.yaml").protocols
    paper, gdas, aligned, gaea = (protocols[name] for name in ("nas-bench-201", "gdas", "lambda-darts", "gaea"))
    assert gdas == paper.model_copy(update={"epochs": 250})
    assert (aligned.epochs, aligned.alpha.lr, aligned.weights.weight_decay) == (100, 1e-4, 3e-4)
    assert (gaea.epochs, gaea.network.channels, gaea.data.split.kind) == (25, 24, "same")
    assert gaea.operations == OPERATIONS[1:] and gaea.order == "alpha-then-weights"


def test_the_operations_are_those_of_the_space_in_its_order() -> None:
    assert protocol.OPERATIONS == OPERATIONS
    chosen = validate(Protocol, {**TINY_PROTOCOL, "operations": ["avg_pool_3x3", "none"]}, where="params.yaml")
    assert chosen.operations == ("none", "avg_pool_3x3")


def settings_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        sections = isinstance(inner, type) and issubclass(inner, BaseModel) and name != "split"
        found += settings_of(inner, f"{name}.") if sections else [f"{prefix}{name}"]  # type: ignore[arg-type]
    return found


def test_a_page_explains_every_setting() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text()
    assert not [name for name in settings_of(Protocol) if f"`{name}`" not in page]

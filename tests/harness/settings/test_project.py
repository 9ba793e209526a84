from pathlib import Path

import pytest
from ruamel.yaml import YAML

from harness.base.errors import UserError
from harness.settings.project import add_variant, set_params
from tests.conftest import ROOT

ORIGINAL = """\
# What is compared.
seeds: [0, 1]

variants:
  darts: {}
  darts-2nd:
    radius: 0.01  # times the norm

# The truth.
truth:
  path: null
  long: {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8, i: 9, j: 10, k: 11, l: 12, m: 13, n: 14, o: 15}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def test_only_the_named_section_changes(tmp_path: Path) -> None:
    original = (ROOT / "params.yaml").read_text()
    path = written(tmp_path, original)
    set_params({"seeds": [5, 6], "truth": {"source": "analog-nasbench", "path": None}}, path)
    before, after = original.splitlines(), path.read_text().splitlines()
    old = next(line for line in before if line.startswith("seeds:"))
    position = before.index(old)
    assert after == [*before[:position], "seeds:", "- 5", "- 6", *before[position + 1 :]]


def test_a_key_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    path = written(tmp_path, ORIGINAL)
    set_params({"truth": {"path": "x", "long": {}}, "new": 1}, path)
    start = ORIGINAL.index("truth:")
    assert path.read_text() == ORIGINAL[:start] + "truth:\n  path: x\n  long: {}\nnew: 1\n"


def test_a_variant_is_added_below_the_others_and_comments_stay_in_their_places(tmp_path: Path) -> None:
    path = written(tmp_path, ORIGINAL)
    add_variant("mine", {"strength": 0.5}, path)
    add_variant("bare", {}, path)
    before = "    radius: 0.01  # times the norm\n"
    assert path.read_text() == ORIGINAL.replace(before, before + "  mine: {strength: 0.5}\n  bare: {}\n")


def test_a_variant_is_added_to_the_projects_own_file(tmp_path: Path) -> None:
    original = (ROOT / "params.yaml").read_text()
    path = written(tmp_path, original)
    add_variant("mine", {"strength": 0.5}, path)
    assert path.read_text().replace("  mine: {strength: 0.5}\n", "", 1) == original
    assert list(YAML(typ="safe").load(path.read_text())["variants"])[-1] == "mine"


@pytest.mark.parametrize(
    "variants",
    [
        "variants: {}",
        "variants: {darts: {}}",
        "variants: {darts: {},\n  other: {}\n}",
        "variants:\n  darts:",
        "variants:\n    darts: {}  # plain\n    # A remark.",
        "variants:\n  darts:\n    {a: 1,\n     b: 2}",
    ],
)
def test_a_variant_is_added_however_the_others_are_written(tmp_path: Path, variants: str) -> None:
    path = written(tmp_path, f"first: 1\n{variants}\n# Below.\ntruth: 1\n")
    before = YAML(typ="safe").load(path.read_text())
    try:
        add_variant("mine", {"strength": 0.5}, path)
    except UserError as error:
        assert "edit it by hand" in str(error)
        assert "other" in variants
        assert path.read_text() == f"first: 1\n{variants}\n# Below.\ntruth: 1\n"
        return
    assert YAML(typ="safe").load(path.read_text()) == {
        **before,
        "variants": {**before["variants"], "mine": {"strength": 0.5}},
    }
    assert path.read_text().startswith("first: 1\nvariants:\n")
    assert path.read_text().endswith("# Below.\ntruth: 1\n")


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing: run dartsboard in the project's folder"):
        set_params({}, tmp_path / "params.yaml")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["a: [1", "- 1", "", "seeds: 2001-99-99"])
def test_what_is_no_params_file_is_one_sentence_and_stays(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    for change in (lambda: set_params({"truth": {}}, path), lambda: add_variant("x", {}, path)):
        with pytest.raises(UserError) as caught:
            change()
        assert "\n" not in str(caught.value)
        assert path.read_text() == text


def test_variants_that_are_no_mapping_are_told(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("variants: [1]")
    with pytest.raises(UserError, match="variants is no mapping of names to settings"):
        add_variant("x", {}, path)


def test_aliases_that_stand_for_more_than_anybody_can_compare(tmp_path: Path) -> None:
    levels = [f"b{level}: &b{level} [{', '.join([f'*b{level - 1}' if level else 'x'] * 9)}]" for level in range(30)]
    path = tmp_path / "params.yaml"
    path.write_text("\n".join([*levels, "c: &c [*c]"]) + "\n")
    set_params({"truth": {"source": "x"}}, path)
    assert path.read_text().endswith("truth:\n  source: x\n")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_end_as_they_did(tmp_path: Path, end: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("truth: {a: 1}  # é\nvariants:\n  darts: {}\n", encoding="utf-8", newline=end)
    set_params({"truth": {"source": "x"}}, path)
    add_variant("mine", {}, path)
    expected = "truth:\n  source: x\nvariants:\n  darts: {}\n  mine: {}\n"
    assert path.read_bytes() == expected.replace("\n", end).encode()


def test_lines_of_one_file_that_end_in_two_ways_keep_them(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(b"truth: {a: 1}\r\nseeds: [0]\nvariants:\r\n  darts: {}\n\n# the end\n")
    add_variant("mine", {}, path)
    assert path.read_bytes() == (b"truth: {a: 1}\r\nseeds: [0]\nvariants:\r\n  darts: {}\n  mine: {}\r\n\n# the end\n")


def test_a_link_stays_one_and_the_file_may_be_read_and_written_by_whom_it_was(tmp_path: Path) -> None:
    own, link = tmp_path / "own.yaml", tmp_path / "params.yaml"
    own.write_text("seeds: [0]\n")
    own.chmod(0o660)
    link.symlink_to(own.name)
    set_params({"seeds": [1]}, link)
    assert link.is_symlink()
    assert own.read_text() == "seeds:\n- 1\n"
    assert own.stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize("in_a_line", [True, False])
@pytest.mark.parametrize(
    ("value", "written_as"), [("darts", "darts"), (None, "null"), (3, "3"), ("1", "'1'"), ({}, "{}")]
)
def test_a_key_without_a_mapping_keeps_a_line_of_its_own(
    tmp_path: Path, value: object, written_as: str, in_a_line: bool
) -> None:
    path = written(tmp_path, "protocol: drnas\nseeds: [0]\n")
    set_params({"protocol": value}, path, innermost_in_a_line=in_a_line)
    assert path.read_text() == f"protocol: {written_as}\nseeds: [0]\n"

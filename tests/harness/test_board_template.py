"""What `dartsboard init` makes a board of: the project's own stages and settings, as a board elsewhere has them.

    python -m tests.harness.test_board_template

writes stages.yaml and params.yaml of the template anew.
"""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from harness.base.source_tree import TEMPLATE
from harness.settings.project import set_params
from tests.conftest import ROOT

MADE = ("data", "runs", "results", ".dartsboard")
"""Where stages find what others made."""

DEPENDENCIES = re.compile(r"^    deps:(?: .*\n|\n(?:      .*\n)+)", re.MULTILINE)
LINE = 120

SAID_OTHERWISE = {
    "through files.\n": "through files.\n"
    "# The code is that of the installed Dartsboard. Of what a stage names below `meta`, the stage `code` writes a\n"
    "# version, and the stage depends on that: so another release makes stale what it changed, and nothing else.\n",
    "desc: what the files hold by now that": "desc: what the installed code is by now, and what the files hold that",
    "desc: the version of each method's code": "desc: the version of each method's code, and of each stage's",
    "pipelines/plots/": "plots/",
    "panels for DVC: docs/dvc.md.": "panels for DVC.",
}

METHODS = {"variants": ("darts", "pc-darts", "drnas"), "baselines": ("random-search",)}
"""Three searches and a baseline, which take minutes."""

SAID_OF_SETTINGS = {
    "Switch the protocol by its name; every setting is explained in\n# docs/protocol.md and the pages that it names.": (
        "`dartsboard variants` lists the methods that may\n"
        "# stand here; docs/protocol.md of Dartsboard explains every setting."
    ),
    "that somebody measured: docs/truth.md.": "that somebody measured: docs/truth.md of Dartsboard.",
    "with its settings. Each is explained in docs/variants/. These show every family;\n"
    "# `dartsboard use boards/all-methods.yaml` puts all methods here.": (
        "with its settings; one that is not named here has the method's default."
    ),
}


def yaml(text: str) -> Any:
    return YAML(typ="safe").load(text)


def said_otherwise(text: str, changes: dict[str, str]) -> str:
    for before, after in changes.items():
        assert before in text, f"not in the project's own file any more: {before}"
        text = text.replace(before, after)
    return text


def of_a_board(name: str, stage: dict[str, Any]) -> dict[str, Any]:
    """A stage of the project's dvc.yaml as a board has it that lies elsewhere."""
    if name == "sources":
        return stage
    if name == "code":
        return {key: value for key, value in stage.items() if key != "deps"} | {"params": [{"sources.json": ["code"]}]}
    made = [one for one in stage["deps"] if one.split("/")[0] in MADE]
    code = [one for one in stage["deps"] if one not in made]
    if not code:
        return stage
    return stage | {"deps": [f"data/code/pipelines.{name}.json", *made], "meta": {"code": code}}


def text_of_a_board(name: str, text: str) -> str:
    """The lines of such a stage: dependencies on code become a part of `meta`, all else stays as it is written."""
    (stage,) = yaml(text).values()
    changed = of_a_board(name, stage)
    if name == "code":
        return DEPENDENCIES.sub("    params: [{sources.json: [code]}]\n", text)
    if changed == stage:
        return text
    code = changed["meta"]["code"]
    meta = f"    meta: {{code: [{', '.join(code)}]}}\n"
    if len(meta) > LINE:
        meta = "    meta:\n      code:\n" + "".join(f"        - {one}\n" for one in code)
    return DEPENDENCIES.sub(f"    deps: [{', '.join(changed['deps'])}]\n", text).rstrip("\n") + "\n" + meta + "\n"


def stages() -> str:
    """The stages of a board."""
    head, *parts, plots = re.split(r"^(?=  \w+:\n|# What `dvc)", (ROOT / "dvc.yaml").read_text(), flags=re.MULTILINE)
    parts = [text_of_a_board(part.partition(":")[0].strip(), part) for part in parts]
    return said_otherwise("".join([head, *parts, plots]), SAID_OTHERWISE)


def settings(scratch: Path) -> str:
    """The settings of a board; `scratch` is a file to write."""
    text = said_otherwise((ROOT / "params.yaml").read_text(), SAID_OF_SETTINGS)
    content = yaml(text)
    scratch.write_text(text)
    set_params({part: {name: content[part][name] for name in names} for part, names in METHODS.items()}, scratch, True)
    return scratch.read_text()


def test_its_stages_are_those_of_the_project() -> None:
    assert (TEMPLATE / "stages.yaml").read_text() == stages(), "python -m tests.harness.test_board_template writes it"
    of_template = yaml(stages())["stages"]
    own = yaml((ROOT / "dvc.yaml").read_text())["stages"]
    for content in (own, of_template):
        for name in ("sources", "code"):
            del content[name]["desc"]  # they do more there
    assert of_template == {name: of_a_board(name, stage) for name, stage in own.items()}


def test_its_settings_are_those_of_the_project(tmp_path: Path) -> None:
    written = (TEMPLATE / "params.yaml").read_text()
    assert written == settings(tmp_path / "params.yaml"), "python -m tests.harness.test_board_template writes it"


def test_it_ignores_what_the_project_ignores() -> None:
    def about_boards(path: Path) -> set[str]:
        return {line for line in path.read_text().splitlines() if line.startswith("/")} - {
            "/site/",
            "/build/",
            "/.cache/",
        }

    assert about_boards(TEMPLATE / "gitignore") == about_boards(ROOT / ".gitignore")
    assert (TEMPLATE / "dvcignore").read_text() == (ROOT / ".dvcignore").read_text()


if __name__ == "__main__":
    (TEMPLATE / "stages.yaml").write_text(stages())
    (TEMPLATE / "params.yaml").write_text(settings(TEMPLATE / "params.yaml"))

"""The beginning of a new variant: a file that runs as it is, its entry in params.yaml, its test and its page.

A board outside the project has no pages; there the test holds the variant to the contract too.
"""

import datetime
import keyword
import re
from contextlib import suppress
from pathlib import Path
from string import Template

import harness.api
from harness.base.errors import UserError, quoted
from harness.base.files import whole_file
from harness.base.source_tree import is_own_board
from harness.records.record import LONGEST_NAME, METHOD_NAME
from harness.search import registry
from harness.settings.project import add_variant
from harness.settings.protocol import load_board

VARIANT = Template('''"""$title: say in one sentence what differs from DARTS."""

import torch
from pydantic import Field
from torch import Tensor

from harness.api import Architecture, Moment, Variant


class $class_name(Variant):
    """Say how it works, and name the equation. This example divides alpha by a temperature before the softmax."""

    name = "$name"
    citation = "Unpublished, $year."
    axis = "op weights: a softmax with a temperature"
    family = "relaxation"

    class Settings(Variant.Settings):
        """Settings of the example."""

        temperature: float = Field(default=2.0, gt=0)
        """Divides alpha; 1 is DARTS, more is softer."""

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return softmax(alpha / temperature), [6, operations]."""
        return torch.softmax(architecture["alpha"] / self.settings.temperature, dim=-1)
''')

TEST = Template("""import torch

from harness.api import Phase
from harness.testing import $helpers
from variants.$module import $class_name


${contract}def test_the_temperature_takes_the_root_of_every_ratio() -> None:
    search = tiny_search($class_name, {"temperature": 2.0})
    alpha = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]).repeat(6, 1)
    found = search.variant.op_weights({"alpha": alpha}, search.moment(Phase.DERIVE))
    darts = torch.softmax(alpha, dim=1)
    assert torch.allclose(found[:, 1:] / found[:, :1], (darts[:, 1:] / darts[:, :1]).sqrt())
    assert torch.allclose(found.sum(dim=1), torch.ones(6))
""")

CONTRACT = Template("""class TestConformance(Conformance, package="variants.$module"): ...


""")
"""Where the project's own tests, which hold every method to it, are not at hand."""

PAGE = Template("""# $name

$title: say in one sentence what differs from DARTS.

> Unpublished, $year.

## Idea

Three sentences.

## Equations

- op weights: $$p_e = \\mathrm{softmax}(A_e / T)$$

## What differs from DARTS

The op weights only. A step costs 2 forward-backward passes.

## Departures from the paper

None.

## Settings

| name | default | meaning |
|---|---|---|
| `temperature` | 2.0 | $$T$$, divides alpha; 1 is DARTS, more is softer |

## Published on NAS-Bench-201

None found.

## Run it

    dartsboard search $name --seed 0
""")

SETTINGS = {"temperature": 2.0}
TAKEN = {"Field", "Tensor", "Conformance", "TestConformance", *harness.api.__all__}
"""Names that a method's file or its test may import."""


def new_variant(name: str) -> list[Path]:
    """Write the files of a new variant below the current folder, and return what was written.

    Raises:
        UserError: the name is taken or no name, this is not the project's folder, or a file cannot be written; then
            everything is as it was.
    """
    module = name.replace("-", "_")
    class_name = "".join(part.capitalize() for part in name.split("-"))
    _check_name(name, module, class_name)
    load_board()
    words = {
        "name": name,
        "module": module,
        "class_name": class_name,
        "title": name.replace("-", " ").capitalize(),
        "year": str(datetime.datetime.now(tz=datetime.UTC).year),
    }
    files = {Path("variants", f"{module}.py"): VARIANT}
    if is_own_board():
        words |= {"helpers": "Conformance, tiny_search", "contract": CONTRACT.substitute(words)}
        files[Path("tests", f"test_{module}.py")] = TEST
    else:
        words |= {"helpers": "tiny_search", "contract": ""}
        files |= {Path("tests", "variants", f"test_{module}.py"): TEST, Path("docs", "variants", f"{name}.md"): PAGE}
    for path in files:
        if path.exists():
            raise UserError(f"{path} exists already: choose another name")
        if not path.parent.is_dir():
            raise UserError(f"{path.parent} is missing: run dartsboard in the project's folder")
    try:
        for path, template in files.items():
            with whole_file(path) as staging:
                staging.write_text(template.substitute(words), encoding="utf-8")
        add_variant(name, SETTINGS)
    except UserError:
        for path in files:
            with suppress(OSError):  # it is not there, or its folder is read-only
                path.unlink()
        raise
    return [*files, Path("params.yaml")]


def _check_name(name: str, module: str, class_name: str) -> None:
    pattern = re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)
    if not pattern or not METHOD_NAME.fullmatch(name) or keyword.iskeyword(module):
        raise UserError(
            f"{quoted(name)} is no name for a variant, expected at most {LONGEST_NAME} small letters, digits and "
            "hyphens, like my-variant"
        )
    if keyword.iskeyword(class_name) or class_name in TAKEN:
        raise UserError(f"{name!r} would be the class {class_name}, which means something else: choose another name")
    if name in registry.methods():
        raise UserError(f"there is a method named {name!r} already: choose another name")

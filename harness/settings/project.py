"""params.yaml as the user wrote it."""

import io
import shutil
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from harness.base.errors import UserError
from harness.base.files import read_file, whole_file
from harness.settings.validation import PARAMS_FILE, read_yaml

Lines = list[str]


def set_params(changes: dict[str, Any], path: Path = PARAMS_FILE, innermost_in_a_line: bool = False) -> None:
    """Replace top-level keys of params.yaml; every other line stays as it was written.

    Args:
        changes: the keys and what they shall hold.
        path: of params.yaml.
        innermost_in_a_line: write a mapping that holds no other in one line, such as the settings of a method.

    Raises:
        UserError: the file is missing, cannot be written, or is laid out in an unusual way.
    """
    lines = _read(path)
    expected = {**_content(lines), **changes}
    for key, value in changes.items():
        start, end = _section(lines, key)
        lines[start:end] = _ending_as(lines, _dump({key: value}, innermost_in_a_line))
    _write(path, lines, expected)


def add_variant(name: str, settings: dict[str, Any], path: Path = PARAMS_FILE) -> None:
    """Add a variant below those in params.yaml; every other line stays as it was written.

    Raises:
        UserError: the file is missing, cannot be written, or is laid out in an unusual way.
    """
    lines = _read(path)
    content = _content(lines)
    if not isinstance(content.get("variants"), dict):
        raise UserError(f"{path}: variants is no mapping of names to settings")
    variants = {**content["variants"], name: settings}
    start, end = _section(lines, "variants")
    entries = [line for line in lines[start + 1 : end] if not _is_remark(line)]
    if entries:
        indentation = entries[0][: -len(entries[0].lstrip())]
        added = [indentation + line for line in _dump({name: settings}, innermost_in_a_line=True)]
        lines[end:end] = _ending_as(lines, added)
    else:
        lines[start:end] = _ending_as(lines, _dump({"variants": variants}, innermost_in_a_line=True))
    _write(path, lines, {**content, "variants": variants})


def _read(path: Path) -> Lines:
    if not isinstance(read_yaml(path), dict):
        raise UserError(f"{path} is empty or no mapping")
    lines = list(io.StringIO(read_file(path).decode(), newline=""))  # each with the line end that it has
    if lines and lines[-1] == lines[-1].rstrip("\r\n"):
        lines[-1:] = _ending_as(lines, [lines[-1] + "\n"])
    return lines


def _ending_as(lines: Lines, added: Lines) -> Lines:
    end = lines[0][len(lines[0].rstrip("\r\n")) :] or "\n"
    return [line.rstrip("\n") + end for line in added]


def _content(lines: Lines) -> Any:
    return YAML(typ="safe", pure=True).load("".join(lines))


def _section(lines: Lines, key: str) -> tuple[int, int]:
    # The lines of a top-level key, without the remarks below it; the end of the file where there is none.
    start = next((number for number, line in enumerate(lines) if line.startswith(f"{key}:")), len(lines))
    end = min(start + 1, len(lines))
    for number in range(end, len(lines)):
        if _is_remark(lines[number]):
            continue
        if lines[number][0] not in " -}]":
            break
        end = number + 1
    return start, end


def _is_remark(line: str) -> bool:
    return line.strip() == "" or line.lstrip().startswith("#")


def _dump(content: dict[str, Any], innermost_in_a_line: bool = False) -> Lines:
    yaml = YAML(typ="safe", pure=True)
    # What holds no mapping is innermost itself, and `{protocol: darts}` is no line of params.yaml.
    nested = any(isinstance(value, dict | list) for value in content.values())
    yaml.default_flow_style = None if innermost_in_a_line and nested else False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 4096
    buffer = io.StringIO()
    yaml.dump(content, buffer)
    return buffer.getvalue().splitlines(keepends=True)


def _write(path: Path, lines: Lines, expected: Any) -> None:
    try:
        understood = _equal(_content(lines), expected, set())
    except YAMLError:
        understood = False
    if not understood:
        raise UserError(f"{path} is laid out in an unusual way: edit it by hand, one top-level key a line")
    with whole_file(path.resolve() if path.is_symlink() else path) as staging:  # a link stays one
        staging.write_bytes("".join(lines).encode())
        shutil.copymode(path, staging)


def _equal(one: Any, other: Any, met: set[tuple[int, int]]) -> bool:
    # As ==, but each pair of containers once: aliases may stand for more of them than anybody can compare.
    if type(one) not in (dict, list) or type(one) is not type(other):
        return bool(one == other)
    if (id(one), id(other)) in met:
        return True
    met.add((id(one), id(other)))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(value, other[key], met) for key, value in one.items())
    return len(one) == len(other) and all(_equal(*pair, met) for pair in zip(one, other, strict=True))

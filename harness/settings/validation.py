"""Plain content as validated models, or one sentence that says what is wrong and where."""

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from ruamel.yaml import YAML

from harness.base.errors import UserError, did_you_mean, in_one_line, quoted
from harness.base.files import read_text

PARAMS_FILE = Path("params.yaml")

MOST_MISTAKES = 6
"""Mistakes that one sentence tells of."""

Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """Base of all settings: immutable, numbers are finite, and a key that is not declared is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        # Pydantic takes `true` and "1" for 1, where somebody meant another key.
        allowed = _types_in(cls.model_fields[str(info.field_name)].annotation)
        several = isinstance(value, list | tuple)
        for one in value if several else [value]:
            if allowed & {int, float} and isinstance(one, bool | str) and type(one) not in allowed:
                raise ValueError(f"expected numbers, not {quoted(one)}" if several else "expected a number")
        return value


def _types_in(annotation: Any) -> set[Any]:
    """Return the plain types and literals that an annotation is made of."""
    parts = get_args(annotation)
    if not parts:
        return {annotation}
    if get_origin(annotation) is Literal:
        return {type(part) for part in parts}
    if get_origin(annotation) is Annotated:
        return _types_in(parts[0])
    return set().union(*map(_types_in, parts))


def read_yaml(path: Path) -> Any:
    """Return the content of params.yaml.

    Raises:
        UserError: the file is missing, cannot be read or is no YAML.
    """
    check_project_here(path)
    try:
        return YAML(typ="safe", pure=True).load(read_text(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # what looks like a date or a number and is none fails in many ways
        raise UserError(f"{path} is no YAML: {in_one_line(error)}") from None


def check_project_here(path: Path) -> None:
    """Check that params.yaml is there, before something of a project is read or begun.

    Raises:
        UserError: it is not.
    """
    if os.path.lexists(path):
        return
    above = [
        folder for folder in Path.cwd().parents if all((folder / name).is_file() for name in (path.name, "dvc.yaml"))
    ]
    place = f", which is {above[0]}" if above else ""
    raise UserError(f"{path} is missing: run dartsboard in the project's folder{place}")


def validate(model: type[Model], content: Any, where: str) -> Model:
    """Build a settings model, or say in one sentence what is wrong first and where.

    Raises:
        UserError: `content` does not fit `model`.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        sentences = [_sentence(model, detail) for detail in _innermost(error.errors())]
        others = "; ".join(sentences[1:MOST_MISTAKES]) + ("; ..." if len(sentences) > MOST_MISTAKES else "")
        more = f" (and {len(sentences) - 1} more: {others})" if len(sentences) > 1 else ""
        raise UserError(f"{where}: {sentences[0]}{more}") from None


def _innermost(details: list[Any]) -> list[Any]:
    # Of a list whose entries are wrong it is not worth saying that too few are left.
    places = [detail["loc"] for detail in details]
    return [
        detail
        for detail in details
        if not any(place != detail["loc"] and place[: len(detail["loc"])] == detail["loc"] for place in places)
    ]


def _sentence(model: type[BaseModel], detail: Any) -> str:
    path = [str(part) for part in detail["loc"]]
    key = ".".join(path)
    if detail["type"] == "extra_forbidden":
        return f"unknown key {quoted(key, 200)}, {did_you_mean(path[-1], _siblings(model, path))}"
    if detail["type"] == "missing":
        return f"the key {quoted(key, 200)} is missing"
    message = in_one_line(detail["msg"].removeprefix("Value error, "))
    given = detail["input"]
    if not key:
        return message
    shown = f", not {quoted(given)}" if isinstance(given, str | int | float | bool | None) else ""
    return f"{quoted(key, 200)[1:-1]}: {message[0].lower()}{message[1:]}{shown}"


def _siblings(model: type[BaseModel], path: list[str]) -> list[str]:
    # Follows the path of a faulty key down the models, to name the keys that are valid beside it.
    current: Any = model
    for part in path[:-1]:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(part)
            current = field.annotation if field else None
        else:
            current = getattr(current, "__args__", (None,))[-1]
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def canonical_json(content: Any) -> str:
    """Return the one JSON text of plain content: sorted keys, no spaces, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_hash(content: Any) -> str:
    """Return the SHA-256 of plain content, in hexadecimal."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()

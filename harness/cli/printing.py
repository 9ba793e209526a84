"""How commands print what they found."""

import json
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_content(content: Any, as_json: bool, indent: str = "") -> None:
    """Print a mapping, or with `as_json` anything: as JSON, or a line a key."""
    if as_json:
        click.echo(json.dumps(content, indent=2))
        return
    for key, value in content.items():
        if isinstance(value, dict):
            click.echo(f"{indent}{key}:")
            print_content(value, False, indent + "  ")
        elif isinstance(value, list):
            click.echo(f"{indent}{key}:")
            for entry in value:
                click.echo(f"{indent}  " + ", ".join(f"{name} {_short(item)}" for name, item in entry.items()))
        else:
            click.echo(f"{indent}{key}: {_short(value)}")


def _short(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_short, value)) or "none"
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)

"""A group of commands of which none ends in a traceback for what its user or the place of its output does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from harness.base.clock import check_clock
from harness.base.errors import UserError, in_one_line, printable, quoted
from harness.base.masking import masked
from harness.base.output import tolerant_output


class Commands(click.Group):
    """Turns a UserError into one line on stderr and exit status 2, and bears an output that can take nothing."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run as the shell does."""
        with tolerant_output():  # here, so that it holds whoever starts the command
            return super().main(*args, **kwargs)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Refuse what is no text before anything else is made of it."""
        for argument in args:
            if any(0xD800 <= ord(letter) < 0xE000 for letter in argument):  # bytes that no screen can show
                raise click.UsageError(f"{quoted(argument)} is no text, expected UTF-8")
        with _usage_in_one_line():
            return super().parse_args(context, args)

    def invoke(self, context: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            check_clock()
            with _usage_in_one_line():
                return super().invoke(context)
        except UserError as error:
            click.echo(f"error: {printable(masked(str(error)))}", err=True)
            context.exit(2)


@contextmanager
def _usage_in_one_line() -> Iterator[None]:
    """What click says of an argument holds it as it was given, with its length and what it does to a terminal."""
    try:
        yield
    except click.UsageError as error:
        error.message = in_one_line(error.message, 500)  # type: ignore[misc]  # nothing else says it
        raise

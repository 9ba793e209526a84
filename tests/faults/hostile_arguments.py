"""Commands with arguments of the wrong alphabet, length, size and number."""

from collections.abc import Iterator

import click

from harness.cli import main
from tests.faults.mutations import Random

NASTY = (
    *("", " ", "-", "--", "-x", "--help", ".", "..", "/", "../../x", "/dev/zero", "/dev/full", "~", "$HOME", "*"),
    *("0", "-1", "1e-3", "1e999", "nan", "inf", "9" * 5000, "0x10", "1_0", "010", "²", "٣", "½", "2.5", str(2**64)),
    *("darts", "darts-2nd", "Darts", "darts ", "random-search", "é", "\u202e", "\U0001f600", "\ufeffdarts", "\udcff"),
    *("a\x1b[31m", "a\nb", "a\tb", "x" * 5000, "a/" * 3000, "../" * 2000 + "x", "=1+1", "<script>", "null", "true"),
    *("6111", "|nor_conv_3x3~0|", "cifar10/test/200", "acc=cifar10/test/200", "acc=cifar10/test/²", "=//", "%2F"),
    *("acc=cifar10/test/" + "9" * 4000, "0-3", "3-0", "0-" + "9" * 30, "0,,1", "params.yaml", "runs", "data", "table"),
    *("nats-bench", "localhost:5000", "a" * 70 + ".example"),
)
ENDLESS = {"ui", "sweep", "sync", "doctor", "new-variant", "init"}
"""Serve, start processes, or write beside what comes back after each input."""


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        elif name not in ENDLESS:
            yield (*path, name), command


def arguments(random: Random) -> list[str]:
    """Return a command line: most of it as it should be in number, nothing in content."""
    commands = list(_commands(main))
    path, command = commands[int(random.integers(len(commands)))]
    line = list(path)
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            line += [_nasty(random) for _ in range(int(random.choice([1, 1, 1, 1, 0, 2])))]
        elif random.random() < 0.4 and isinstance(parameter, click.Option):
            line += [parameter.opts[0]] if parameter.is_flag else [parameter.opts[0], _nasty(random)]
    if path == ("prune",) and "--dry-run" not in line:
        line.append("--dry-run")
    return line


def _nasty(random: Random) -> str:
    return NASTY[int(random.integers(len(NASTY)))]

"""Readers that end badly; what starts with them imports nothing else."""

import os
from pathlib import Path


def died_over_5(file: Path) -> str:
    if file.name == "5":
        os.abort()
    return file.name


def never_ends(file: Path) -> None:
    while True:
        pass


def never_ends_over_forever(file: Path) -> str:
    if file.name == "forever":
        never_ends(file)
    return file.name


def raises(file: Path) -> None:
    raise RecursionError


def takes_4_gigabytes(file: Path) -> None:
    bytearray(4 * 2**30)

"""One thin file a DVC stage: each reads the files of the stage before it and writes its own."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

from harness.base.errors import UserError, printable
from harness.base.interruption import clean_end
from harness.base.masking import masked
from harness.base.output import tolerant_output
from harness.base.source_tree import check_tree

Arguments = ParamSpec("Arguments")


def stage(main: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Make `main` the entry of a stage: a UserError becomes one line on stderr and exit status 2."""

    @functools.wraps(main)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            check_tree()
            with clean_end(), tolerant_output():
                main(*args, **kwargs)
        except UserError as error:
            print(f"error: {printable(masked(str(error)))}", file=sys.stderr)
            sys.exit(2)

    return guarded

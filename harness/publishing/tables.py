"""Writes the tables of results/ as small as they get without losing a bit."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from harness.base.errors import UserError
from harness.base.files import read_file
from harness.base.parquet import parse_parquet
from harness.results.columns import RESULT_COLUMNS

LARGEST = 20 * 2**20
"""Bytes of all tables of a published board together: it shall fit into a repository."""
MOST_ROWS = 20_000_000
COMPRESSION_LEVEL = 12
"""Of zstd. Beyond it, files get hardly smaller and take much longer to write."""


def copy_tables(source: Path, target: Path, names: Iterable[str] = tuple(RESULT_COLUMNS)) -> None:
    """Write the tables NAME.parquet of a folder into another one, compressed.

    Raises:
        UserError: a table is missing or damaged.
    """
    target.mkdir()
    for name in names:
        path = source / f"{name}.parquet"
        try:
            content = read_file(path)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
        write_compressed(parse_parquet(content, path, MOST_ROWS), target / path.name)


def write_compressed(table: pa.Table, path: Path) -> None:
    """Write a table: columns of few values by a dictionary, of numbers that differ with their bytes sorted by place."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    numbers = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    counted = {name: len(table) - table[name].null_count for name in numbers}
    plain = [name for name in numbers if 2 * pc.count_distinct(table[name]).as_py() > counted[name]]
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        use_dictionary=[name for name in table.column_names if name not in plain],
        use_byte_stream_split=plain,
        write_page_checksum=True,
    )


def check_size(folder: Path) -> None:
    """Check that the tables below a folder are small enough to publish; those of runs have a limit of their own.

    Raises:
        UserError: they are not.
    """
    sizes = {path: path.stat().st_size for path in folder.rglob("*.parquet")}
    total = sum(sizes.values())
    if total > LARGEST:
        largest = max(sizes, key=lambda path: sizes[path])
        raise UserError(
            f"the tables would take {total / 2**20:.1f} MB, and a published board has at most {LARGEST // 2**20}: "
            f"{largest.name} alone has {sizes[largest] / 2**20:.1f}; publish a board of fewer methods or seeds"
        )

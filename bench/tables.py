"""Tables for a terminal, and for the report that ``python -m bench.report`` makes of them."""

import json
import os
from pathlib import Path

KEPT_IN = "BENCH_TABLES"
"""Environment variable: the folder in which named tables are kept as JSON."""


def print_table(rows: list[list[str]], name: str = "") -> None:
    """Print rows of cells, the first row a header, in columns as wide as they have to be.

    Args:
        rows: the cells.
        name: under which the table is kept for the report; without one it is not.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells[1:]]))
    keep(rows, name)


def keep(rows: list[list[str]], name: str) -> None:
    """Keep a table for the report, if one is being made."""
    folder = os.environ.get(KEPT_IN)
    if folder and name:
        Path(folder, f"{name}.json").write_text(json.dumps(rows))

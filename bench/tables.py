"""Print tables in a terminal, and save them for ``python -m bench.report``."""

import json
import os
from pathlib import Path

TABLES_FOLDER = "BENCH_TABLES"
"""Environment variable: the folder in which named tables are saved as JSON."""


def print_table(rows: list[list[str]], name: str = "") -> None:
    """Print rows of cells in aligned columns.

    Args:
        rows: the cells. The first row is the header.
        name: the name under which the table is saved for the report. Without a name it is not.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells[1:]]))
    save_table(rows, name)


def save_table(rows: list[list[str]], name: str) -> None:
    """Save a table for the report, if the report runs this benchmark."""
    folder = os.environ.get(TABLES_FOLDER)
    if folder and name:
        Path(folder, f"{name}.json").write_text(json.dumps(rows))

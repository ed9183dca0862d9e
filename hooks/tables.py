"""Rows as a person reads them, and as a spreadsheet does."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def as_text(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns side by side."""
    cells = [tuple(heads), *(tuple("" if cell is None else _printable(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def as_csv(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated values; what came from outside is never a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return text.getvalue().rstrip("\n")


def _printable(cell: object) -> str:
    """What came from outside moves no cursor and begins no line."""
    return "".join(character if character.isprintable() else "�" for character in str(cell))


def _harmless(cell: object) -> object:
    is_formula = isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if is_formula else cell

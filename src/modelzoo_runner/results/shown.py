"""What a result is shown as, in text and as HTML, from one description; and durations in words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from modelzoo_runner.errors import visible
from modelzoo_runner.values import markup

WIDTH = 100
"""Of a page of text, in characters."""

MOST_DIFFERENCES = 3
"""So many are always seen in HTML."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A title with a verdict, a table, and notes below it; many differences are folded in HTML.

    `headings`, each with its verdict, and the main `figures` are what HTML has in place of the
    title. A line break in a cell is one in HTML, and a space in text.
    """

    title: str = ""
    verdict: str | None = None
    headings: Sequence[tuple[str, str | None]] = ()
    figures: Sequence[str] = ()
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    differences: Sequence[str] = ()

    def text(self) -> str:
        """The title, aligned columns, and a line for each note."""
        title = (self.title,) if self.title else ()
        rows = [[cell.replace("\n", " ") for cell in row] for row in self.rows]
        page = (*title, *columns([self.header, *rows]), *self.notes)
        return visible("\n".join((*page, *self.differences)))

    def html(self) -> str:
        """The same as HTML."""
        titles = self.headings or ((self.title, self.verdict),)
        return markup.card(
            *(markup.title(text, verdict) for text, verdict in titles if text),
            markup.figures(*self.figures),
            markup.table(self.header, self.rows),
            markup.notes(self.notes),
            self._differences(),
        )

    def _differences(self) -> str:
        found = markup.notes(self.differences)
        many = len(self.differences)
        return markup.folded(f"{many} differences", found) if many > MOST_DIFFERENCES else found


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines in aligned columns; the last column isn't padded."""
    rows = [[visible(cell).replace("\n", "\\n") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def wrapped(text: str, first: str, others: str) -> str:
    """Text in lines of up to `WIDTH` characters, with the indents of the first and the others."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def warnings(said: Sequence[str]) -> list[str]:
    """Warnings as notes."""
    return [f"warning: {each}" for each in said]


def seconds(value: float) -> str:
    """A duration with three digits, in the unit that suits it.

    >>> seconds(0.01234), seconds(2.5), seconds(0.0000042), seconds(0)
    ('12.3 ms', '2.50 s', '4.20 µs', '0 s')
    """
    if value == 0:
        return "0 s"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{_three_digits(value / size)} {unit}"
    return f"{_three_digits(value / 1e-9)} ns"


def _three_digits(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"

"""What a result is shown as, in text and as HTML, from one description; and durations in words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from modelzoo_runner.errors import visible
from modelzoo_runner.values import markup

WIDTH = 100
"""Of a page of text, in characters."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A title with a verdict, a table, and notes below it.

    `headings` are titles that only HTML has, each with its verdict: in a text the table says it.
    """

    title: str = ""
    verdict: str | None = None
    headings: Sequence[tuple[str, str | None]] = ()
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def text(self) -> str:
        """The title, aligned columns, and a line for each note."""
        title = (self.title,) if self.title else ()
        return visible("\n".join((*title, *columns([self.header, *self.rows]), *self.notes)))

    def html(self) -> str:
        """The same as HTML."""
        titles = ((self.title, self.verdict), *self.headings)
        return markup.card(
            *(markup.title(text, verdict) for text, verdict in titles if text),
            markup.table(self.header, self.rows),
            markup.notes(self.notes),
        )


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

    >>> seconds(0.01234), seconds(2.5), seconds(0.0000042)
    ('12.3 ms', '2.50 s', '4.20 µs')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{_three_digits(value / size)} {unit}"
    return f"{_three_digits(value / 1e-9)} ns"


def _three_digits(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"

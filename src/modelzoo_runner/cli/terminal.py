"""What is different on a terminal: lines end at words, and verdicts and errors have a color.

A pipe or a file gets each line as it is. `NO_COLOR`, `COLUMNS` and `TERM=dumb` mean what they mean
elsewhere.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from modelzoo_runner.errors import visible

if TYPE_CHECKING:
    from rich.text import Text

STYLES = {"good": "green", "doubtful": "yellow", "bad": "red"}
"""The colors of the levels that `markup.LEVELS` has."""

_GAP = re.compile(r"(?<=\S) {2,}(?=\S)")
_SPEED = r"[\d.]+(?:x| %) (?P<speed>faster|slower)(?= \()"
_WORD = r"(?:^|: |(?<=  ))(?P<word>{})(?=$|[ :,])"


def print_page(text: str, stream: TextIO) -> None:
    """Print text; control characters, and letters that the encoding doesn't have, are escaped."""
    _print(text, stream, _with_verdicts)


def print_error(kind: str, message: str, stream: TextIO) -> None:
    """Print an error as one paragraph."""
    _print(f"{kind}: {message}", stream, lambda found: found.stylize("bold red", 0, len(kind) + 1))


def _print(text: str, stream: TextIO, color: Callable[[Text], None]) -> None:
    encoding = stream.encoding or "utf-8"
    text = visible(text).encode(encoding, "backslashreplace").decode(encoding)
    if not stream.isatty():
        print(text, file=stream, flush=True)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, soft_wrap=True)
    found = Text("\n".join(_fitted(line, console.width) for line in text.split("\n")))
    color(found)
    console.print(found)
    stream.flush()


def _fitted(line: str, width: int) -> str:
    """The line in lines that end at words, below where its text begins; a row of a table as it is.

    >>> print(_fitted("latency    median 1.2 ms per step, max 3 ms", 30))
    latency    median 1.2 ms per
               step, max 3 ms
    """
    gaps = [*_GAP.finditer(line)]
    if len(line) <= width or len(gaps) > 1:
        return line
    begin = gaps[0].end() if gaps else len(line) - len(line.lstrip())
    hanging = begin + 2 * line[begin:].startswith("- ")
    return textwrap.fill(
        line,
        max(width, hanging + 20),
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
        # What is before the text stays as wide as it is.
        replace_whitespace=False,
    )


def _with_verdicts(text: Text) -> None:
    from modelzoo_runner.results.markup import LEVELS

    said = re.compile(f"{_SPEED}|{_WORD.format('|'.join(LEVELS))}", re.MULTILINE)
    for match in said.finditer(text.plain):
        group = match.lastgroup or ""
        text.stylize(f"bold {STYLES[LEVELS[match[group]]]}", *match.span(group))

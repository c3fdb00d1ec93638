"""What is different on a terminal: lines end at words, and verdicts and errors have a color.

A pipe or a file gets each line as it is. `NO_COLOR`, `COLUMNS` and `TERM=dumb` mean what they mean
elsewhere.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TextIO

from modelzoo_runner.errors import visible
from modelzoo_runner.results.shown import WIDTH
from modelzoo_runner.values.markup import LEVELS

if TYPE_CHECKING:
    from rich.text import Text

STYLES = {"good": "green", "doubtful": "yellow", "bad": "red"}
"""The colors of the levels that `markup.LEVELS` has."""

_LABEL = re.compile(r" *(?:error|doubt|evidence|remedy|looked at|warning): +")
_GAP = re.compile(r"(?<=\S) {2,}(?=\S)")
_SPEED = r"(?<!inconclusive: )(?<![\d.])[\d.]+(?:x| %) (?P<speed>faster|slower)(?= \()"
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
    found = Text(_fitted(text, console.width))
    color(found)
    console.print(found)
    stream.flush()


def _fitted(text: str, width: int) -> str:
    """The text in lines that end at words; a row of a table stays as it is.

    >>> print(_fitted("latency    median 1.2 ms per step, max 3 ms", 30))
    latency    median 1.2 ms per
               step, max 3 ms
    """
    return "\n".join(_wrapped(line, width) for line in _paragraphs(text.split("\n")))


def _paragraphs(lines: Iterable[str]) -> list[str]:
    """The lines, with those put together again that were one before they were wrapped."""
    found: list[str] = []
    length = 0
    for line in lines:
        word = line.split(maxsplit=1)[0] if line.strip() else ""
        is_full = length + 1 + len(word) > WIDTH
        if found and is_full and word != "-" and _goes_on(found[-1], line):
            found[-1] = f"{found[-1]} {line.lstrip()}"
        else:
            found.append(line)
        length = len(line)
    return found


def _goes_on(line: str, below: str) -> bool:
    """Whether the line below begins where this one's text does; in tables that means nothing."""
    is_text = not _is_row(line) and not _GAP.search(below)
    return is_text and _indent(below) == _hanging(line) > 0


def _is_row(line: str) -> bool:
    """Whether a line is one of a table: it has more columns than a label and its text."""
    return len(_GAP.findall(line)) > 1


def _wrapped(line: str, width: int) -> str:
    if len(line) <= width or _is_row(line):
        return line
    hanging = _hanging(line)
    return textwrap.fill(
        line,
        max(width, hanging + 20),
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _hanging(line: str) -> int:
    """Where the text of a line begins: behind its label, and behind the dash of a list."""
    gap, label = _GAP.search(line), _LABEL.match(line)
    begin = gap.end() if gap else label.end() if label else _indent(line)
    return begin + 2 * line[begin:].startswith("- ")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _with_verdicts(text: Text) -> None:
    said = re.compile(f"{_SPEED}|{_WORD.format('|'.join(LEVELS))}", re.MULTILINE)
    for match in said.finditer(text.plain):
        group = match.lastgroup or ""
        text.stylize(f"bold {STYLES[LEVELS[match[group]]]}", *match.span(group))

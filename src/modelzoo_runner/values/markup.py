"""Pieces of HTML that results are shown with.

All text is escaped. No scripts, nothing from elsewhere, and colors that go with a light and a dark
page: everything but the verdict takes the page's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

STYLE = """<style>
.mzr{font:14px/1.5 system-ui,sans-serif;max-width:70em}
.mzr h4{margin:.6em 0 .3em;font-size:1.05em;font-weight:600;overflow-wrap:anywhere}
.mzr .figure{display:inline-block;font-size:1.5em;font-weight:600;margin-right:.8em}
.mzr .badge{display:inline-block;padding:0 .6em;border-radius:.8em;color:#fff;background:#57606a;
font-weight:600;white-space:nowrap}
.mzr td .badge{font-size:.9em}
.mzr .good{background:#1a7f37}.mzr .doubtful{background:#9a6700}.mzr .bad{background:#cf222e}
.mzr .wide{overflow-x:auto}
.mzr table{border-collapse:collapse;margin:.4em 0;font-size:1em}
.mzr table tr{background:none}
.mzr table th,.mzr table td{text-align:left;vertical-align:top;padding:.15em .8em .15em 0;
border:0;border-bottom:1px solid rgba(128,128,128,.3);background:none}
.mzr table th{font-weight:600;white-space:nowrap}
.mzr .facts td,.mzr .long{overflow-wrap:anywhere}
.mzr .rows td{white-space:nowrap}.mzr .rows .text{white-space:normal}
.mzr ul{margin:.3em 0;padding-left:1.3em;overflow-wrap:anywhere}
.mzr td ul{margin:0}
.mzr .wide>svg{display:block;margin:.4em 0}
.mzr summary{cursor:pointer}
@media(max-width:40em){.mzr table.rows{width:max-content}.mzr .rows td{max-width:23em}}
</style>"""

LEVELS = {
    "valid": "good",
    "faster": "good",
    "better": "good",
    "same": "good",
    "passed": "good",
    "noisy": "doubtful",
    "inconclusive": "doubtful",
    "doubt": "doubtful",
    "undecided": "doubtful",
    "invalid": "bad",
    "slower": "bad",
    "worse": "bad",
    "failed": "bad",
    "error": "bad",
}
"""How a verdict is colored."""


def card(*parts: str) -> str:
    """Parts that belong together, with the style that they need."""
    return f'<div class="mzr">{STYLE}{"".join(parts)}</div>'


def page(content: str) -> str:
    """A page of its own, which a browser shows in its colors."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<style>:root{color-scheme:light dark}body{margin:1em}</style>"
        f"<body>{content}</body></html>\n"
    )


def title(text: str, verdict: str | None = None) -> str:
    """A heading, and the verdict behind it."""
    return f"<h4>{escape(text)}{f' {badge(verdict)}' if verdict else ''}</h4>"


def badge(verdict: str, text: str | None = None) -> str:
    """A verdict, or a text that says it, in its color."""
    return f'<span class="badge {LEVELS.get(verdict, "")}">{escape(text or verdict)}</span>'


def figures(*texts: str) -> str:
    """The one or two numbers that matter most."""
    return "".join(f'<span class="figure">{escape(each)}</span>' for each in texts)


def wide(content: str) -> str:
    """What is scrolled where the page is too narrow for it."""
    return f'<div class="wide">{content}</div>'


def folded(summary: str, content: str) -> str:
    """What is shown when its summary is clicked on."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def shown(value: object) -> str:
    """A value as short text.

    >>> shown((0, 1, 2, 5)), shown({"a": 1}), shown(None), shown(True)
    ('0-2,5', 'a=1', '-', 'yes')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={shown(each)}" for name, each in value.items()) or "-"
    if isinstance(value, (tuple, list)):
        return ranges(value) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def ranges(values: Sequence[object]) -> str:
    """Values with commas between them; whole numbers that follow each other as `0-3`."""
    parts: list[list[object]] = []
    for value in values:
        last = parts[-1][-1] if parts else None
        if isinstance(value, int) and isinstance(last, int) and value == last + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ",".join(f"{each[0]}-{each[-1]}" if len(each) > 1 else str(each[0]) for each in parts)


def facts(rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A table of names, each with one or more lines of text."""
    body = "".join(
        f"<tr><th>{escape(name)}</th><td>{_listed(lines)}</td></tr>" for name, lines in rows
    )
    return wide(f'<table class="facts">{body}</table>')


def _listed(lines: Sequence[str]) -> str:
    """Lines below each other; those that begin with a dash as a list."""
    plain = [escape(each) for each in lines if not each.startswith("- ")]
    return "<br>".join(plain) + notes(each[2:] for each in lines if each.startswith("- "))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells as a table with a header; a verdict that a cell begins with has its color."""
    head = "".join(f"<th>{_lines(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return wide(f'<table class="rows"><tr>{head}</tr>{body}</table>')


def _cell(text: str) -> str:
    content = _lines(text)
    said = _VERDICT.match(text)
    if said:
        content = badge(said[1], said[0]) + _lines(text[said.end() :])
    classes = ["text"] if any(len(line) > _SHORT for line in text.split("\n")) else []
    classes += ["long"] if any(len(word) > _LONGEST_WORD for word in text.split()) else []
    of = f' class="{" ".join(classes)}"' if classes else ""
    return f"<td{of}>{content}</td>"


_VERDICT = re.compile(rf"(?:[\d.]+(?:x| %) )?({'|'.join(LEVELS)})(?=$|[,:\n]| within)")

_SHORT = 44
"""Characters of a line in a cell that isn't broken."""

_LONGEST_WORD = 40
"""In a cell; a longer one, such as an address, is broken."""


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def notes(lines: Iterable[str]) -> str:
    """A list of sentences; nothing where there are none."""
    items = "".join(f"<li>{escape(each)}</li>" for each in lines)
    return f"<ul>{items}</ul>" if items else ""

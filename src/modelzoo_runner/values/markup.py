"""Pieces of HTML that results are shown with.

All text is escaped. No scripts, nothing from elsewhere, and colors that go with a light and a dark
page: everything but the verdict takes the page's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

STYLE = """<style>
.mzr{font:14px/1.5 system-ui,sans-serif;max-width:62em}
.mzr h4{margin:.6em 0 .3em;font-size:1.05em;font-weight:600}
.mzr .figure{display:inline-block;font-size:1.5em;font-weight:600;margin-right:.8em}
.mzr .badge{display:inline-block;padding:0 .6em;border-radius:.8em;color:#fff;background:#57606a}
.mzr .good{background:#1a7f37}.mzr .doubtful{background:#9a6700}.mzr .bad{background:#cf222e}
.mzr .wide{overflow-x:auto}
.mzr table{border-collapse:collapse;margin:.4em 0;font-size:1em}
.mzr table tr{background:none}
.mzr table th,.mzr table td{text-align:left;vertical-align:top;padding:.15em 1em .15em 0;
border:0;border-bottom:1px solid rgba(128,128,128,.3);background:none}
.mzr table th{font-weight:600;white-space:nowrap}
.mzr .facts td{overflow-wrap:anywhere}
.mzr ul{margin:.3em 0;padding-left:1.3em}
.mzr .wide>svg{display:block;margin:.4em 0}
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


def badge(verdict: str) -> str:
    """A verdict in its color."""
    return f'<span class="badge {LEVELS.get(verdict, "")}">{escape(verdict)}</span>'


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
        f"<tr><th>{escape(name)}</th><td>{'<br>'.join(map(escape, lines))}</td></tr>"
        for name, lines in rows
    )
    return wide(f'<table class="facts">{body}</table>')


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells as a table with a header."""

    def line(row: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}>{_lines(cell)}</{tag}>" for cell in row)

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return wide(f"<table><tr>{line(header, 'th')}</tr>{body}</table>")


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def notes(lines: Iterable[str]) -> str:
    """A list of sentences; nothing where there are none."""
    items = "".join(f"<li>{escape(each)}</li>" for each in lines)
    return f"<ul>{items}</ul>" if items else ""

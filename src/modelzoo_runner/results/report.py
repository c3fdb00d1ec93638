"""Results as one HTML page that can be sent to somebody: tables, pictures and the raw data in it.

Nothing is loaded from elsewhere, and there are no scripts.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from modelzoo_runner._version import __version__
from modelzoo_runner.results import figures, frames, saved
from modelzoo_runner.results.export import Exportable
from modelzoo_runner.values.remote import RemotePath

STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.55 system-ui,sans-serif;max-width:66em;margin:2em auto;padding:0 1em}
h1{font-size:1.6em;margin:0}section{border-top:1px solid rgba(128,128,128,.4);margin-top:2em}
figure{margin:1em 0}figure svg{background:#fff;max-width:100%;height:auto;border-radius:4px}
.quiet{opacity:.75}a{color:inherit}
"""


def page(values: Sequence[Exportable], title: str) -> str:
    """The page of one or more results, with a section for each.

    Raises:
        MissingDependency: matplotlib isn't installed.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")
    sections = "".join(_section(number, each) for number, each in enumerate(values, 1))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<header><h1>{escape(title)}</h1>"
        f'<p class="quiet">modelzoo_runner {__version__}, {now}</p></header>'
        f"{sections}</body></html>\n"
    )


def _section(number: int, value: Any) -> str:
    picture = f"<figure>{figures.svg(value.plot())}</figure>" if hasattr(value, "plot") else ""
    name = f"result-{number}"
    links = [_link(f"{name}.json", "application/json", value.json_text())]
    rows = value.rows()
    if rows:
        links.append(_link(f"{name}.csv", "text/csv", frames.csv_text(rows)))
    return (
        f'<section id="{name}">{value._repr_html_()}{picture}'
        f'<p class="quiet">Raw data: {", ".join(links)}</p></section>'
    )


def _link(name: str, kind: str, text: str) -> str:
    """A link that downloads the text, which is in the link itself."""
    data = base64.b64encode(text.encode()).decode()
    return f'<a download="{name}" href="data:{kind};base64,{data}">{name}</a>'


def write(values: Sequence[Exportable], path: str | Path, title: str) -> Path | RemotePath:
    """Write the page, whole or not at all, and return the path."""
    return saved.write_text(page(values, title), path)

"""Results as one HTML page that can be sent to somebody: tables, pictures and the raw data in it.

Nothing is loaded from elsewhere, and there are no scripts.
"""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from modelzoo_runner._version import __version__
from modelzoo_runner.results import figures, frames, saved
from modelzoo_runner.results.ab import ABResult
from modelzoo_runner.results.export import Exportable
from modelzoo_runner.results.max_rate import MaxRateResult
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.results.result import Result
from modelzoo_runner.results.runtimes import RuntimesResult
from modelzoo_runner.results.sweep import SweepResult
from modelzoo_runner.results.tune import TuneResult
from modelzoo_runner.values.remote import RemotePath

STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.55 system-ui,sans-serif;max-width:66em;margin:2em auto;padding:0 1em}
h1{font-size:1.6em;margin:0}section{border-top:1px solid rgba(128,128,128,.4);margin-top:2em}
figure{margin:1em 0;overflow-x:auto}
figure svg{background:#fff;width:100%;min-width:36em;max-width:54em;height:auto;border-radius:4px}
.quiet{opacity:.75}a{color:inherit}nav .badge{font-size:.85em}
@media(prefers-color-scheme:dark){figure svg{filter:invert(.9) hue-rotate(180deg)}}
"""


def page(values: Sequence[Exportable], title: str) -> str:
    """The page of one or more results, with a section for each.

    Raises:
        MissingDependency: matplotlib isn't installed.
    """
    now = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    cards = [value._repr_html_() for value in values]
    contents = _contents(cards) if len(cards) > 1 else ""
    sections = "".join(map(_section, range(1, len(values) + 1), values, cards))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<header><h1>{escape(title)}</h1>"
        f'<p class="quiet">modelzoo_runner {__version__}, {now}</p></header>'
        f"{contents}{sections}</body></html>\n"
    )


def _contents(cards: Sequence[str]) -> str:
    """The title and the verdict of each section, as a link to it."""
    titles = (re.search("<h4>(.*?)</h4>", card, re.DOTALL) for card in cards)
    links = "".join(
        f'<li><a href="#result-{number}">{found[1] if found else f"Result {number}"}</a></li>'
        for number, found in enumerate(titles, 1)
    )
    return f'<nav class="mzr"><ol>{links}</ol></nav>'


def _section(number: int, value: Any, card: str) -> str:
    picture = f"<figure>{figures.svg(value.plot())}</figure>" if hasattr(value, "plot") else ""
    name = f"result-{number}"
    links = [_link(f"{name}.json", "application/json", value.json_text())]
    rows = value.rows()
    if rows:
        links.append(_link(f"{name}.csv", "text/csv", frames.csv_text(rows)))
    machines = dict.fromkeys(_machine(each.machine) for each in _observed(value))
    said = "".join(f"Measured on {escape(each)}.<br>" for each in machines if each)
    return (
        f'<section id="{name}">{card}{picture}'
        f'<p class="quiet">{said}Raw data: {", ".join(links)}</p></section>'
    )


def _observed(value: Any) -> Iterator[Observed]:
    """What was found at each run that a value is of."""
    match value:
        case Result() | MaxRateResult():
            yield value.observed
        case SweepResult():
            yield from (each.observed for each in value.results)
        case ABResult():
            yield from (side.observed for side in value.sides)
        case RuntimesResult():
            yield from _observed(value.measured)
        case TuneResult():
            yield from _observed(value.confirmed)


def _machine(facts: Mapping[str, Any]) -> str:
    """A machine and its software on one line, as far as they are known."""
    software = facts.get("software") or {}
    runtime = software.get("runtime") or {"name": "tensorflow", **software.get("tensorflow", {})}
    memory = facts.get("memory_bytes")
    parts = (
        (facts.get("processor") or {}).get("model"),
        f"{facts['cpus']} CPUs" if facts.get("cpus") else None,
        f"{memory / 2**30:.0f} GiB of memory" if memory else None,
        f"{runtime['name']} {runtime['version']}" if runtime.get("version") else None,
        f"kernel {software['kernel']}" if software.get("kernel") else None,
    )
    return ", ".join(part for part in parts if part)


def _link(name: str, kind: str, text: str) -> str:
    """A link that downloads the text, which is in the link itself."""
    data = base64.b64encode(text.encode()).decode()
    return f'<a download="{name}" href="data:{kind};base64,{data}">{name}</a>'


def write(values: Sequence[Exportable], path: str | Path, title: str) -> Path | RemotePath:
    """Write the page, whole or not at all, and return the path."""
    return saved.write_text(page(values, title), path)

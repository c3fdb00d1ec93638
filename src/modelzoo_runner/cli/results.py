"""The commands for saved results: `show` and `report`."""

from __future__ import annotations

import sys

import modelzoo_runner
from modelzoo_runner.cli import options, output
from modelzoo_runner.results import frames
from modelzoo_runner.results.export import Exportable


def show(results: list[str], /, *, csv: options.Json = None) -> None:
    """Print saved results.

    Args:
        results: files that --json wrote.
        csv: save a row for each result to this file; - for standard output.
    """
    found = [modelzoo_runner.load(path, Exportable) for path in results]
    if csv is not None:
        rows = [row for each in found for row in each.rows()]
        output.write(frames.csv_text(rows), csv)
    page = "\n\n".join(map(str, found))
    output.print_page(page, sys.stderr if csv == "-" else sys.stdout)


def report(results: list[str], /, *, out: str = "report.html", title: str = "Results") -> None:
    """Write saved results as one HTML page.

    Args:
        results: files that --json wrote, or a history's.
        out: the file to write.
        title: of the page.
    """
    output.saved_to(modelzoo_runner.report(results, out, title=title))

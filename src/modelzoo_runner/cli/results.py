"""The command for saved results: `show`."""

from __future__ import annotations

import sys

from modelzoo_runner.cli import options, output
from modelzoo_runner.results import frames
from modelzoo_runner.results.sweep import load_any


def show(results: list[str], /, *, csv: options.Json = None) -> None:
    """Print saved results.

    Args:
        results: files that --json wrote.
        csv: save a row for each result to this file; - for standard output.
    """
    found = [load_any(path) for path in results]
    if csv is not None:
        rows = [row for each in found for row in each.rows()]
        output.write(frames.csv_text(rows), csv)
    page = "\n\n".join(map(str, found))
    output.print_page(page, sys.stderr if csv == "-" else sys.stdout)

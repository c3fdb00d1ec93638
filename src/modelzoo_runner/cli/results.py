"""The commands for saved results: `show` and `compare`."""

from __future__ import annotations

import modelzoo_runner
from modelzoo_runner.results import sweep


def show(results: list[str], /) -> None:
    """Print saved results.

    Args:
        results: files that --json wrote.
    """
    print("\n\n".join(str(sweep.load_any(path)) for path in results))


def compare(first: str, second: str, /) -> None:
    """Compare two saved results.

    Args:
        first: the file of the result to compare with.
        second: the file of the result that is compared with it.
    """
    print(modelzoo_runner.compare(modelzoo_runner.load(first), modelzoo_runner.load(second)))

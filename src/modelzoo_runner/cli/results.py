"""The commands for saved results: `show` and `compare`."""

from __future__ import annotations

from typing import Any

import modelzoo_runner
from modelzoo_runner.cli import options
from modelzoo_runner.results import sweep


def show(results: list[str], /) -> None:
    """Print saved results.

    Args:
        results: files that --json wrote.
    """
    print("\n\n".join(str(sweep.load_any(path)) for path in results))


@options.like(modelzoo_runner.compare)
def compare(reference: str, changed: str, /, **given: Any) -> None:
    """Compare two saved results or sweeps.

    Args:
        reference: the file of what there was before.
        changed: the file of what is judged.
    """
    results: list[Any] = [sweep.load_any(path) for path in (reference, changed)]
    print(modelzoo_runner.compare(*results, **given))

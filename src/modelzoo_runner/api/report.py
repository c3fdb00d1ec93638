"""report(): results as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modelzoo_runner.api.history import History
from modelzoo_runner.errors import RequestError
from modelzoo_runner.results.export import Exportable
from modelzoo_runner.results.load import load
from modelzoo_runner.values.remote import RemotePath

Reported = Exportable | str | Path


def report(
    results: Reported | Sequence[Reported], path: str | Path, *, title: str = "Results"
) -> Path | RemotePath:
    """Write results as one HTML page and return its path.

    What ran, on what, the verdict, tables, pictures, and the raw data to download, all in one file
    that needs no network and no scripts.

    Args:
        results: one or more results, sweeps, comparisons, A/B tests, diagnoses or histories, or
            files in which they are saved.
        path: the file to write.
        title: of the page.

    Raises:
        RequestError: there are no results, or one is something else.
        ResultError: a file can't be read, or the page can't be written.
        MissingDependency: matplotlib isn't installed.

    Examples:
        >>> from modelzoo_runner import benchmark, report
        >>> report(benchmark("resnet50", weights="random"), "report.html")  # doctest: +SKIP
    """
    from modelzoo_runner.results import report as reports

    # A sweep is a sequence too, of results.
    is_one = isinstance(results, (Exportable, str, Path))
    given = [results] if is_one else list(results)  # type: ignore[arg-type]
    if not given:
        raise RequestError("results: there are none")
    values = []
    for number, each in enumerate(given):
        if isinstance(each, (str, Path)):
            is_history = Path(each).suffix in (".db", ".sqlite")
            each = History(each) if is_history else load(each, Exportable)
        if not isinstance(each, Exportable):
            raise RequestError(f"results[{number}]={each!r}: should be a result, or a file of one")
        values.append(each)
    return reports.write(values, path, title)

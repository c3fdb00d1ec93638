"""Read any saved result as what it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, overload

from modelzoo_runner.errors import ResultError
from modelzoo_runner.results import result, saved
from modelzoo_runner.results.ab import ABResult
from modelzoo_runner.results.diagnosis import Diagnosis
from modelzoo_runner.results.export import Exportable, Saved
from modelzoo_runner.results.max_rate import MaxRateResult
from modelzoo_runner.results.result import Result
from modelzoo_runner.results.runtimes import RuntimesResult
from modelzoo_runner.results.sweep import SweepResult
from modelzoo_runner.results.tune import TuneResult
from modelzoo_runner.values.remote import RemotePath

T = TypeVar("T", bound=Exportable)

KINDS: Mapping[str, type[Saved]] = {
    each.KIND: each
    for each in (SweepResult, ABResult, RuntimesResult, MaxRateResult, TuneResult, Diagnosis)
}
"""The class of a file, by its `kind`; all others are results of one run."""


@overload
def load(path: str | Path | RemotePath) -> Result: ...
@overload
def load(path: str | Path | RemotePath, kind: type[T]) -> T: ...
def load(path: str | Path | RemotePath, kind: type[Exportable] = Result) -> Exportable:
    """What is saved at `path`, as what it was.

    Args:
        path: a file that `save` or `--json` wrote, now or with an earlier version.
        kind: what it has to be, such as `BenchmarkResult`, `AccuracyResult`, `SweepResult` or
            `ABResult`: the result of one run, if it isn't said.

    Raises:
        ResultError: the file can't be read, is of an unknown schema, or holds something else.

    Examples:
        >>> from modelzoo_runner import BenchmarkResult, load
        >>> load("result.json", BenchmarkResult).throughput  # doctest: +SKIP
        16.2
    """
    found = saved.read(path, of_record)
    if not isinstance(found, kind):
        raise ResultError(
            f"{path}: is {_article(type(found).__name__)}, not {_article(kind.__name__)}: read it "
            f"with load(path, {type(found).__name__})"
        )
    return found


def of_record(record: Mapping[str, Any]) -> Exportable:
    """The value of a record as JSON has it."""
    kind = KINDS.get(str(record.get("kind")))
    return result.from_dict(record) if kind is None else kind.from_dict(record)


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"

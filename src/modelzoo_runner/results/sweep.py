"""The outcomes of many runs: a result or a failure for each, in the order of the request.

Saved and loaded as one JSON file, printed as one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelzoo_runner import errors
from modelzoo_runner.errors import ResultError, RunnerError, visible
from modelzoo_runner.results import result as results
from modelzoo_runner.results import saved
from modelzoo_runner.results.export import Listed, Saved
from modelzoo_runner.results.result import Result
from modelzoo_runner.results.saved import SCHEMA
from modelzoo_runner.values import codec, markup
from modelzoo_runner.values.words import counted

if TYPE_CHECKING:
    from modelzoo_runner.results.shown import Shown


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that failed: its arguments as given, and the error's class and message.

    Examples:
        >>> asked = {"verb": "benchmark", "model": "rfcn"}
        >>> print(Failure(asked=asked, error="FetchError", message="no network"))
        benchmark rfcn: FetchError: no network
    """

    asked: Mapping[str, Any]
    error: str
    message: str

    @property
    def exception(self) -> RunnerError:
        """The error, to be raised: an instance of its class."""
        return errors.from_dict({"class": self.error, "message": self.message})

    def __str__(self) -> str:
        return visible(f"{self._what}: {self.error}: {self.message}")

    def _repr_html_(self) -> str:
        asked = [(name, [markup.shown(value)]) for name, value in self.asked.items()]
        return markup.card(
            markup.title(self._what, "failed"),
            markup.notes([f"{self.error}: {self.message}"]),
            markup.facts(asked),
        )

    @property
    def _what(self) -> str:
        return f"{self.asked.get('verb')} {self.asked.get('model')}"


Outcome = Result | Failure


@dataclass(frozen=True, repr=False)
class SweepResult(Saved, Listed[Outcome]):
    """The outcomes of a sweep, as a sequence in the order of the request.

    `warnings` are about the sweep; those of a run are in its result. `str()` is one table.
    """

    KIND = "sweep"

    outcomes: tuple[Outcome, ...]
    warnings: tuple[str, ...] = ()

    @property
    def results(self) -> tuple[Result, ...]:
        """The results alone, of the runs that came to one."""
        return tuple(each for each in self.outcomes if isinstance(each, Result))

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failures alone."""
        return tuple(each for each in self.outcomes if isinstance(each, Failure))

    def _items(self) -> tuple[Outcome, ...]:
        return self.outcomes

    def __repr__(self) -> str:
        counts = ((len(self.results), "result"), (len(self.failures), "failure"))
        return f"<SweepResult: {', '.join(counted(*each) for each in counts)}>"

    def shown(self) -> Shown:
        from modelzoo_runner.results import table

        return table.of_sweep(self)

    def plot(
        self,
        axis: Any = None,
        *,
        x: str = "batch_size",
        y: str = "throughput_examples_per_second",
        hue: str | None = "precision",
    ) -> Any:
        """A matplotlib figure with a line for each value of `hue`: columns of `to_dataframe`.

        Args:
            axis: draw there instead.
            x: what goes to the right.
            y: what goes up.
            hue: what has a line of its own; `None` for one line.

        Raises:
            MissingDependency: matplotlib isn't installed.
            RequestError: there is no such column, or no run has values in both.
        """
        from modelzoo_runner.results import plots

        return plots.sweep(self, axis, x=x, y=y, hue=hue)

    def to_dict(self) -> dict[str, Any]:
        """The outcomes as plain dicts, lists and scalars; `from_dict` reads them."""
        return {
            "schema": SCHEMA,
            "kind": self.KIND,
            "warnings": list(self.warnings),
            "outcomes": [outcome_to_dict(each) for each in self.outcomes],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> SweepResult:
        """The outcomes that `to_dict` recorded, now or by an earlier version.

        Raises:
            ResultError: an unknown schema version, or not the results of a sweep.
        """
        record = cls._own(record)
        outcomes = record.get("outcomes")
        if not isinstance(outcomes, list) or not all(isinstance(each, dict) for each in outcomes):
            raise ResultError("outcomes: should be a list of results and failures")
        return cls(tuple(map(outcome_from_dict, outcomes)), tuple(record.get("warnings", ())))


def outcome_to_dict(outcome: Outcome) -> dict[str, Any]:
    """A result or a failure as plain dicts, lists and scalars."""
    if isinstance(outcome, Result):
        return outcome.to_dict()
    return {"kind": "failure", **codec.to_dict(outcome)}


def outcome_from_dict(record: Mapping[str, Any]) -> Outcome:
    """The outcome that `outcome_to_dict` recorded.

    Raises:
        ResultError: it is neither a result nor a failure.
    """
    if record.get("kind") != "failure":
        return results.from_dict(record)
    return saved.body(record, Failure)

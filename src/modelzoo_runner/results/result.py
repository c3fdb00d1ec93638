"""What was observed, as one plain value.

Raw durations are stored; everything that follows from them is derived when asked, so the two can't
drift apart. A saved result needs neither TensorFlow nor numpy to be read, printed or compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from modelzoo_runner.errors import ResultError
from modelzoo_runner.results import instances as several
from modelzoo_runner.results import saved, stats
from modelzoo_runner.results.instances import InstanceRecord
from modelzoo_runner.results.parts import PartRecord, Whole
from modelzoo_runner.results.stats import Summary
from modelzoo_runner.values import codec
from modelzoo_runner.values.plan import Plan

SCHEMA = 2
"""The version of the JSON form. It grows when an older reader would misread a newer file."""

READABLE = (1, SCHEMA)

R = TypeVar("R", bound="Result")

Host = Literal["process", "child", "container"]
"""Where a run was: in the process that asked, in a child of it, or in a container."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What a run found besides its durations: compare it with what the plan asked for.

    `host` is where it ran and `host_reason` why. `graph` says which graph ran: the number of its
    nodes, and what `prepare` changed (empty when it was off). `threads` are counts by thread pool,
    `affinity` the CPUs that the threads were allowed. `machine` holds the facts of the machine, the
    process and TensorFlow. `setup_seconds` are the parts of the cold start.
    """

    host: Host = "process"
    host_reason: str = ""
    graph: Mapping[str, Any] = field(default_factory=dict)
    threads: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    setup_seconds: Mapping[str, float] = field(default_factory=dict)
    interference: Mapping[str, Any] = field(default_factory=dict)
    started: str = ""


@dataclass(frozen=True, kw_only=True, repr=False)
class Result:
    """What every kind of result has.

    `step_seconds` and `data_seconds` are, step by step, the time in the step function and the time
    waited for its batch. `examples` is the number of examples in those steps. `interrupted` marks a
    result of a run that was ended early; it holds what had been done by then.
    """

    plan: Plan
    observed: Observed
    warmup_seconds: tuple[float, ...] = ()
    step_seconds: tuple[float, ...]
    data_seconds: tuple[float, ...]
    examples: int
    warnings: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def verdict(self) -> Literal["valid", "noisy", "invalid"] | None:
        """Whether the durations can be trusted; `causes` say why not. `None`: nobody counted."""
        return self.observed.interference.get("verdict")

    @property
    def causes(self) -> tuple[str, ...]:
        """What disturbed the measurement, in words, the worst first."""
        return tuple(self.observed.interference.get("causes", ()))

    @property
    def throughput(self) -> float:
        """Examples per second of inference: all examples over the sum of the step times."""
        return self.examples / sum(self.step_seconds)

    @property
    def end_to_end_throughput(self) -> float:
        """Examples per second with the wait for the data counted in."""
        return self.examples / (sum(self.step_seconds) + sum(self.data_seconds))

    @property
    def latency(self) -> Summary:
        """The durations of a step in seconds; a step is one call with one whole batch."""
        return stats.summarize(self.step_seconds)

    @property
    def data_wait(self) -> Summary:
        """The durations of the wait for a batch in seconds."""
        return stats.summarize(self.data_seconds)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain dicts, lists and scalars; `from_dict` reads it."""
        kind = {cls: name for name, cls in _KINDS.items()}[type(self)]
        return {"schema": SCHEMA, "kind": kind, **codec.to_dict(self)}

    def save(self, path: str | Path) -> Path:
        """Write the result as JSON, whole or not at all, and return the path.

        Raises:
            ResultError: the path can't be written; says why.
        """
        return saved.write(self.to_dict(), path)

    def __repr__(self) -> str:
        plan = self.plan
        what = f"{plan.model} {plan.precision}, batch {plan.batch_size}"
        return f"<{type(self).__name__}: {what}, {self.throughput:.1f} examples/s>"

    def __str__(self) -> str:
        from modelzoo_runner.results import table

        return table.text(self)

    def _repr_html_(self) -> str:
        from modelzoo_runner.results import table

        return table.html(self)


@dataclass(frozen=True, kw_only=True, repr=False)
class BenchmarkResult(Result):
    """How fast one plan ran.

    Where several `instances` ran at once, each is here with all of its steps. What the result
    itself holds and derives is of the time in which all of them ran: `step_seconds` are the steps
    of all that lie in it, and `throughput` is the sum of theirs.
    """

    instances: tuple[InstanceRecord, ...] = ()

    @property
    def throughput(self) -> float:
        """Examples per second of inference, of all instances together."""
        return sum(self.instance_throughputs) if self.instances else super().throughput

    @property
    def end_to_end_throughput(self) -> float:
        """Examples per second with the wait for the data counted in."""
        if not self.instances:
            return super().end_to_end_throughput
        return sum(several.throughputs(self.instances, end_to_end=True))

    @property
    def instance_throughputs(self) -> tuple[float, ...]:
        """Examples per second of inference of each instance; empty where there was only one."""
        return several.throughputs(self.instances)


@dataclass(frozen=True, kw_only=True, repr=False)
class AccuracyResult(Result):
    """How well one plan scored.

    For a classifier `counts` are the exact hits (`top1`, `top5`) among `examples`, and `scores`
    their shares. For a detector `scores` are COCO's 12 numbers, `per_category` maps category names
    to their AP, and `legacy_scores` are the 12 numbers as the Model Zoo's scripts counted them (see
    `docs/detection.md`). Scores are fractions, or -1 where COCO has nothing to score.

    Of a run in parts `parts` says where each was done, in the order of the data. The result has all
    of their steps, and its `plan` and `observed` are those of the first part.
    """

    scores: Mapping[str, float]
    counts: Mapping[str, int] = field(default_factory=dict)
    per_category: Mapping[str, float] = field(default_factory=dict)
    legacy_scores: Mapping[str, float] = field(default_factory=dict)
    parts: tuple[PartRecord, ...] = ()

    @property
    def interval(self) -> dict[str, tuple[float, float]]:
        """The 95 % confidence interval (Wilson) of each share that is counted."""
        return {
            name: stats.wilson_interval(hits, self.examples) for name, hits in self.counts.items()
        }

    @property
    def difference(self) -> dict[str, float]:
        """Each score minus the published one, where there is one.

        Like with like: of a detector it is the legacy score, as the published one was.
        """
        scores, published = self.legacy_scores or self.scores, self.plan.published
        return {name: scores[name] - published[name] for name in scores if name in published}


@dataclass(frozen=True, kw_only=True, repr=False)
class PartResult(Result):
    """What one part of the data gave: the examples from the first to before the last in
    `plan.examples`, of the data that `whole` describes.

    It has no score yet. Its `tally` is what the scores of the whole are made from: counts, or what
    was found and what there was to find, which can be added up exactly.
    """

    whole: Whole
    tally: Mapping[str, Any]


_KINDS: dict[str, type[Result]] = {
    "benchmark": BenchmarkResult,
    "accuracy": AccuracyResult,
    "part": PartResult,
}


def from_dict(record: Mapping[str, Any]) -> Result:
    """The result that `to_dict` recorded.

    Raises:
        ResultError: another schema version, or not a result at all.
    """
    schema, kind = record.get("schema"), record.get("kind")
    if schema not in READABLE:
        raise ResultError(
            f"schema={schema!r}: this version of modelzoo_runner reads results of schema 1 to "
            f"{SCHEMA}. Read the file with the version that wrote it."
        )
    if kind not in _KINDS:
        raise ResultError(f"kind={kind!r}: should be one of {', '.join(_KINDS)}")
    body = {key: value for key, value in record.items() if key not in ("schema", "kind")}
    if schema == 1 and isinstance(body.get("plan"), Mapping):
        body["plan"] = _plan_of_schema_1(body["plan"])
    try:
        return codec.from_dict(body, _KINDS[kind])
    except codec.CodecError as error:
        raise ResultError("\n".join(error.problems)) from None


def _plan_of_schema_1(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The plan with the names that its fields have since schema 2."""
    new = {"trust": "allow_unsafe_ops", "memory_nodes": "numa_nodes"}
    new["placement.memory_nodes"] = "placement.numa_nodes"

    def renamed(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {new.get(key, key): renamed(each) for key, each in value.items()}
        return [renamed(each) for each in value] if isinstance(value, list) else value

    return {
        new.get(key, key): renamed(each) if key in ("placement", "instances", "why") else each
        for key, each in plan.items()
    }


def load(path: str | Path) -> Result:
    """The result saved at `path`.

    Raises:
        ResultError: the file can't be read or isn't a result of a known schema.
    """
    return saved.reading(path, from_dict)

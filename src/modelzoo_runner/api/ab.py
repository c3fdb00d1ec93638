"""ab_test(): two or more ways to run a model, measured in turns until one is clearly faster."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import inspect
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from modelzoo_runner.api import verbs
from modelzoo_runner.errors import Interrupted, RequestError, did_you_mean
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.results.ab import ABResult, Round, Side, Stopped
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.results.result import BenchmarkResult
from modelzoo_runner.values import validate
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.deprecated import with_new_names
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preset
from modelzoo_runner.values.progress import Progress

Asked = Mapping[str, Any] | str | Path | Preset | Plan | BenchmarkResult

LOOKS = (8, 12, 17, 24, 34, 48, 68, 96, 136, 192)
"""After how many rounds the intervals are looked at. Fixed beforehand, so that looking often costs
no more than `ratio.split_confidence` says; each is 1.4 times the one before."""

TURN_SECONDS = 0.15
"""How long a side is measured in a round: so short that what disturbs one side disturbs the other
too, and some ten times as long as it takes to change sides."""

NOT_OF_A_SIDE = {
    "processes": "each side is one process; rounds= says how often it is measured",
    "instances": "each side is one process",
    "cores_per_instance": "each side is one process",
    "docker_image": "the sides are processes of this machine",
    "timeout": "max_seconds= ends the measuring",
    "isolation": "each side is a child process",
    "steps": "rounds= and max_seconds= say how long is measured",
    "min_seconds": "rounds= and max_seconds= say how long is measured",
    "offline": "give it for all sides together",
    "progress": "give it for all sides together",
}


class Timed(Protocol):
    """What a turn took."""

    @property
    def step_seconds(self) -> tuple[float, ...]: ...


class Measurable(Protocol):
    """A side that is open: its plan, what was found, and a way to measure it."""

    @property
    def plan(self) -> Plan: ...
    @property
    def observed(self) -> Observed: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    def measure(self, *, seconds: float) -> Timed: ...


def ab_test(
    a: Asked,
    b: Asked,
    *others: Asked,
    rounds: int | None = None,
    min_effect: float = 0.01,
    max_seconds: float = 60.0,
    seed: int = 0,
    offline: bool = False,
    progress: Progress | None = None,
    **shared: Any,
) -> ABResult:
    """Which of two or more ways to run a model is faster, from measuring them in turns.

    Each side is opened once in a child process, warmed up, and measured for 0.15 s at a time while
    the others sleep, all sides in a random order in each round. What slows the machine down for a
    while so slows all of them, and drops out of the ratio. See `docs/comparing.md`.

    Args:
        a: the reference: a mapping of `benchmark()`'s arguments, a model's name, a preset, a
            `Plan`, or a result, whose plan it is. In a mapping, `python` is the interpreter of
            another environment with this library in it, and `name` what the side is called.
        b: what is compared with it.
        others: more sides, each compared with `a`; their intervals are wider, so that all of them
            hold together.
        rounds: how many; by default as many as are needed, at most 192.
        min_effect: the smallest difference in throughput that matters, as a share: a side is called
            faster or slower only where it is so by more than this, and the same where it is not.
        max_seconds: when measuring ends at the latest, whatever is known by then.
        seed: of the order in the rounds.
        offline: never touch the network.
        progress: called with (what, done, total).
        **shared: arguments of `benchmark()` that all mappings share.

    Returns:
        The ratio with its 95 % interval, the verdict on each side, and every round.

    Raises:
        RequestError: an argument that can't be.
        Interrupted: Ctrl-C while measuring; holds the result of the rounds so far.
        RunnerError: what opening or measuring a side raises.

    Example:
        >>> from modelzoo_runner import ab_test
        >>> ab_test({"precision": "fp32"}, {"precision": "int8"},
        ...     model="resnet50", batch_size=1).verdict  # doctest: +SKIP
        'faster'
    """
    if rounds is not None:
        rounds = validate.count("rounds", rounds)
    effect = validate.seconds("min_effect", min_effect)
    budget = validate.seconds("max_seconds", max_seconds)
    context = Context(offline=offline, progress=progress)
    asked = [
        _side(each, shared, "abcdefghijklmnopqrstuvwxyz"[number % 26], context)
        for number, each in enumerate((a, b, *others))
    ]
    names = [name for name, _, _ in asked]
    if len(set(names)) < len(names):
        raise RequestError(f"name: the sides are called {', '.join(names)}; give each its own")
    with contextlib.ExitStack() as stack:
        sides = [stack.enter_context(_opened(plan, name, python)) for name, plan, python in asked]
        return measured(
            sides,
            [
                Side(name=name, plan=side.plan, observed=side.observed, python=python)
                for (name, _, python), side in zip(asked, sides, strict=True)
            ],
            rounds=rounds,
            min_effect=effect or 0.0,
            max_seconds=budget or 0.0,
            seed=seed,
            context=context,
        )


def measured(
    contenders: Sequence[Measurable],
    sides: Sequence[Side],
    *,
    rounds: int | None,
    min_effect: float,
    max_seconds: float,
    seed: int,
    context: Context,
) -> ABResult:
    """The result of measuring open sides in turns until something ends it."""
    chance = random.Random(seed)
    began = time.monotonic()
    result = ABResult(
        sides=tuple(sides),
        rounds=(),
        min_effect=min_effect,
        looks=1 if rounds is not None else len(LOOKS),
        stopped="interrupted",
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seconds=0.0,
        warnings=tuple(
            dict.fromkeys(
                f"{side.name}: {said}"
                for side, each in zip(sides, contenders, strict=True)
                for said in each.warnings
            )
        ),
    )
    most = rounds or LOOKS[-1]
    done: list[Round] = []
    stopped: Stopped | None = None
    try:
        while stopped is None:
            done.append(_round(contenders, chance))
            context.tell("rounds", len(done), most)
            result = dataclasses.replace(
                result, rounds=tuple(done), seconds=time.monotonic() - began
            )
            stopped = _reason_to_stop(result, rounds, max_seconds)
    except KeyboardInterrupt:
        if not result.rounds:
            raise
        raise Interrupted(result, after=f"{len(result.rounds)} rounds") from None
    return dataclasses.replace(result, stopped=stopped)


def _round(contenders: Sequence[Measurable], chance: random.Random) -> Round:
    order = list(range(len(contenders)))
    chance.shuffle(order)
    found = {
        number: contenders[number].measure(seconds=TURN_SECONDS).step_seconds for number in order
    }
    steps = tuple(found[number] for number in range(len(contenders)))
    return Round(order=tuple(order), step_seconds=steps)


def _reason_to_stop(result: ABResult, rounds: int | None, max_seconds: float) -> Stopped | None:
    """Why the measuring ends with this round; `None` where it goes on."""
    count = len(result.rounds)
    if rounds is None and count in LOOKS:
        comparisons = result.comparisons
        if all(each.verdict != "inconclusive" for each in comparisons):
            return "decided"
        if all(each.width <= result.min_effect for each in comparisons):
            return "narrow"
    if count >= (rounds or LOOKS[-1]):
        return "rounds"
    return "time" if result.seconds >= max_seconds else None


@contextlib.contextmanager
def _opened(plan: Plan, name: str, python: str | None) -> Iterator[Measurable]:
    # Loaded here, so that importing the library is quick.
    from modelzoo_runner.execution import serve

    with serve.opened(plan, name=f"the child process of side {name}", python=python) as found:
        yield found


def _side(
    asked: Asked, shared: Mapping[str, Any], name: str, context: Context
) -> tuple[str, Plan, str | None]:
    """The name, the plan and the interpreter of a side."""
    if isinstance(asked, (Plan, BenchmarkResult)):
        plan = asked if isinstance(asked, Plan) else asked.plan
        return name, _single(plan, name), None
    if not isinstance(asked, Mapping):
        asked = {"model": asked}
    given = {**with_new_names(shared, stacklevel=4), **with_new_names(asked, stacklevel=4)}
    python, name = given.pop("python", None), str(given.pop("name", name))
    known = [
        each for each in inspect.signature(verbs.benchmark).parameters if each not in NOT_OF_A_SIDE
    ]
    for each in given:
        if each in NOT_OF_A_SIDE:
            raise RequestError(f"{name}: {each}: not of a side: {NOT_OF_A_SIDE[each]}")
        if each not in known:
            raise RequestError(
                f"{name}: {each!r} is no argument of benchmark(). "
                f"{did_you_mean(each, known, otherwise='Its arguments')}"
            )
    if "model" not in given:
        raise RequestError(f"{name}: model is missing; give it in the side, or once for all")
    if python is not None and not (Path(python).is_file() and os.access(python, os.X_OK)):
        raise RequestError(f"{name}: python={python!r}: no such interpreter")
    preset, request = planner.preset_for(given["model"], Request.of("benchmark", given))
    plan = planner.plan(preset, request, context)
    return name, _single(plan, name), None if python is None else str(python)


def _single(plan: Plan, name: str) -> Plan:
    """The plan as one child process runs it."""
    if plan.kind != "benchmark":
        raise RequestError(f"{name}: the plan of an {plan.kind} run; give one of benchmark()")
    if plan.instances or plan.docker_image is not None:
        raise RequestError(f"{name}: a plan of several instances or of a container: not of a side")
    return dataclasses.replace(plan, processes=1, timeout=None, isolation="child")

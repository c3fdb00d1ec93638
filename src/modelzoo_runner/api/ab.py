"""ab_test(): two or more ways to run a model, measured in turns until one is clearly faster."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelzoo_runner.api import verbs
from modelzoo_runner.errors import RequestError, did_you_mean
from modelzoo_runner.execution import in_turns
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.request import Request
from modelzoo_runner.results.ab import ABResult
from modelzoo_runner.results.result import BenchmarkResult
from modelzoo_runner.values import bars, presets, validate
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.deprecated import with_new_names
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preset
from modelzoo_runner.values.progress import Told

Asked = Mapping[str, Any] | str | Path | Preset | Plan | BenchmarkResult

NOT_OF_A_SIDE = {
    "processes": "each side is one process; rounds= says how often it is measured",
    "instances": "each side is one process",
    "cores_per_instance": "each side is one process",
    "docker_image": "the sides are processes of this machine",
    "timeout": "max_seconds= ends the measuring",
    "isolation": "each side is a child process",
    "steps": "rounds= or queries=, and max_seconds=, say how long is measured",
    "min_seconds": "rounds= or queries=, and max_seconds=, say how long is measured",
    "arrivals": "benchmark() measures with a rate of arrivals, and max_rate() finds one",
    "rate": "benchmark() measures with a rate of arrivals, and max_rate() finds one",
    "offline": "give it for all sides together",
    "progress": "give it for all sides together",
}


@bars.shown
def ab_test(
    a: Asked,
    b: Asked,
    *others: Asked,
    rounds: int | None = None,
    min_effect: float = 0.01,
    max_seconds: float = 120.0,
    seed: int = 0,
    offline: bool = False,
    progress: Told = None,
    **shared: Any,
) -> ABResult:
    """Which of two or more ways to run a model is faster, from measuring them in turns.

    In each round every side is opened in a fresh child process, and all of them are measured in
    turns of some 50 ms, in random order, while the others sleep. What slows the machine down for a
    while so slows all of them, and drops out of the ratio; that two processes of one program differ
    is in the interval, which is over the rounds. See `docs/comparing.md`.

    Args:
        a: the reference: a mapping of `benchmark()`'s arguments, a model's name, a preset, a
            `Plan`, or a result, whose plan it is. In a mapping, `python` is the interpreter of
            another environment with this library in it, and `name` what the side is called.
        b: what is compared with it.
        others: more sides, each compared with `a`; their intervals are wider, so that all of them
            hold together.
        rounds: how many; by default as many as are needed, at most 16.
        min_effect: the smallest difference in throughput that matters, as a share: a side is called
            faster or slower only where it is so by more than this, and the same where it is not.
        max_seconds: when it ends at the latest, whatever is known by then; a round takes about 10 s
            with a small model, most of it to open the sides.
        seed: of the order of the turns.
        offline: never touch the network.
        progress: `True` for bars, `False` for none, or a function, called with (what, done, total
            or None). `None`: bars in a notebook and in a terminal.
        **shared: arguments of `benchmark()` that all mappings share.

    Returns:
        The ratio with its 95 % interval, the verdict on each side, and every round.

    Raises:
        RequestError: an argument that can't be.
        Interrupted: Ctrl-C while measuring; holds the result of the rounds so far.
        RunnerError: what opening or measuring a side raises.

    Examples:
        >>> from modelzoo_runner import ab_test
        >>> ab_test({"precision": "fp32"}, {"precision": "int8"},
        ...     model="resnet50", batch_size=1).verdict  # doctest: +SKIP
        'faster'
    """
    ends = checked_ends(rounds, min_effect, max_seconds)
    context = Context(offline=offline, progress=progress)
    asked = [
        side_of(each, shared, "abcdefghijklmnopqrstuvwxyz"[number % 26], context)
        for number, each in enumerate((a, b, *others))
    ]
    names = [name for name, _, _ in asked]
    if len(set(names)) < len(names):
        raise RequestError(f"name: the sides are called {', '.join(names)}; give each its own")
    return measured(asked, ends, seed, context)


def checked_ends(rounds: int | None, min_effect: float, max_seconds: float) -> dict[str, Any]:
    """The arguments that say when measuring in turns ends.

    Raises:
        RequestError: one that can't be.
    """
    return {
        "rounds": None if rounds is None else validate.count("rounds", rounds),
        "min_effect": validate.seconds("min_effect", min_effect) or 0.0,
        "max_seconds": validate.seconds("max_seconds", max_seconds) or 0.0,
    }


def measured(
    sides: Sequence[tuple[str, Plan, str | None]],
    ends: Mapping[str, Any],
    seed: int,
    context: Context,
) -> ABResult:
    """The sides (name, plan, interpreter), measured in turns until `checked_ends` say so."""
    # Loaded here, so that importing the library is quick.
    from modelzoo_runner.execution import launch, serve

    programs = [
        serve.Program(plan, name=f"the child process of side {name}", python=python)
        for name, plan, python in sides
    ]
    with launch.anew():
        return in_turns.measured(
            functools.partial(serve.opened, programs),
            [(name, python) for name, _, python in sides],
            seed=seed,
            context=context,
            **ends,
        )


def side_of(
    asked: Asked, shared: Mapping[str, Any], name: str, context: Context
) -> tuple[str, Plan, str | None]:
    """The name, the plan and the interpreter of a side."""
    if isinstance(asked, BenchmarkResult):
        # It may be a file of somebody else's.
        env = asked.plan.placement.env
        for problem in presets.variable_problems(f"{name}: the plan's env", env):
            raise RequestError(problem)
        asked = asked.plan
    if isinstance(asked, Plan):
        return name, _single(asked, name), None
    if not isinstance(asked, Mapping):
        asked = {"model": asked}
    given = {**with_new_names(shared, stacklevel=4), **with_new_names(asked, stacklevel=4)}
    python, name = given.pop("python", None), str(given.pop("name", name))
    check_names(given, NOT_OF_A_SIDE, f"{name}: ", "not of a side")
    if "model" not in given:
        raise RequestError(f"{name}: model is missing; give it in the side, or once for all")
    if python is not None and not (Path(python).is_file() and os.access(python, os.X_OK)):
        raise RequestError(f"{name}: python={python!r}: no such interpreter")
    preset, request = planner.preset_for(given["model"], Request.of("benchmark", given))
    plan = planner.plan(preset, request, context)
    return name, _single(plan, name), None if python is None else str(python)


def check_names(
    given: Iterable[str], refused: Mapping[str, str], where: str = "", why: str = "can't be given"
) -> None:
    """Check the names of arguments of `benchmark()`; some are refused, and it is said why.

    Raises:
        RequestError: one that is refused, or isn't there.
    """
    known = [each for each in inspect.signature(verbs.benchmark).parameters if each not in refused]
    for each in given:
        if each in refused:
            raise RequestError(f"{where}{each}: {why}: {refused[each]}")
        if each not in known:
            raise RequestError(
                f"{where}{each!r} is no argument of benchmark(). "
                f"{did_you_mean(each, known, otherwise='Its arguments')}"
            )


def _single(plan: Plan, name: str) -> Plan:
    """The plan as one child process runs it."""
    if plan.kind != "benchmark":
        raise RequestError(f"{name}: the plan of an {plan.kind} run; give one of benchmark()")
    if plan.instances or plan.docker_image is not None:
        raise RequestError(f"{name}: a plan of several instances or of a container: not of a side")
    return dataclasses.replace(plan, processes=1, timeout=None, isolation="child")

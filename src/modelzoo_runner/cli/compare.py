"""The commands that compare: `compare`, `compare-predictions`, `ab`, `runtimes`, `tune`."""

from __future__ import annotations

import shlex
import tomllib
import typing
from typing import Annotated, Any

from cyclopts import Parameter

import modelzoo_runner
from modelzoo_runner.api import ab as api
from modelzoo_runner.api import paired
from modelzoo_runner.api import tune as tuning
from modelzoo_runner.cli import gates, options, output
from modelzoo_runner.errors import RequestError
from modelzoo_runner.results import compare as results
from modelzoo_runner.results.comparison import SweepComparison
from modelzoo_runner.results.export import Exportable
from modelzoo_runner.results.result import BenchmarkResult, Result
from modelzoo_runner.results.sweep import SweepResult


def compare(
    reference: options.File,
    changed: options.File,
    /,
    *,
    min_effect: gates.Share = results.MIN_EFFECT,
    fail_if_slower: gates.SlowerLimit = None,
    fail_on: gates.FailOn = None,
    to: output.Table = output.PLAIN,
) -> None:
    """Compare two saved results or sweeps.

    Args:
        reference: the file of what there was before.
        changed: the file of what is judged.
        min_effect: the smallest difference in speed that matters.
        fail_if_slower: exit with 3 where changed is slower by more than this, and with 4 where that
            can't be told.
        fail_on: exit with 4 where one of the results is invalid, or at least noisy.
    """
    pair: list[Any] = [modelzoo_runner.load(path, Exportable) for path in (reference, changed)]
    found = modelzoo_runner.compare(*pair, min_effect=min_effect)
    output.show(found, to)
    each = found.comparisons if isinstance(found, SweepComparison) else (found,)
    gates.check_verdicts((result for value in pair for result in _results(value)), fail_on)
    gates.check_speed(gates.of_comparisons(each), fail_if_slower)


def _results(value: Result | SweepResult) -> tuple[Result, ...]:
    return value.results if isinstance(value, SweepResult) else (value,)


def compare_predictions(
    reference: options.File,
    changed: options.File,
    /,
    *,
    annotations: options.File | None = None,
    resamples: int = 500,
    to: output.Output = output.PLAIN,
) -> None:
    """Tell whether two accuracy runs really differ.

    Args:
        reference: the predictions file of what there was before.
        changed: the predictions file of what is judged.
        annotations: for detections: the COCO annotations of the images that were run.
        resamples: for detections: how often the images are drawn anew.
    """
    found = paired.compare_predictions(
        reference, changed, annotations=annotations, resamples=resamples, progress=to.progress
    )
    output.show(found, to)


@options.like(modelzoo_runner.benchmark, leave_out=(*api.NOT_OF_A_SIDE, "offline", "progress"))
def ab(
    model: str,
    /,
    *,
    side: Annotated[list[str], Parameter(metavar="ARGUMENTS")],
    rounds: int | None = None,
    min_effect: gates.Share = 0.01,
    max_seconds: float = 120.0,
    offline: bool = False,
    fail_if_slower: gates.SlowerLimit = None,
    to: output.Page = output.PLAIN,
    **given: Any,
) -> None:
    """Measure two or more ways to run a model in turns.

    Options that aren't of a side are those of all sides.

    Args:
        side: what one side has of its own, as "precision=int8 num_intra_threads=2"; give it twice
            or more, the reference first. Also python=PATH for another environment, name=NAME,
            env.NAME=VALUE, or the file of a saved result, whose plan it is.
        rounds: how often all sides are opened in fresh processes and measured; by default as often
            as is needed.
        min_effect: the smallest difference in speed that matters.
        max_seconds: when measuring ends at the latest.
        offline: never touch the network.
        fail_if_slower: exit with 3 where a side is slower than the first by more than this, and
            with 4 where that can't be told.
    """
    if len(side) < 2:
        raise RequestError('side: give it twice or more, as --side "precision=fp32"')
    sides = [_side(each) for each in side]
    found = output.run(
        lambda progress: modelzoo_runner.ab_test(
            *sides,
            rounds=rounds,
            min_effect=min_effect,
            max_seconds=max_seconds,
            offline=offline,
            progress=progress,
            model=model,
            **given,
        ),
        to,
    )
    names = (f"{each.name} against {found.sides[0].name}" for each in found.sides[1:])
    ratios = zip(names, found.comparisons, strict=True)
    gates.check_speed([(name, each, True) for name, each in ratios], fail_if_slower)


@options.like(
    modelzoo_runner.runtimes,
    modelzoo_runner.benchmark,
    leave_out=(*api.NOT_OF_A_SIDE, "progress", "runtime", "precision", "shared"),
)
def runtimes(
    model: str,
    /,
    *,
    runtimes: list[str] | None = None,
    precisions: list[str] | None = None,
    offline: bool = False,
    to: output.Page = output.PLAIN,
    **given: Any,
) -> None:
    """Measure a model in each runtime and precision.

    Args:
        runtimes: tensorflow, onnxruntime or openvino; give it once for each. The first is the
            reference.
        precisions: fp32, int8 or bfloat16; give it once for each.
        offline: never touch the network.
    """
    chosen = {"runtimes": runtimes, "precisions": precisions}
    given |= {name: value for name, value in chosen.items() if value is not None}
    output.run(
        lambda progress: modelzoo_runner.runtimes(
            model, offline=offline, progress=progress, **given
        ),
        to,
    )


@options.like(
    modelzoo_runner.benchmark,
    modelzoo_runner.tune,
    leave_out=(*tuning.NOT_OF_TUNE, "progress", "shared"),
)
def tune(
    model: str,
    /,
    *,
    runtimes: list[str] | None = None,
    precisions: list[str] | None = None,
    batch_sizes: tuple[int, ...] | None = None,
    offline: bool = False,
    to: output.Page = output.PLAIN,
    **given: Any,
) -> None:
    """Find the settings with which a model runs fastest here.

    Args:
        runtimes: tensorflow, onnxruntime or openvino; give it once for each. By default those
            installed.
        precisions: fp32, int8 or bfloat16; give it once for each.
        batch_sizes: those to try. By default 1, 4, 16, 64 and the preset's, or for the latency the
            preset's alone, which is 1.
        offline: never touch the network.
    """
    chosen = {"runtimes": runtimes, "precisions": precisions, "batch_sizes": batch_sizes}
    given |= {name: value for name, value in chosen.items() if value is not None}
    output.run(
        lambda progress: modelzoo_runner.tune(model, offline=offline, progress=progress, **given),
        to,
    )


def _side(text: str) -> Any:
    """A side from its text: a mapping of arguments, or a saved result.

    Raises:
        RequestError: it is neither.
    """
    if text.endswith(".json") and "=" not in text:
        found = modelzoo_runner.load(text)
        if not isinstance(found, BenchmarkResult):
            raise RequestError(f"side={text!r}: not the result of a benchmark")
        return found
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise RequestError(f"side={text!r}: {error}") from None
    given: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise RequestError(
                f"side={text!r}: {word!r} should be an argument and its value, as precision=int8"
            )
        outer, dot, inner = name.partition(".")
        outer = outer.replace("-", "_")
        if dot:
            given.setdefault(outer, {})[inner] = value
        else:
            given[outer] = _value(outer, value)
    return given


def _value(name: str, text: str) -> Any:
    """The value of an argument: a number or a truth value only where the argument takes one."""
    kinds = str(typing.get_type_hints(modelzoo_runner.benchmark).get(name, str))
    try:
        value = tomllib.loads(f"it = {text}")["it"]
    except tomllib.TOMLDecodeError:
        value = text
    if "tuple" in kinds and text.replace(",", "").isdigit():
        return tuple(int(each) for each in text.split(","))
    wanted = (("bool", bool), ("int", int), ("float", (int, float)))
    takes = any(word in kinds and isinstance(value, kind) for word, kind in wanted)
    return value if takes and name != "cpus" else text

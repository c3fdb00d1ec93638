"""What a reader should know before trusting a result: warnings, each with what to do about it.

Pure: from the plan and what was observed to sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelzoo_runner.results import stats
from modelzoo_runner.values.plan import Image, Plan

LOAD_PER_CPU = 0.1
FEWEST_STEPS = 10


def of_timing(step_seconds: Sequence[float]) -> Iterator[str]:
    """Whether there are enough steps; how steady they are is a part of the verdict."""
    if len(step_seconds) < FEWEST_STEPS:
        steps = "1 step was" if len(step_seconds) == 1 else f"{len(step_seconds)} steps were"
        yield (
            f"only {steps} measured; ask for at least {FEWEST_STEPS} (steps=) for a number to "
            "compare with"
        )


def of_load(plan: Plan, queries: int, utilization: float | None) -> Iterator[str]:
    """Whether a queue has a steady state, and whether there are enough queries for p99."""
    if utilization is None or plan.rate is None:
        return
    if utilization >= 1:
        can_be_done = plan.rate / utilization
        yield (
            f"overload: {plan.rate:.4g} queries come in a second and {can_be_done:.4g} can be "
            "done: the queue grows without bound, and latency says how long was measured. Ask for "
            "a lower rate; max_rate() finds the highest"
        )
    if queries < stats.SAMPLES_FOR[0.99]:
        yield (
            f"{queries} queries are too few for p99, which needs {stats.SAMPLES_FOR[0.99]} at "
            "least: ask for more (steps=)"
        )


def of_plan(plan: Plan) -> Iterator[str]:
    """What the plan itself makes doubtful."""
    yield from plan.placement.warnings
    if plan.goal == "latency" and plan.batch_size > 1:
        yield (
            f'goal="latency" is about single examples, and batch_size={plan.batch_size} was asked '
            "for: the step times are of whole batches"
        )
    if plan.data_location is None:
        yield (
            "synthetic input: the step time of a detector depends on what is in the images"
            if plan.task == "detection"
            else "synthetic input: random values in the model's real range, ready in memory"
        )
    if plan.stream and plan.kind == "benchmark":
        yield (
            "the data was streamed: reading it from the bucket took processor time beside the "
            "steps; leave stream out to measure with the data on the disk"
        )


def of_image(image: Image) -> Iterator[str]:
    """Whether somebody else can get the very image of a container."""
    if image.digest is None:
        yield (
            f"docker_image={image.name!r} comes from no registry and so has no digest: this run "
            "can be repeated only where the image is"
        )


def of_machine(machine: Mapping[str, Any], cpus_usable: int) -> Iterator[str]:
    """What the state of the machine at the start makes doubtful."""
    load = machine.get("load_average_before")
    if load and load[0] / cpus_usable > LOAD_PER_CPU:
        yield (
            f"the machine was busy at the start: load average {load[0]:.2f} on {cpus_usable} "
            "usable CPUs"
        )


def of_precision(plan: Plan, machine: Mapping[str, Any], graph: Mapping[str, Any]) -> Iterator[str]:
    """Where the graph or the processor computes otherwise than the plan's precision says.

    Of `graph`, `int8_layers` are the convolutions and matrix products that compute in int8; in
    bfloat16, `bfloat16_layers` of `layers` do in that.
    """
    int8_layers = graph["int8_layers"]
    instruction_set = machine["software"]["onednn"]["instruction_set"]
    if plan.precision == "int8" and int8_layers == 0:
        yield (
            'precision="int8": nothing in this graph computes in int8, so these numbers are of '
            "float32; see what it holds with `inspect`"
        )
    elif plan.precision != "int8" and int8_layers > 0:
        yield (
            f'precision="{plan.precision}": {int8_layers} layers of this graph compute in int8, so '
            'these numbers are of int8; ask for precision="int8"'
        )
    in_bfloat16, layers = graph.get("bfloat16_layers", 0), graph.get("layers", 0)
    if in_bfloat16 < layers:
        yield (
            f'precision="bfloat16": {layers - in_bfloat16} of the {layers} convolutions and matrix '
            "products compute in float32, because the runtime did not convert them; the messages "
            "of the run may say why"
        )
    env = machine["process"]["env"]
    for name in FEWER_BITS if plan.precision == "fp32" else ():
        if env.get(name, "strict").lower() != "strict":
            yield (
                f'precision="fp32": {name}={env[name]} lets oneDNN multiply float32 in fewer bits '
                "where the processor can, as with AMX, so these numbers may not be of float32; "
                "unset it"
            )
    if int8_layers > 0 and instruction_set in WITHOUT_VNNI:
        yield (
            f"int8 without VNNI ({instruction_set}): sums of two products saturate at 16 bits "
            "here, so scores can be points lower than on a processor with VNNI, and it is slower"
        )


FEWER_BITS = ("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE")
"""See "Floating-point Math Mode" in oneDNN's developer guide."""

WITHOUT_VNNI = ("sse41", "avx", "avx2", "avx512_core")
"""oneDNN's instruction sets that multiply u8 by s8 with `vpmaddubsw`, which saturates: see "Nuances
of int8 Computations" in oneDNN's developer guide."""


def of_steps(plan: Plan, measured: int, exhausted: bool, interrupted: bool) -> Iterator[str]:
    """Where less was done than asked for."""
    if interrupted:
        yield f"interrupted after {measured} measured steps: this is a partial result"
    elif exhausted and plan.steps is not None and measured < plan.steps:
        yield (
            f"the data ended after {measured} of {plan.steps} steps (after {plan.warmup_steps} "
            "warm-up steps): ask for fewer or smaller steps"
        )


def of_scores(
    plan: Plan,
    examples: int,
    available: int | None,
    counts: Mapping[str, int],
    classes: int | None,
    published_on: tuple[str, int] | None,
) -> Iterator[str]:
    """What makes a score doubtful, or not comparable with the published one.

    `published_on` is the data set that published scores are of, and its number of examples.
    """
    if examples == plan.limit and (available is None or examples < available):
        yield f"a part of the set: {examples} examples, because of limit={plan.limit}"
    if plan.published and published_on is not None and examples != published_on[1]:
        name, images = published_on
        yield (
            f"{examples} examples; the published score is of all {images} of {name}, so "
            "the difference is only a hint"
        )
    top1 = counts.get("top1")
    if top1 is not None and classes is not None and _looks_like_chance(top1, examples, classes):
        yield (
            f"top-1 is {top1} of {examples}: no better than chance for {classes} classes. Labels "
            "or preprocessing don't belong to this graph: look at label_offset and [preprocess]"
        )


def _looks_like_chance(hits: int, examples: int, classes: int) -> bool:
    """Whether chance is within the 95 % interval of the share, given enough examples to tell."""
    if examples < 100:
        return False
    low, _ = stats.wilson_interval(hits, examples)
    return low <= 1 / classes

"""doctor(): checks a model and its data on a few images, before a long run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from modelzoo_runner.data import label_map as label_maps
from modelzoo_runner.errors import DataError
from modelzoo_runner.machine import runtime_log
from modelzoo_runner.planning import planner
from modelzoo_runner.planning.planner import Model
from modelzoo_runner.planning.request import Request
from modelzoo_runner.results.diagnosis import Diagnosis
from modelzoo_runner.values import bars, validate
from modelzoo_runner.values.arguments import documented
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.deprecated import accepts_former_names
from modelzoo_runner.values.options import BoxFormat, Isolation, LabelMap, Precision
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.progress import Told

IMAGES = 128
"""So many images tell apart what differs by 20 hits; fewer find only what is grossly wrong."""


@bars.shown
@runtime_log.held_back()
@accepts_former_names
@documented(data_location="the labelled data, here or in a store.")
def doctor(
    model: Model,
    *,
    data_location: str | Path | None = None,
    annotations: str | Path | None = None,
    precision: Precision = "fp32",
    weights: str | Path = "pretrained",
    images: int = IMAGES,
    label_map: LabelMap | None = None,
    label_offset: int | None = None,
    category_names: Mapping[str, str] | None = None,
    box_format: BoxFormat | None = None,
    num_cores: int | None = None,
    num_inter_threads: int | None = None,
    num_intra_threads: int | None = None,
    isolation: Isolation = "auto",
    optimize: bool = True,
    allow_unsafe_ops: bool = False,
    input: str | None = None,
    outputs: Mapping[str, str] | None = None,
    preprocess_graph: str | Path | None = None,
    stream: bool = False,
    allow_partial: bool = False,
    offline: bool = False,
    progress: Told = None,
) -> Diagnosis:
    """What is wrong with a model, its data and the arguments, as a few images show.

    The arguments are those of `accuracy`, whose run this comes before. Other label offsets, other
    ways to preprocess images, and other readings of boxes and classes are tried on the same images;
    a finding says what is wrong, on what evidence, and which argument mends it (see
    `docs/doctor.md`).

    Returns:
        A `Diagnosis`: findings, the scores of what was tried; `str()` of it is a page.

    Raises:
        DataRequired: no `data_location`.
        RequestError: an argument that can't be; nothing has been fetched or run.
        FetchError: the graph or the data can't be had.
        GraphError, DataError: they can't be run or read.
        WorkerError: a child process died.

    Examples:
        >>> from modelzoo_runner import doctor
        >>> print(doctor("resnet50", data_location="imagenet"))  # doctest: +SKIP
    """
    request = Request.of(
        "accuracy",
        {
            **locals(),
            "label_map": label_maps.read(label_map),
            "limit": validate.count("images", images),
        },
    )
    context = Context(offline=offline, progress=progress)
    preset, request = planner.preset_for(model, request)
    return _examined(planner.plan(preset, request, context), context)


def before(plan: Plan, context: Context) -> tuple[str, ...]:
    """The doubts about a plan that is to be run.

    Raises:
        DataError: there are errors; holds the page.
    """
    short = dataclasses.replace(plan, limit=min(IMAGES, plan.limit or IMAGES), predictions=None)
    found = _examined(short, context)
    if found.errors:
        raise DataError(f"doctor=True found what makes the score meaningless.\n{found}")
    return tuple(f"{each.what}: {each.evidence}; {each.remedy}" for each in found.doubts)


def _examined(plan: Plan, context: Context) -> Diagnosis:
    # Loaded here, so that importing the library is quick.
    from modelzoo_runner.execution import doctor as execution

    return execution.run(plan, context.guarded())

"""The recommended runs of each model, from its preset."""

from __future__ import annotations

from dataclasses import dataclass

from modelzoo_runner.errors import RequestError
from modelzoo_runner.values import presets
from modelzoo_runner.values.preset import Run


@dataclass(frozen=True, kw_only=True)
class BestKnown:
    """One recommended run: `goal` is `throughput`, `latency` or `accuracy`."""

    model: str
    precision: str
    goal: str
    run: Run

    @property
    def parameters(self) -> dict[str, str]:
        """The original pipeline's parameters for it, all but those of the place it runs in.

        Examples:
            >>> best_known("rfcn", "int8")[0].parameters["batch_size"]
            '1'
        """
        return {
            "model_name": self.model,
            "precision": self.precision,
            "batch_size": str(self.run.batch_size),
            "benchmark_or_accuracy": "accuracy" if self.goal == "accuracy" else "benchmark",
        }


def best_known(model: str | None = None, precision: str | None = None) -> tuple[BestKnown, ...]:
    """The recommended runs of one model or of all, in one precision or in all.

    Where throughput and latency are the same run (the detectors'), it is listed once.

    Raises:
        UnknownModel: with the near names.
        RequestError: no such precision.

    Examples:
        >>> [(known.goal, known.run.batch_size) for known in best_known("inceptionv4", "fp32")]
        [('throughput', 240), ('latency', 1), ('accuracy', 100)]
    """
    found = tuple(presets.every()) if model is None else (presets.find(model),)
    there = sorted({each for preset in found for each in preset.run})
    if precision is not None and precision not in there:
        raise RequestError(f"precision={precision!r}: should be {' or '.join(there)}")
    return tuple(
        BestKnown(model=preset.name, precision=each, goal=goal, run=run)
        for preset in found
        for each, by_goal in preset.run.items()
        for goal, run in by_goal.items()
        if precision in (None, each)
        and not (goal == "latency" and run == by_goal.get("throughput"))
    )


def recommended(
    model: str | None = None,
    precision: str | None = None,
    *,
    imagenet: str = "",
    coco: str = "",
) -> list[dict[str, str]]:
    """The recommended runs as mappings of the original pipeline's parameters, data included.

    Args:
        model: of this model alone.
        precision: of this precision alone.
        imagenet: data of the classifiers; without it they get synthetic input, and accuracy runs,
            which need data, are left out.
        coco: the same for the detectors.

    Raises:
        UnknownModel: with the near names.
        RequestError: no such precision.
    """
    data = {"classification": imagenet, "detection": coco}
    runs = []
    for known in best_known(model, precision):
        location = data[presets.find(known.model).task]
        if location or known.goal != "accuracy":
            runs.append({**known.parameters, "data_location": location})
    return runs

"""compare_predictions(): whether two accuracy runs on the same images really differ."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.errors import DataError, RequestError
from modelzoo_runner.results import paired
from modelzoo_runner.results.export import Exportable
from modelzoo_runner.results.paired import PairedScore
from modelzoo_runner.values import bars, codec, markup, validate
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.progress import Told

if TYPE_CHECKING:
    from modelzoo_runner.metrics.coco_detections import Detections


@dataclass(frozen=True)
class PairedComparison(Exportable):
    """The scores of two runs on the same examples, each with the interval of the difference."""

    scores: tuple[PairedScore, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.scores))

    def _repr_html_(self) -> str:
        rows = (
            (
                each.name,
                f"{each.reference:.4f}",
                f"{each.changed:.4f}",
                f"{each.difference:+.4f} ({each.interval[0]:+.4f} to {each.interval[1]:+.4f})",
                each.verdict,
            )
            for each in self.scores
        )
        header = ("score", "reference", "changed", "difference (95 % interval)", "changed is")
        return markup.card(
            markup.title(f"Two runs on the same {self.scores[0].examples} examples"),
            markup.table(header, rows),
        )

    def to_dict(self) -> dict[str, Any]:
        """The scores as plain dicts, lists and scalars."""
        scores = [
            {**codec.to_dict(each), "difference": each.difference, "verdict": each.verdict}
            for each in self.scores
        ]
        return {"kind": "paired comparison", "scores": scores}


@bars.shown
def compare_predictions(
    reference: str | Path,
    changed: str | Path,
    *,
    annotations: Mapping[str, Any] | str | Path | None = None,
    resamples: int = 500,
    seed: int = 0,
    progress: Told = None,
) -> PairedComparison:
    """Whether two accuracy runs on the same images differ by more than chance.

    Args:
        reference: the predictions file of what there was before, as `accuracy(predictions=...)`
            wrote it.
        changed: that of what is judged.
        annotations: of detections: the ground truth of the images that were run.
        resamples: of detections: how often the images are drawn anew.
        seed: of that drawing.
        progress: `True` for bars, `False` for none, or a function, called with (what, done, total
            or None). `None`: bars in a notebook and in a terminal.

    Returns:
        For classifiers top-1 and top-5, with McNemar's exact test and the interval of the
        difference; for detectors COCO's numbers with a bootstrap interval over the images.

    Raises:
        ResultError: a file can't be read, or the two are of other examples.
        DataError: the annotations don't belong to the detections.
        RequestError: an argument that can't be.
    """
    context = Context(progress=progress)
    if annotations is None:
        hits = (paired.read_hits(reference), paired.read_hits(changed))
        return PairedComparison(paired.of_hits(*hits))
    resamples = validate.count("resamples", resamples, 20)
    return PairedComparison(
        _bootstrapped(reference, changed, annotations, resamples, seed, context)
    )


def _bootstrapped(
    reference: str | Path,
    changed: str | Path,
    annotations: Mapping[str, Any] | str | Path,
    resamples: int,
    seed: int,
    context: Context,
) -> tuple[PairedScore, ...]:
    """COCO's numbers of both, and the interval of their differences over images drawn anew.

    The images are the sample: drawn with replacement, the same ones for both (Efron, Annals of
    Statistics 7, 1979). An image drawn twice counts as two images.
    """
    from modelzoo_runner.data.coco_annotations import read_annotations
    from modelzoo_runner.metrics import coco
    from modelzoo_runner.metrics.coco_detections import from_records
    from modelzoo_runner.metrics.coco_truth import read_truth
    from modelzoo_runner.values.coco_instances import validated

    if not isinstance(annotations, Mapping):
        annotations = read_annotations(Path(annotations).expanduser())
    annotations = validated(annotations, "annotations")
    # How boxes and classes are read is told from all of them, not anew in each drawing.
    truth = read_truth(annotations)
    found = [coco.resolved(_detections(each), truth) for each in (reference, changed)]
    before, after = (coco.score_detections(each, annotations).scores for each in found)
    by_image = [_by_image(list(each)) for each in found]
    objects = _by_image(annotations["annotations"])
    images: Sequence[Mapping[str, Any]] = annotations["images"]
    if not images:
        raise DataError("annotations: there are no images")
    chance = random.Random(seed)
    differences: dict[str, list[float]] = defaultdict(list)
    for number in range(resamples):
        drawn = chance.choices(images, k=len(images))
        again = {
            **annotations,
            "images": [{**image, "id": place} for place, image in enumerate(drawn, 1)],
            "annotations": _drawn(drawn, objects, numbered=True),
        }
        first, second = (
            coco.score_detections(
                replace(from_records(_drawn(drawn, each)), decisions=whole.decisions), again
            ).scores
            for each, whole in zip(by_image, found, strict=True)
        )
        for name, value in second.items():
            # -1 is COCO's mark of a number that isn't defined.
            if value > -1 and first[name] > -1:
                differences[name].append(value - first[name])
        context.tell("resamples", number + 1, resamples)
    return tuple(
        PairedScore(
            name=name,
            reference=before[name],
            changed=after[name],
            interval=paired.bootstrap_interval(values),
            examples=len(images),
        )
        for name, values in differences.items()
    )


def _detections(path: str | Path) -> Detections:
    from modelzoo_runner.metrics.coco_detections import load_detections

    if Path(path).suffix == ".csv":
        raise RequestError(f"{path}: the predictions of a classifier; leave annotations out")
    return load_detections(path)


def _by_image(records: Sequence[Mapping[str, Any]]) -> dict[Any, list[Mapping[str, Any]]]:
    found: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for each in records:
        found[each["image_id"]].append(each)
    return found


def _drawn(
    drawn: Sequence[Mapping[str, Any]],
    records: Mapping[Any, Sequence[Mapping[str, Any]]],
    *,
    numbered: bool = False,
) -> list[dict[str, Any]]:
    """The records of the images drawn, under the numbers of their places."""
    found = [
        {**each, "image_id": place}
        for place, image in enumerate(drawn, 1)
        for each in records.get(image["id"], ())
    ]
    return [{**each, "id": n} for n, each in enumerate(found, 1)] if numbered else found

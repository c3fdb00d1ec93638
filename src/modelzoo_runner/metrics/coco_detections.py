"""Detections as columns: saved, loaded.

The saved form is COCO's own results format, so any COCO tool can score it too: a JSON list of
`{"image_id", "category_id", "bbox": [x, y, width, height], "score"}` with boxes in pixels, and
`"segmentation"` where the detector gives masks.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.errors import DataError, ResultError
from modelzoo_runner.metrics import coco_boxes, coco_masks
from modelzoo_runner.metrics.coco_masks import Segmentation
from modelzoo_runner.values import atomic, remote
from modelzoo_runner.values.coco_instances import Id, identifier, read_json
from modelzoo_runner.values.options import BoxFormat
from modelzoo_runner.values.remote import RemotePath

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """Objects found in images, as columns of equal length `n`, in the order they were found.

    Attributes:
        image_ids: of the images, whole numbers of any size or text.
        category_ids: as the detector numbers its classes; `resolved`, as the annotations do.
        boxes: float64 [n, 4], in `form`.
        scores: float64 [n].
        form: of the boxes; that of COCO's results format unless a graph gave them.
        masks: n run-length encoded masks (see `coco_masks`), or none.
        not_finite: how many detections had a NaN or infinite box or score, and were left out.
        decisions: once resolved: how boxes and classes were read, and why.
        warnings: what is doubtful about that.
    """

    image_ids: tuple[Id, ...]
    category_ids: tuple[Id, ...]
    boxes: np.ndarray
    scores: np.ndarray
    form: BoxFormat = coco_boxes.COCO
    masks: tuple[Segmentation, ...] = ()
    not_finite: int = 0
    decisions: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each detection as COCO's results format has it."""
        columns = (self.image_ids, self.category_ids, self.boxes.tolist(), self.scores.tolist())
        for place, row in enumerate(zip(*columns, strict=True)):
            record = dict(zip(("image_id", "category_id", "bbox", "score"), row, strict=True))
            yield record | {"segmentation": self.masks[place]} if self.masks else record

    def save(self, path: Path | str | RemotePath) -> Path | RemotePath:
        """Write the detections in COCO's results format, whole or not at all; return the path.

        Raises:
            ResultError: the path can't be written; says why.
        """
        path = remote.path(path)
        try:
            with atomic.writing(path) as file:
                separator = b"["
                for record in self:
                    file.write(separator + json.dumps(record, allow_nan=False).encode())
                    separator = b",\n"
                file.write(b"]\n" if len(self) else b"[]\n")
        except OSError as error:
            raise ResultError(
                f"{path}: the detections can't be saved there: {error.strerror or error}"
            ) from None
        return path


def load_detections(path: Path | str) -> Detections:
    """The detections that a file in COCO's results format holds.

    Raises:
        DataError: the file can't be read, isn't a JSON list, or an entry lacks something.
    """
    return from_records(read_json(remote.path(path)), where=str(path))


def from_records(
    records: Iterable[Mapping[str, Any]],
    *,
    where: str = "detections",
    form: BoxFormat = coco_boxes.COCO,
) -> Detections:
    """The detections of a list in COCO's results format; `where` begins the error messages.

    Ids may be text, as some tools write them. Without a `bbox` the box is that of the mask; masks
    are kept if all entries have one.

    Raises:
        DataError: naming the entry and what it lacks.
    """
    import numpy as np

    if not isinstance(records, Sequence) or isinstance(records, str):
        raise DataError(
            f"{where}: should be a list of detections in COCO's results format, and is "
            f"{type(records).__name__}."
        )
    rows = [_row(record, f"{where}: entry {number}") for number, record in enumerate(records)]
    # A NaN can be read from JSON as Python writes it.
    is_sound = [all(map(math.isfinite, row[2])) for row in rows]
    sound = list(itertools.compress(rows, is_sound))
    masked = bool(records) and all("segmentation" in record for record in records)
    masks = [record["segmentation"] for record in records] if masked else []
    numbers = np.array([row[2] for row in sound], np.float64).reshape(-1, 5)
    return Detections(
        image_ids=tuple(row[0] for row in sound),
        category_ids=tuple(row[1] for row in sound),
        boxes=numbers[:, :4],
        scores=numbers[:, 4],
        form=form,
        masks=tuple(itertools.compress(masks, is_sound)),
        not_finite=len(rows) - len(sound),
    )


def _row(record: Any, where: str) -> tuple[Id, Id, tuple[float, ...]]:
    try:
        box = record.get("bbox")
        if box is None:
            box = coco_masks.box(record["segmentation"])
        x, y, width, height = box
        numbers = [x, y, width, height, record["score"]]
        if any(isinstance(each, (str, bool)) for each in numbers):
            raise TypeError
        values = tuple(map(float, numbers))
        return identifier(record["image_id"]), identifier(record["category_id"]), values
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise DataError(
            f"{where}: {str(record)[:100]} should have image_id and category_id (whole numbers or "
            "text), bbox (x, y, width, height in pixels) or segmentation (a run-length encoded "
            "mask), and score."
        ) from None

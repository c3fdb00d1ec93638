"""What a detector found, as columns: saved, loaded.

The saved form is COCO's own results format, so any COCO tool can score it too: a JSON list of
`{"image_id", "category_id", "bbox": [x, y, width, height], "score"}` with boxes in pixels, and
`"segmentation"` where the detector gives masks. What is right or wrong about a detection is not
known here.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.errors import DataError, ResultError
from modelzoo_runner.metrics import coco_masks
from modelzoo_runner.metrics.coco_masks import Segmentation
from modelzoo_runner.values import atomic

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """Objects found in images, as columns of equal length `n`, in the order they were found.

    Attributes:
        image_ids: int64 [n].
        category_ids: int64 [n], as the detector numbers its classes.
        boxes: float64 [n, 4]: x, y, width, height in pixels.
        scores: float64 [n].
        masks: n run-length encoded masks (see `coco_masks`), or none.
        not_finite: how many detections had a NaN or infinite box or score, and were left out.
    """

    image_ids: np.ndarray
    category_ids: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    masks: tuple[Segmentation, ...] = ()
    not_finite: int = 0

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each detection as COCO's results format has it."""
        columns = (self.image_ids, self.category_ids, self.boxes, self.scores)
        for place, row in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
            record = dict(zip(("image_id", "category_id", "bbox", "score"), row, strict=True))
            yield record | {"segmentation": self.masks[place]} if self.masks else record

    def of(self, image_id: int) -> Detections:
        """The detections in one image."""
        chosen = self.image_ids == image_id
        return Detections(
            image_ids=self.image_ids[chosen],
            category_ids=self.category_ids[chosen],
            boxes=self.boxes[chosen],
            scores=self.scores[chosen],
            masks=tuple(itertools.compress(self.masks, chosen)),
        )

    def save(self, path: Path | str) -> Path:
        """Write the detections in COCO's results format, whole or not at all; return the path.

        Raises:
            ResultError: the path can't be written; says why.
        """
        path = Path(path).expanduser()
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
    path = Path(path).expanduser()
    try:
        records = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON, or cut short: {error}") from None
    return from_records(records, where=str(path))


def from_records(records: Iterable[Mapping[str, Any]], *, where: str = "detections") -> Detections:
    """The detections of a list in COCO's results format; `where` begins the error messages.

    An `image_id` may be text, as some tools write it, if it is a whole number. Without a `bbox` the
    box is that of the mask; masks are kept if all entries have one.

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
    is_sound = [all(map(math.isfinite, row[2:])) for row in rows]
    sound = list(itertools.compress(rows, is_sound))
    masked = bool(records) and all("segmentation" in record for record in records)
    masks = [record["segmentation"] for record in records] if masked else []
    numbers = np.array([row[2:] for row in sound], np.float64).reshape(-1, 5)
    return Detections(
        image_ids=np.array([row[0] for row in sound], np.int64),
        category_ids=np.array([row[1] for row in sound], np.int64),
        boxes=numbers[:, :4],
        scores=numbers[:, 4],
        masks=tuple(itertools.compress(masks, is_sound)),
        not_finite=len(rows) - len(sound),
    )


def _row(record: Any, where: str) -> tuple[int, int, float, float, float, float, float]:
    try:
        x, y, width, height = record.get("bbox") or coco_masks.box(record["segmentation"])
        numbers = (float(x), float(y), float(width), float(height), float(record["score"]))
        return (int(record["image_id"]), int(record["category_id"]), *numbers)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise DataError(
            f"{where}: {str(record)[:100]} should have image_id and category_id (whole numbers), "
            "bbox (x, y, width, height in pixels) or segmentation (a run-length encoded mask), and "
            "score."
        ) from None

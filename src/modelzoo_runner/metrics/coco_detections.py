"""What a detector found: collected from its outputs, saved, loaded.

The saved form is COCO's own results format, so any COCO tool can score it too: a JSON list of
`{"image_id", "category_id", "bbox": [x, y, width, height], "score"}` with boxes in pixels.
What is right or wrong about a detection is not known here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner import atomic
from modelzoo_runner.errors import DataError, GraphError, ResultError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """Boxes found in images, as columns of equal length `n`, in the order they were found.

    Attributes:
        image_ids: int64 [n].
        category_ids: int64 [n], as the detector numbers its classes.
        boxes: float64 [n, 4]: x, y, width, height in pixels.
        scores: float64 [n].
        not_finite: how many detections had a NaN or infinite box or score, and were left out.
    """

    image_ids: np.ndarray
    category_ids: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    not_finite: int = 0

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each detection as COCO's results format has it."""
        columns = (self.image_ids, self.category_ids, self.boxes, self.scores)
        for image_id, category_id, box, score in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            yield {"image_id": image_id, "category_id": category_id, "bbox": box, "score": score}

    def of(self, image_id: int) -> Detections:
        """The detections in one image."""
        chosen = self.image_ids == image_id
        return Detections(
            image_ids=self.image_ids[chosen],
            category_ids=self.category_ids[chosen],
            boxes=self.boxes[chosen],
            scores=self.scores[chosen],
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


class Collector:
    """Gathers the outputs of a detection graph, batch by batch.

    >>> import numpy as np
    >>> found, box = Collector(), np.array([[0.0, 0.0, 0.5, 0.25]])
    >>> found.add(139, box, np.array([0.9]), np.array([18.0]), (80, 40))
    >>> list(found.detections())
    [{'image_id': 139, 'category_id': 18, 'bbox': [0.0, 0.0, 10.0, 40.0], 'score': 0.9}]
    """

    def __init__(self) -> None:
        self._columns: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self._not_finite = 0

    def add(
        self,
        image_id: int,
        boxes: np.ndarray,
        scores: np.ndarray,
        classes: np.ndarray,
        size: tuple[int, int],
    ) -> None:
        """Add what was found in one image.

        Args:
            image_id: COCO's number of the image.
            boxes: [n, 4]: ymin, xmin, ymax, xmax as shares of the image (0..1).
            scores: [n].
            classes: [n], whole numbers of any type.
            size: height and width of the image in pixels.
        """
        import numpy as np

        shares = np.asarray(boxes, np.float64).reshape(-1, 4)
        scores = np.asarray(scores, np.float64)
        classes = np.asarray(classes, np.float64)
        sound = np.isfinite(shares).all(axis=1) & np.isfinite(scores) & np.isfinite(classes)
        self._not_finite += int(np.count_nonzero(~sound))
        height, width = size
        ymin, xmin, ymax, xmax = (shares[sound] * (height, width, height, width)).T
        self._columns.append(
            (
                np.full(len(ymin), image_id, np.int64),
                classes[sound].astype(np.int64),
                np.stack([xmin, ymin, xmax - xmin, ymax - ymin], axis=1),
                scores[sound],
            )
        )

    def add_batch(
        self,
        image_ids: Sequence[int],
        sizes: Sequence[tuple[int, int]],
        outputs: Mapping[str, np.ndarray],
    ) -> None:
        """Add what a graph answered for one batch.

        Args:
            image_ids: COCO's number of each of the `n` images.
            sizes: height and width in pixels that each image's boxes are shares of.
            outputs: by role: `num_detections` [n], `detection_boxes` [n, k, 4],
                `detection_scores` [n, k], `detection_classes` [n, k].

        Raises:
            GraphError: the outputs are not of these shapes, or there are not `num_detections`.
        """
        counts, boxes = outputs["num_detections"], outputs["detection_boxes"]
        scores, classes = outputs["detection_scores"], outputs["detection_classes"]
        images = len(image_ids)
        if not (
            counts.shape == (images,)
            and boxes.shape == (*scores.shape, 4)
            and scores.shape == classes.shape
            and scores.shape[:1] == (images,)
        ):
            shapes = ", ".join(f"{role} {list(outputs[role].shape)}" for role in sorted(outputs))
            raise GraphError(
                f"outputs of a batch of {images}: {shapes}. A detection graph should give "
                "num_detections [n], detection_boxes [n, k, 4], detection_scores [n, k] and "
                "detection_classes [n, k]."
            )
        for row, image_id in enumerate(image_ids):
            count = float(counts[row])
            if not 0 <= count <= scores.shape[1]:  # and so for a NaN
                raise GraphError(
                    f"num_detections is {count:g} for image {image_id}: it should be from 0 to "
                    f"{scores.shape[1]}, the number of boxes given."
                )
            kept = slice(0, int(count))
            self.add(image_id, boxes[row, kept], scores[row, kept], classes[row, kept], sizes[row])

    def detections(self) -> Detections:
        """Everything added so far."""
        import numpy as np

        none = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0)
        columns = [np.concatenate(column) for column in zip(none, *self._columns, strict=True)]
        return Detections(
            image_ids=columns[0],
            category_ids=columns[1],
            boxes=columns[2],
            scores=columns[3],
            not_finite=self._not_finite,
        )


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

    An `image_id` may be text, as some tools write it, if it is a whole number.

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
    sound = [row for row in rows if all(math.isfinite(number) for number in row[2:])]
    numbers = np.array([row[2:] for row in sound], np.float64).reshape(-1, 5)
    return Detections(
        image_ids=np.array([row[0] for row in sound], np.int64),
        category_ids=np.array([row[1] for row in sound], np.int64),
        boxes=numbers[:, :4],
        scores=numbers[:, 4],
        not_finite=len(rows) - len(sound),
    )


def _row(record: Any, where: str) -> tuple[int, int, float, float, float, float, float]:
    try:
        x, y, width, height = record["bbox"]
        numbers = (float(x), float(y), float(width), float(height), float(record["score"]))
        return (int(record["image_id"]), int(record["category_id"]), *numbers)
    except (KeyError, TypeError, ValueError):
        raise DataError(
            f"{where}: {str(record)[:100]} should have image_id and category_id (whole numbers), "
            "bbox (x, y, width, height in pixels) and score."
        ) from None

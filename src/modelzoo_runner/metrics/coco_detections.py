"""Detections as columns: collected from a graph's outputs, saved, loaded.

The saved form is COCO's own results format, so any COCO tool can score it too: a JSON list of
`{"image_id", "category_id", "bbox": [x, y, width, height], "score"}` with boxes in pixels, and
`"segmentation"` where the detector gives masks.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.errors import DataError, GraphError, ResultError
from modelzoo_runner.metrics import coco_boxes, coco_masks
from modelzoo_runner.metrics.coco_masks import Segmentation
from modelzoo_runner.values import atomic
from modelzoo_runner.values.coco_instances import Id, identifier
from modelzoo_runner.values.options import BoxFormat
from modelzoo_runner.values.preset import MASKS

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

    def of(self, image_id: Id) -> Detections:
        """The detections in one image."""
        import numpy as np

        chosen = np.array([each == image_id for each in self.image_ids], bool)
        return replace(
            self,
            image_ids=tuple(itertools.compress(self.image_ids, chosen)),
            category_ids=tuple(itertools.compress(self.category_ids, chosen)),
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
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON, or cut short: {error}") from None
    return from_records(records, where=str(path))


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


class Collector:
    """Gathers the outputs of a detection graph, batch by batch.

    Args:
        with_masks: gather the masks too, where the graph gives them.
        form: of the graph's boxes. It may turn out to be another (see `coco.resolved`), unless
            there are masks, which are placed by it at once.

    >>> import numpy as np
    >>> found, box = Collector(), np.array([[0.0, 0.0, 0.5, 0.25]])
    >>> found.add(139, box, np.array([0.9]), np.array([18.0]), (80, 40))
    >>> list(found.detections())
    [{'image_id': 139, 'category_id': 18, 'bbox': [0.0, 0.0, 0.5, 0.25], 'score': 0.9}]
    """

    def __init__(
        self, *, with_masks: bool = False, form: BoxFormat = coco_boxes.TENSORFLOW
    ) -> None:
        self._with_masks = with_masks
        self._form = form
        self._images: list[Id] = []
        self._columns: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._masks: list[Segmentation] = []
        self._not_finite = 0

    def add(
        self,
        image_id: Id,
        boxes: np.ndarray,
        scores: np.ndarray,
        classes: np.ndarray,
        size: tuple[int, int],
        masks: np.ndarray | None = None,
    ) -> None:
        """Add what was found in one image.

        Args:
            image_id: of the image.
            boxes: [n, 4], as the graph gives them.
            scores: [n].
            classes: [n], whole numbers of any type.
            size: height and width of the image in pixels.
            masks: [n, rows, columns]: shares of 0..1 within each box.

        Raises:
            GraphError: a class isn't a whole number.
        """
        import numpy as np

        given = np.asarray(boxes, np.float64).reshape(-1, 4)
        scores = np.asarray(scores, np.float64)
        classes = np.asarray(classes, np.float64)
        sound = np.isfinite(given).all(axis=1) & np.isfinite(scores) & np.isfinite(classes)
        self._not_finite += int(np.count_nonzero(~sound))
        labels = classes[sound]
        if np.any(labels != np.round(labels)):
            odd = labels[labels != np.round(labels)][0]
            raise GraphError(
                f"detection_classes has {odd:g} for image {image_id}: classes are whole numbers; "
                "are the outputs mixed up?"
            )
        self._images += [image_id] * len(labels)
        self._columns.append((labels.astype(np.int64), given[sound], scores[sound]))
        if masks is not None:
            corners = given[sound]
            if self._form != coco_boxes.TENSORFLOW:
                pixels = coco_boxes.converted(corners, self._form, np.array([size[::-1]]))
                low, high = pixels[:, :2], pixels[:, :2] + pixels[:, 2:]
                corners = np.hstack([low[:, ::-1], high[:, ::-1]]) / np.tile(size, 2)
            self._masks += coco_masks.encoded(masks[sound], corners, size)

    def add_batch(
        self,
        image_ids: Sequence[Id],
        sizes: Sequence[tuple[int, int]],
        outputs: Mapping[str, np.ndarray],
    ) -> None:
        """Add what a graph gave for one batch.

        Args:
            image_ids: of the `n` images.
            sizes: height and width of each image in pixels.
            outputs: by role: `num_detections` [n], `detection_boxes` [n, k, 4],
                `detection_scores` [n, k], `detection_classes` [n, k], and, if the graph has them,
                `detection_masks` [n, k, rows, columns].

        Raises:
            GraphError: the outputs are not of these shapes, or there are not `num_detections`.
        """
        counts, boxes = outputs["num_detections"], outputs["detection_boxes"]
        scores, classes = outputs["detection_scores"], outputs["detection_classes"]
        masks = outputs.get(MASKS) if self._with_masks else None
        images = len(image_ids)
        if not (
            counts.shape == (images,)
            and boxes.shape == (*scores.shape, 4)
            and scores.shape == classes.shape
            and scores.shape[:1] == (images,)
            and (masks is None or (masks.ndim == 4 and masks.shape[:2] == scores.shape))
        ):
            shapes = ", ".join(f"{role} {list(outputs[role].shape)}" for role in sorted(outputs))
            raise GraphError(
                f"outputs of a batch of {images}: {shapes}. A detection graph should give "
                "num_detections [n], detection_boxes [n, k, 4], detection_scores [n, k], "
                "detection_classes [n, k] and, if it has masks, detection_masks [n, k, rows, "
                "columns]."
            )
        for row, image_id in enumerate(image_ids):
            count = float(counts[row])
            if not 0 <= count <= scores.shape[1]:  # and so for a NaN
                raise GraphError(
                    f"num_detections is {count:g} for image {image_id}: it should be from 0 to "
                    f"{scores.shape[1]}, the number of boxes given."
                )
            kept = slice(0, int(count))
            found = (boxes[row, kept], scores[row, kept], classes[row, kept])
            own = None if masks is None else masks[row, kept]
            self.add(image_id, *found, sizes[row], own)

    def detections(self) -> Detections:
        """Everything added so far, as the graph gave it."""
        import numpy as np

        none = np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0)
        columns = [np.concatenate(column) for column in zip(none, *self._columns, strict=True)]
        return Detections(
            image_ids=tuple(self._images),
            category_ids=tuple(columns[0].tolist()),
            boxes=columns[1],
            scores=columns[2],
            form=self._form,
            masks=tuple(self._masks),
            not_finite=self._not_finite,
        )

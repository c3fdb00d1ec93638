"""COCO scoring of a data set as large as val2017: ours, which is hotcoco's, beside pycocotools.

    python benchmarks/coco_eval.py [--images 5000] [--boxes 36000] [--per-image 100] [--seed 0]

Both score the same made detections, from arrays in memory to the 12 numbers, in one process, one
after the other. Prints both times, their ratio, and the largest difference between the numbers.
Needs `pip install pycocotools`; at the full size that takes a minute and 2 GB of memory.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import time
from typing import Any

import numpy as np

from modelzoo_runner.metrics.coco import score_detections
from modelzoo_runner.metrics.coco_detections import Detections
from modelzoo_runner.values.coco_categories import NAMES, ORDERED

SIZE = np.array([640, 480])


def made(images: int, boxes: int, per_image: int, seed: int) -> tuple[dict[str, Any], Detections]:
    """Ground truth, and detections of which some are near to it and more are not."""
    random = np.random.default_rng(seed)
    image_ids = random.integers(1, images + 1, boxes)
    categories = random.choice(ORDERED, boxes)
    # Logarithmic sizes: small, medium and large things, as in COCO.
    sizes = np.exp(random.uniform(np.log(8), np.log(400), (boxes, 2)))
    truth_boxes = np.hstack([random.uniform(0, 1, (boxes, 2)) * (SIZE - sizes).clip(0), sizes])
    truth = {
        "images": [{"id": number} for number in range(1, images + 1)],
        "categories": [{"id": number, "name": name} for number, name in NAMES.items()],
        "annotations": [
            {
                "id": number,
                "image_id": int(image_ids[number - 1]),
                "category_id": int(categories[number - 1]),
                "bbox": truth_boxes[number - 1].tolist(),
                "area": float(truth_boxes[number - 1, 2:].prod() * 0.7),
                "iscrowd": int(random.random() < 0.01),
            }
            for number in range(1, boxes + 1)
        ],
    }
    # Each box is found several times, more or less well; the other half is noise.
    total = images * per_image
    near = random.integers(0, boxes, total // 2)
    noise = total - len(near)
    shift = np.tile(truth_boxes[near, 2:], 2) * random.normal(0, 0.1, (len(near), 4))
    stray = np.hstack([random.uniform(0, 400, (noise, 2)), random.uniform(8, 200, (noise, 2))])
    found = Detections(
        image_ids=np.concatenate([image_ids[near], random.integers(1, images + 1, noise)]),
        category_ids=np.concatenate([categories[near], random.choice(ORDERED, noise)]),
        boxes=np.vstack([truth_boxes[near] + shift, stray]),
        # Rounded, so that many are equal.
        scores=np.round(
            np.concatenate([random.beta(2, 1, len(near)), random.beta(1, 4, noise)]), 3
        ),
    )
    return truth, found


def ours(truth: dict[str, Any], found: Detections) -> np.ndarray:
    """The 12 numbers as this library has them."""
    return np.array(list(score_detections(found, truth).scores.values()))


def reference(truth: dict[str, Any], found: Detections) -> np.ndarray:
    """The 12 numbers as pycocotools has them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    columns = [found.image_ids, found.boxes, found.scores, found.category_ids]
    # It prints as it works.
    with contextlib.redirect_stdout(io.StringIO()):
        expected = COCO()
        expected.dataset = truth
        expected.createIndex()
        evaluation = COCOeval(expected, expected.loadRes(np.column_stack(columns)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.asarray(evaluation.stats)


def main() -> None:
    """Make the data, score it twice, and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--boxes", type=int, default=36_000)
    parser.add_argument("--per-image", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    ours(*made(1, 1, 1, 0))  # loads the library
    truth, found = made(args.images, args.boxes, args.per_image, args.seed)
    print(f"{args.images} images, {args.boxes} boxes, {len(found)} detections")
    numbers, seconds = {}, {}
    # pycocotools last: it writes into the annotations.
    for name, score in {"modelzoo_runner": ours, "pycocotools": reference}.items():
        start = time.perf_counter()
        numbers[name] = score(truth, found)
        seconds[name] = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{name:16} {seconds[name]:7.2f} s, AP {numbers[name][0]:.6f}, peak {peak:.1f} GB")
    ratio = seconds["pycocotools"] / seconds["modelzoo_runner"]
    difference = np.abs(numbers["pycocotools"] - numbers["modelzoo_runner"]).max()
    print(f"pycocotools takes {ratio:.0f} times as long; largest difference {difference:.1e}")


if __name__ == "__main__":
    main()

"""Made COCO sets whose right answer is known by construction: scored rightly, or refused."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
from coco_made import reference

from modelzoo_runner.errors import RunnerError
from modelzoo_runner.metrics.coco import score_detections
from modelzoo_runner.values.coco_categories import NAMES, ORDERED

SETS = 120

OWN = ("wheel", "bolt", "apple", "zip", "mug", "lamp", "cable", "drill", "key", "hinge", "belt")


def categories(draw: np.random.Generator) -> tuple[dict[int, str], str]:
    """Category id -> name, and what kind of set that is."""
    kind = str(
        draw.choice(["coco", "coco part", "coco renumbered", "own", "own gaps", "coco 1-80"])
    )
    if kind == "coco":
        return dict(NAMES), kind
    if kind == "coco 1-80":
        return {n: NAMES[each] for n, each in enumerate(ORDERED, 1)}, kind
    some = sorted(draw.choice(ORDERED, int(draw.integers(3, 30)), replace=False).tolist())
    if kind == "coco part":
        return {each: NAMES[each] for each in some}, kind
    if kind == "coco renumbered":
        mixed = draw.permutation(some).tolist()
        return {n: NAMES[each] for n, each in enumerate(mixed, 1)}, kind
    names = draw.permutation(OWN)[: draw.integers(3, len(OWN) + 1)].tolist()
    ids = range(1, 99) if kind == "own" else sorted(draw.choice(60, len(names), replace=False) + 1)
    return {int(each): str(name) for each, name in zip(ids, names, strict=False)}, kind


def numbering(
    draw: np.random.Generator, names: dict[int, str], kind: str
) -> tuple[str, dict[int, Any]]:
    """A way to number classes, and category id -> class by it."""
    ids = sorted(names)
    ways = {
        "ids": {each: each for each in ids},
        "from 0": {each: n for n, each in enumerate(ids)},
        "from 1": {each: n for n, each in enumerate(ids, 1)},
        "ids less 1": {each: each - 1 for each in ids},
        "ids plus 1": {each: each + 1 for each in ids},
        "by name": {each: n for n, each in enumerate(sorted(ids, key=names.__getitem__))},
        "mixed": dict(zip(ids, draw.permutation(ids).tolist(), strict=True)),
        "text": {each: names[each] for each in ids},
    }
    if kind.startswith("coco"):
        coco = {name: each for each, name in NAMES.items()}
        ways["coco ids"] = {each: coco[names[each]] for each in ids}
        ways["coco from 0"] = {each: ORDERED.index(coco[names[each]]) for each in ids}
        ways["coco from 1"] = {each: ORDERED.index(coco[names[each]]) + 1 for each in ids}
    way = str(draw.choice(sorted(ways)))
    return way, ways[way]


def box_form(
    draw: np.random.Generator,
) -> tuple[str, Any]:
    """A form, and the function that puts x, y, width, height into it."""
    forms = {
        "pixel_xywh": lambda x, y, w, h, _: [x, y, w, h],
        "pixel_xyxy": lambda x, y, w, h, _: [x, y, x + w, y + h],
        "pixel_yxyx": lambda x, y, w, h, _: [y, x, y + h, x + w],
        "pixel_cxcywh": lambda x, y, w, h, _: [x + w / 2, y + h / 2, w, h],
        "normalized_xywh": lambda x, y, w, h, s: [x / s[0], y / s[1], w / s[0], h / s[1]],
        "normalized_xyxy": lambda x, y, w, h, s: [
            x / s[0], y / s[1], (x + w) / s[0], (y + h) / s[1]
        ],
        "normalized_yxyx": lambda x, y, w, h, s: [
            y / s[1], x / s[0], (y + h) / s[1], (x + w) / s[0]
        ],
    }  # fmt: skip
    weights = np.array([3.0 if name == "pixel_xywh" else 1.0 for name in forms])
    name = str(draw.choice(list(forms), p=weights / weights.sum()))
    return name, forms[name]


def as_id(kind: str, number: int) -> Any:
    forms = {"int": number, "text": str(number), "padded": f"{number:012}", "float": float(number)}
    return {**forms, "large": number + 2**64, "name": f"cam{number % 3}/{number}.jpg"}[kind]


def made(seed: int) -> tuple[list[dict[str, Any]], dict[str, Any], Any, dict[str, Any]]:
    """Detections, ground truth, pycocotools' numbers for what they mean, and what was drawn."""
    draw = np.random.default_rng(seed)
    names, kind = categories(draw)
    way, classes = numbering(draw, names, kind)
    form, formed = box_form(draw)
    id_kind = str(draw.choice(["int", "int", "text", "padded", "float", "large", "name"]))
    skill = float(draw.choice([1.0, 1.0, 0.8, 0.5, 0.25]))
    images = int(draw.choice([1, 2, 5, 20, 60]))
    padding = int(draw.choice([0, 0, 3]))
    noise = float(draw.choice([0.0, 2.0, 6.0]))
    use = draw.permutation(sorted(names))[: draw.integers(1, len(names) + 1)].tolist()
    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    plain, given = [], []
    for number in range(1, images + 1):
        width, height = int(draw.integers(200, 640)), int(draw.integers(200, 640))
        truth["images"].append({"id": number, "width": width, "height": height})
        for _ in range(int(draw.integers(0, 8))):
            w, h = draw.integers(20, 160, 2).tolist()
            x, y = int(draw.integers(0, width - w)), int(draw.integers(0, height - h))
            category = int(draw.choice(use))
            crowd = int(draw.random() < 0.05)
            truth["annotations"].append(
                {"id": len(truth["annotations"]) + 1, "image_id": number, "category_id": category,
                 "bbox": [x, y, w, h], "area": 0.7 * w * h, "iscrowd": crowd}
            )  # fmt: skip
            found = category if draw.random() < skill else int(draw.choice(sorted(names)))
            if draw.random() > skill:
                x, y = int(draw.integers(0, width)), int(draw.integers(0, height))
            box = [x + noise * draw.normal(), y + noise * draw.normal(), w, h]
            place = as_id(id_kind, number) if id_kind == "name" else number
            plain.append(
                {"image_id": place, "category_id": found, "bbox": box,
                 "score": round(float(draw.uniform(0.2, 1)), 2)}
            )  # fmt: skip
            given.append(
                {"image_id": as_id(id_kind, number), "category_id": classes[found],
                 "bbox": formed(*box, (width, height)), "score": plain[-1]["score"]}
            )  # fmt: skip
        for _ in range(padding):
            given.append(
                {"image_id": as_id(id_kind, number), "category_id": 0, "bbox": [0.0, 0.0, 0.0, 0.0],
                 "score": 0.0}
            )  # fmt: skip
    for each, name in names.items():
        truth["categories"].append({"id": each, "name": name})
    if draw.random() < 0.3:
        truth["categories"].insert(0, {"id": 0, "name": "background"})
    drawn = {"kind": kind, "way": way, "form": form, "ids": id_kind, "skill": skill,
             "images": images, "classes": sorted(classes.items())[:4]}  # fmt: skip
    by_number = json.loads(json.dumps(truth))
    truth["images"] = [{**each, "id": as_id(id_kind, each["id"])} for each in truth["images"]]
    for each in truth["annotations"]:
        each["image_id"] = as_id(id_kind, each["image_id"])
    # The order of the images decides between equal scores.
    expected = reference(plain, truth if id_kind == "name" else by_number)[:12] if plain else None
    return given, truth, expected, drawn


def test_made_sets_are_scored_rightly_or_refused() -> None:
    outcomes: Counter[str] = Counter()
    wrong, refused = [], []
    for seed in range(SETS):
        found, truth, expected, drawn = made(seed)
        if expected is None:
            continue
        try:
            ours = score_detections(found, truth)
        except RunnerError as error:
            outcomes["refused"] += 1
            assert "label_map=" in str(error) or "box_format=" in str(error)
            # Nobody could tell a mixed-up numbering, or one from a few bad detections.
            if drawn["way"] != "mixed" and drawn["images"] >= 20 and drawn["skill"] >= 0.8:
                refused.append((seed, drawn, str(error)))
            continue
        if np.allclose(list(ours.scores.values()), expected, rtol=0, atol=1e-9):
            outcomes["right"] += 1
        elif any("label_map=" in said for said in ours.warnings):
            outcomes["doubted"] += 1
        else:
            wrong.append((seed, drawn, ours))
    assert not wrong
    assert not refused
    assert outcomes["doubted"] <= 2
    assert outcomes["right"] > SETS / 2

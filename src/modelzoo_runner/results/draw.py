"""A picture of what a detector found, for a notebook or a file."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modelzoo_runner.errors import RequestError
from modelzoo_runner.values.coco_categories import NAMES

if TYPE_CHECKING:
    import numpy as np
    from PIL import ImageDraw
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

LINE_SHARE = 0.005
"""Width of a box's line, as a share of the image's longer side."""

MASK_OPACITY = 0.45
"""How much of a mask's colour there is over the image, of 1."""

LETTER_SHARE = 0.026
"""Height of the letters, as a share of the image's longer side."""

Color = tuple[int, int, int]


class Area(NamedTuple):
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float


def draw_detections(
    image: Image | np.ndarray[Any, Any] | Path | str,
    detections: Iterable[Mapping[str, Any]],
    *,
    names: Mapping[int, str] = NAMES,
    min_score: float = 0.5,
    most: int = 20,
) -> Image:
    """The image with a box around each thing found, its mask if it has one, its name and score.

    A category has the same colour in every picture. In a notebook the returned image shows itself;
    `draw_detections(...).save("found.png")` writes it.

    Args:
        image: a PIL image, uint8 [height, width, 3] in RGB, or the path of an image. It isn't
            changed.
        detections: of this one image, in COCO's results format: `category_id`, `bbox` (x, y, width,
            height in pixels), `score`, and, if there are masks, `segmentation`.
        names: category id -> name; by default COCO's.
        min_score: leaves out what is less sure.
        most: how many boxes at most, the surest ones.

    Raises:
        RequestError: the detections are of several images, a mask isn't of this one's size, or the
            path is of no image.

    >>> from PIL import Image
    >>> dog = {"category_id": 18, "bbox": [20, 30, 60, 40], "score": 0.93}
    >>> draw_detections(Image.new("RGB", (160, 120)), [dog]).size
    (160, 120)
    """
    from PIL import ImageDraw, ImageFont

    canvas = _copied(image)
    found = _chosen(list(detections), min_score, most)
    for each in reversed(found):
        if each.get("segmentation"):
            _fill(canvas, each["segmentation"], color(each["category_id"]))
    draw = ImageDraw.Draw(canvas, "RGBA")
    line = max(2, round(max(canvas.size) * LINE_SHARE))
    font: Any = ImageFont.load_default(max(12, round(max(canvas.size) * LETTER_SHARE)))
    boxes = [_within(each["bbox"], canvas.size) for each in found]
    texts = [_text(each, names) for each in found]
    colors = [color(each["category_id"]) for each in found]
    places: list[Area] = []
    # The surest first chooses where its label goes, and is drawn last, over the others.
    for box, text in zip(boxes, texts, strict=True):
        places.append(_place(_size(draw, text, font, line), box, places, canvas.size))
    for number in reversed(range(len(found))):
        _outline(draw, boxes[number], colors[number], line)
    for number in reversed(range(len(found))):
        _label(draw, texts[number], places[number], colors[number], font, line)
    return canvas


def _text(detection: Mapping[str, Any], names: Mapping[int, str]) -> str:
    category = detection["category_id"]
    return f"{names.get(category, f'category {category}')} {detection['score']:.2f}"


def color(category: int) -> Color:
    """The colour of a category, far from those of its neighbours and never dark."""
    # Steps of the golden ratio come back to no hue, and near none soon.
    hue = (category * 0.618034 + 0.5) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, (1.0, 0.85, 0.93)[category % 3])
    return round(red * 255), round(green * 255), round(blue * 255)


def _copied(image: Image | np.ndarray[Any, Any] | Path | str) -> Image:
    from PIL import Image as Images

    if isinstance(image, (str, Path)):
        try:
            with Images.open(image) as opened:
                return opened.convert("RGB")
        except OSError as error:
            raise RequestError(f"image={str(image)!r}: can't be opened: {error}") from None
    if isinstance(image, Images.Image):
        # A copy even if it is RGB already.
        return image.convert("RGB") if image.mode != "RGB" else image.copy()
    if str(image.dtype) != "uint8" or image.ndim != 3 or image.shape[2] != 3:
        raise RequestError(
            f"image: an array of {image.dtype} with shape {list(image.shape)}; should be of uint8, "
            "[height, width, 3]"
        )
    return Images.fromarray(image).copy()


def _chosen(
    detections: list[Mapping[str, Any]], min_score: float, most: int
) -> list[Mapping[str, Any]]:
    """The detections to draw, the surest first."""
    images = {each["image_id"] for each in detections if "image_id" in each}
    if len(images) > 1:
        listed = ", ".join(map(str, sorted(images, key=str)[:3]))
        raise RequestError(
            f"detections: of {len(images)} images ({listed}, ...); give those of the one that is "
            "drawn, as detections.of(image_id)"
        )
    sound = [
        each
        for each in detections
        if each["score"] >= min_score and all(map(math.isfinite, each["bbox"]))
    ]
    return sorted(sound, key=lambda each: float(each["score"]), reverse=True)[:most]


def _within(box: Iterable[float], size: tuple[int, int]) -> Area:
    """A box (x, y, width, height) as far as it is in the image."""
    x, y, across, down = box
    left, right = (min(max(edge, 0), size[0] - 1) for edge in sorted((x, x + across)))
    top, bottom = (min(max(edge, 0), size[1] - 1) for edge in sorted((y, y + down)))
    return Area(left, top, right, bottom)


def _fill(canvas: Image, segmentation: Mapping[str, Any], fill: Color) -> None:
    """Lay a colour over the pixels of a run-length encoded mask."""
    from hotcoco import mask as rle
    from PIL import Image as Images

    try:
        pixels = rle.decode(dict(segmentation))
    except (TypeError, ValueError) as error:
        raise RequestError(
            f"detections: {str(segmentation)[:60]} is no run-length encoded mask: {error}"
        ) from None
    if pixels.shape[::-1] != canvas.size:
        height, width = pixels.shape
        raise RequestError(
            f"detections: a mask is of {width} x {height} pixels, and the image has "
            f"{canvas.size[0]} x {canvas.size[1]}"
        )
    canvas.paste(fill, mask=Images.fromarray(pixels * round(255 * MASK_OPACITY)))


def _outline(draw: ImageDraw.ImageDraw, box: Area, line_color: Color, line: int) -> None:
    # A thin shadow sets the line off from a background of its own colour.
    around = Area(box.left - 1, box.top - 1, box.right + 1, box.bottom + 1)
    draw.rectangle(around, outline=(0, 0, 0, 110), width=line + 2)
    draw.rectangle(box, outline=line_color, width=line)


def _size(
    draw: ImageDraw.ImageDraw, text: str, font: FreeTypeFont, line: int
) -> tuple[float, float]:
    """Width and height of a label: the same height for letters with and without descenders."""
    ascent, descent = font.getmetrics()
    return draw.textlength(text, font=font) + 4 * line, ascent + descent + line


def _place(label: tuple[float, float], box: Area, taken: list[Area], size: tuple[int, int]) -> Area:
    """Where a label goes: above its box, in it or below, wherever it covers no other label."""
    width, height = label

    def places() -> Iterator[Area]:
        for top in (box.top - height, box.top, box.bottom - height, box.bottom):
            for left in (box.left, box.right - width):
                inside = max(0.0, min(left, size[0] - width))
                if 0 <= top <= size[1] - height:
                    yield Area(inside, top, inside + width, top + height)

    free = (place for place in places() if not any(_overlap(place, each) for each in taken))
    return next(free, None) or next(places(), Area(0, 0, width, height))


def _overlap(one: Area, other: Area) -> bool:
    return (
        one.left < other.right
        and other.left < one.right
        and one.top < other.bottom
        and other.top < one.bottom
    )


def _label(
    draw: ImageDraw.ImageDraw,
    text: str,
    place: Area,
    background: Color,
    font: FreeTypeFont,
    line: int,
) -> None:
    red, green, blue = background
    # Luminance as ITU-R BT.601 weighs it: dark letters on what is bright.
    bright = 0.299 * red + 0.587 * green + 0.114 * blue > 125
    draw.rounded_rectangle(place, radius=line, fill=background)
    draw.text(
        (place.left + 2 * line, (place.top + place.bottom) / 2),
        text,
        fill=(20, 20, 20) if bright else (255, 255, 255),
        font=font,
        anchor="lm",
    )

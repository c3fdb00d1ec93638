"""Draw detections on an image, for a notebook or a file."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo_runner.errors import RequestError
from modelzoo_runner.values.coco_categories import NAMES

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from PIL.Image import Image

LINE_SHARE = 0.005
"""Line width, as a share of the image's longer side."""

TEXT_SHARE = 0.026
"""Font size, as a share of the image's longer side."""

MASK_OPACITY = 0.45

Color = tuple[int, int, int]


def draw_detections(
    image: Image | np.ndarray[Any, Any] | Path | str,
    detections: Iterable[Mapping[str, Any]],
    *,
    names: Mapping[int, str] = NAMES,
    min_score: float = 0.5,
    most: int = 20,
    axis: Axes | None = None,
) -> Image:
    """Return a copy of the image with boxes, masks, category names and scores drawn on it.

    A category has the same color in every image. In a notebook the returned image displays itself;
    `draw_detections(...).save("found.png")` writes it.

    Args:
        image: a PIL image, uint8 [height, width, 3] in RGB, or the path of an image file.
        detections: of this one image, in COCO's results format: `category_id`, `bbox` (x, y, width,
            height in pixels), `score`, and `segmentation` (run-length encoded) if there are masks.
        names: category id -> name; COCO's by default.
        min_score: the lowest score that is drawn.
        most: the maximum number of boxes; those with the highest scores are drawn.
        axis: show the image on this matplotlib axis too, without ticks.

    Raises:
        RequestError: the detections are of several images, a mask has another size than the image,
            or the image can't be read.

    Examples:
        >>> from PIL import Image
        >>> dog = {"category_id": 18, "bbox": [20, 30, 60, 40], "score": 0.93}
        >>> draw_detections(Image.new("RGB", (160, 120)), [dog]).size
        (160, 120)
    """
    from PIL import ImageDraw, ImageFont

    canvas = _to_rgb(image)
    chosen = _choose(list(detections), min_score, most)
    for each in chosen:
        if each.get("segmentation"):
            _tint(canvas, each["segmentation"], color(each["category_id"]))
    draw = ImageDraw.Draw(canvas)
    line = max(2, round(max(canvas.size) * LINE_SHARE))
    font: Any = ImageFont.load_default(max(12, round(max(canvas.size) * TEXT_SHARE)))
    for each in chosen:
        category = each["category_id"]
        own = color(category)
        left, top, right, bottom = _clip(each["bbox"], canvas.size)
        draw.rectangle((left, top, right, bottom), outline=own, width=line)
        label = f" {names.get(category, f'category {category}')} {each['score']:.2f} "
        width, height = draw.textlength(label, font=font), sum(font.getmetrics())
        # Above the box, or in it where the image ends above; never past the right edge.
        corner = (
            max(0, min(left, canvas.width - width)),
            top - height if top >= height else top,
        )
        draw.rectangle((*corner, corner[0] + width, corner[1] + height - 1), fill=own)
        draw.text(corner, label, fill=_readable_on(own), font=font)
    if axis is not None:
        axis.imshow(canvas)
        axis.set_axis_off()
    return canvas


def color(category: int) -> Color:
    """A bright color for a category, far from those of the neighboring ids."""
    # Steps of the golden ratio spread the hues evenly and don't repeat.
    hue = (category * 0.618034 + 0.5) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, (1.0, 0.85, 0.93)[category % 3])
    return round(red * 255), round(green * 255), round(blue * 255)


def _readable_on(background: Color) -> Color:
    """Black or white, by the luminance of ITU-R BT.601."""
    red, green, blue = background
    return (20, 20, 20) if 0.299 * red + 0.587 * green + 0.114 * blue > 125 else (255, 255, 255)


def _to_rgb(image: Image | np.ndarray[Any, Any] | Path | str) -> Image:
    """An RGB copy of the image."""
    from PIL import Image as Images

    if isinstance(image, (str, Path)):
        try:
            with Images.open(image) as opened:
                return opened.convert("RGB")
        except OSError as error:
            raise RequestError(f"image={str(image)!r}: can't be opened: {error}") from None
    if isinstance(image, Images.Image):
        return image.convert("RGB") if image.mode != "RGB" else image.copy()
    if str(image.dtype) != "uint8" or image.ndim != 3 or image.shape[2] != 3:
        raise RequestError(
            f"image: an array of {image.dtype} with shape {list(image.shape)}; should be of uint8, "
            "[height, width, 3]"
        )
    return Images.fromarray(image).copy()


def _choose(
    detections: list[Mapping[str, Any]], min_score: float, most: int
) -> list[Mapping[str, Any]]:
    """The detections to draw, the highest score last, so that it is on top."""
    images = {each["image_id"] for each in detections if "image_id" in each}
    if len(images) > 1:
        listed = ", ".join(map(str, sorted(images, key=str)[:3]))
        raise RequestError(
            f"detections: of {len(images)} images ({listed}, ...); give those of the one that is "
            "drawn"
        )
    drawable = [
        each
        for each in detections
        if each["score"] >= min_score and all(map(math.isfinite, each["bbox"]))
    ]
    highest = sorted(drawable, key=lambda each: float(each["score"]), reverse=True)[:most]
    return highest[::-1]


def _clip(box: Iterable[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """A box (x, y, width, height) as (left, top, right, bottom) within the image."""
    x, y, width, height = box
    left, right = (min(max(edge, 0), size[0] - 1) for edge in sorted((x, x + width)))
    top, bottom = (min(max(edge, 0), size[1] - 1) for edge in sorted((y, y + height)))
    return left, top, right, bottom


def _tint(canvas: Image, segmentation: Mapping[str, Any], tint: Color) -> None:
    """Lay a color over the pixels of a run-length encoded mask."""
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
    canvas.paste(tint, mask=Images.fromarray(pixels * round(255 * MASK_OPACITY)))

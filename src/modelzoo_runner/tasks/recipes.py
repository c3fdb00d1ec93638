"""The ways to preprocess an image that a classifier may want: those of all presets, and some more.

A recipe is a crop and a normalization. Images are cropped once, and normalized from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelzoo_runner.values import presets
from modelzoo_runner.values.preset import Preprocess

if TYPE_CHECKING:
    import numpy as np

PIXELS: dict[str, Any] = {
    "unit_range": False,
    "mean": (0.0, 0.0, 0.0),
    "scale": 1.0,
    "channel_order": "RGB",
}
"""The normalization that leaves pixels as they are."""

MORE: tuple[dict[str, Any], ...] = (
    {"unit_range": True, "mean": (0.0, 0.0, 0.0), "scale": 1.0},
    # ImageNet's mean and deviation, as PyTorch's models have them; the deviations of the three
    # colors (.229, .224, .225) differ by less than anything that is looked for here.
    {"unit_range": True, "mean": (0.485, 0.456, 0.406), "scale": 1 / 0.226},
)
"""Usual normalizations that no preset has."""


def normalizations(own: Preprocess) -> list[Preprocess]:
    """`own`, then with each other normalization, and all of them with the other channel order."""
    found = {_line(own): own}
    others = (
        {"unit_range": each.unit_range, "mean": each.mean, "scale": each.scale}
        for each in _of_presets()
    )
    for each in ({}, *others, *MORE):
        for order in ("RGB", "BGR"):
            candidate = dataclasses.replace(own, **{**each, "channel_order": order})
            found.setdefault(_line(candidate), candidate)
    return list(found.values())


def crops(own: Preprocess) -> list[Preprocess]:
    """`own` with the crop of each preset, for its own size, and with two more: all of the image,
    and the largest part of it that keeps the aspect ratio.
    """
    side = max(own.size)
    found = {_crop(own): own}
    others = [
        (each.resize, each.resize_to and round(each.resize_to * side / max(each.size)),
         each.central_fraction)
        for each in _of_presets()
    ]  # fmt: skip
    for resize, resize_to, fraction in (
        *others,
        ("central_fraction", None, 1.0),
        ("shorter_side", side, None),
    ):
        candidate = dataclasses.replace(
            own, resize=resize, resize_to=resize_to, central_fraction=fraction
        )
        found.setdefault(_crop(candidate), candidate)
    return list(found.values())


def as_pixels(recipe: Preprocess) -> Preprocess:
    """The crop of a recipe alone."""
    return dataclasses.replace(recipe, **PIXELS)


def normalized(pixels: np.ndarray, recipe: Preprocess) -> np.ndarray:
    """Cropped images, 0..255, as the recipe has them; to rounding, not to the bit."""
    import numpy as np

    values = pixels * np.float32(1 / 255) if recipe.unit_range else pixels
    values = (values - np.array(recipe.mean, np.float32)) * np.float32(recipe.scale)
    ordered = values if recipe.channel_order == "RGB" else values[..., ::-1]
    return np.ascontiguousarray(ordered, np.float32)


def same_values(one: Preprocess, other: Preprocess) -> bool:
    """Whether two recipes make the same values of a pixel, whatever the order of the channels."""
    return _line(one)[:-1] == _line(other)[:-1]


def same_crop(one: Preprocess, other: Preprocess) -> bool:
    """Whether two recipes cut the same part out of an image."""
    return _crop(one) == _crop(other)


def named(recipe: Preprocess) -> str:
    """A recipe in a few words.

    >>> named(Preprocess(size=(8, 8), resize="shorter_side", resize_to=9, mean=(1.0, 2.0, 3.0)))
    '-3..254, mean 1.0, 2.0, 3.0, RGB, shorter side 9'
    """
    low, high = recipe.value_range
    centered = "" if len(set(recipe.mean)) == 1 else f", mean {_listed(recipe.mean)}"
    if recipe.resize == "central_fraction":
        crop = f"central {recipe.central_fraction:g}"
    else:
        crop = f"shorter side {recipe.resize_to}"
    return f"{low:.4g}..{high:.4g}{centered}, {recipe.channel_order}, {crop}"


def toml(recipe: Preprocess) -> str:
    """A recipe as a preset says it, on one line."""
    values = dataclasses.asdict(recipe).items()
    defaults = {each.name: each.default for each in dataclasses.fields(Preprocess)}
    said = ((k, v) for k, v in values if v is not None and v != defaults[k])
    return "[preprocess] " + ", ".join(f"{key} = {_toml(value)}" for key, value in said)


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{_listed(value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def _listed(values: tuple[object, ...]) -> str:
    return ", ".join(map(str, values))


def _of_presets() -> Iterator[Preprocess]:
    return (each.preprocess for each in presets.every() if each.preprocess is not None)


def _line(recipe: Preprocess) -> tuple[object, ...]:
    """What a normalization does to a pixel: factor and offsets, and the order of the channels."""
    factor = recipe.scale / (255 if recipe.unit_range else 1)
    offsets = tuple(float(f"{mean * recipe.scale:.4g}") for mean in recipe.mean)
    return float(f"{factor:.4g}"), offsets, recipe.channel_order


def _crop(recipe: Preprocess) -> tuple[object, ...]:
    by_side = recipe.resize == "shorter_side"
    return recipe.resize, recipe.resize_to if by_side else recipe.central_fraction

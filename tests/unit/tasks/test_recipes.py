"""The recipes that a doctor tries."""

from __future__ import annotations

import dataclasses
import tomllib
from typing import Any

import numpy as np
import pytest

from modelzoo_runner import models
from modelzoo_runner.tasks import recipes
from modelzoo_runner.values import codec
from modelzoo_runner.values.preset import Preprocess

OWN = [each.preprocess for each in models().values() if each.preprocess is not None]


@pytest.mark.parametrize("own", OWN)
def test_all_presets_are_among_them_and_the_own_is_first(own: Preprocess) -> None:
    values = recipes.normalizations(own)
    crops = recipes.crops(own)
    assert values[0] == crops[0] == own
    assert len(set(values)) == len(values)
    for each in OWN:
        assert any(recipes.same_values(each, other) for other in values)
    assert all(each.size == own.size for each in crops)


def test_normalized_is_what_the_recipe_says() -> None:
    pixels = np.array([[[[0.0, 127.5, 255.0]]]], np.float32)
    own = Preprocess(
        size=(1, 1),
        resize="central_fraction",
        central_fraction=1.0,
        unit_range=True,
        mean=(0.5, 0.25, 0.0),
        scale=2.0,
    )
    assert recipes.normalized(pixels, own).tolist() == [[[[-1.0, 0.5, 2.0]]]]
    swapped = dataclasses.replace(own, channel_order="BGR")
    assert recipes.normalized(pixels, swapped).tolist() == [[[[2.0, 0.5, -1.0]]]]


@pytest.mark.parametrize("own", OWN)
def test_the_remedy_can_be_pasted_into_a_preset(own: Preprocess) -> None:
    for each in (*recipes.normalizations(own), *recipes.crops(own)):
        table, _, line = recipes.toml(each).partition(" ")
        said: dict[str, Any] = tomllib.loads(f"it = {{ {line} }}")["it"]
        assert table == "[preprocess]"
        assert codec.from_dict(said, Preprocess) == each

"""Labels to class indices to scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.data.labels import (
    ENDS,
    FIRST_LABEL,
    IMAGES,
    LabelError,
    Variant,
    label_rule,
    learned,
    score_index,
    synset_in,
)
from modelzoo_runner.errors import DataError

# Made synsets in sorted order, with the two real ones at the ends.
SYNSETS = ["n01440764", *(f"n02{number:06}" for number in range(998)), "n15075141"]

variants = st.sampled_from(["slim", "tfds"])
some_indices = st.lists(st.integers(0, 999), min_size=1, max_size=40)


def refused(variant: Variant, labels: list[int], **known: list[str]) -> tuple[int, str]:
    with pytest.raises(LabelError) as caught:
        label_rule(variant, labels, **known)
    return caught.value.position, str(caught.value)


@given(variant=variants, indices=some_indices)
def test_right_labels_give_their_class(variant: Variant, indices: list[int]) -> None:
    stored = [index + FIRST_LABEL[variant] for index in indices]
    synsets = [SYNSETS[index] for index in indices]
    for told in ({}, {"synsets": synsets}):
        found = label_rule(variant, stored, **told)
        assert found.dtype == np.int64
        assert found.tolist() == indices


@given(indices=some_indices)
def test_batch_by_batch_is_as_good_as_at_once(indices: list[int]) -> None:
    known = ENDS
    for index in indices:
        found = label_rule("tfds", [index], synsets=[SYNSETS[index]], known=known)
        known = learned(found, [SYNSETS[index]], known)
    assert known == {**ENDS, **{SYNSETS[index]: index for index in indices}}


def test_what_was_learned_counts_later() -> None:
    known = learned([7], ["n02000006"])
    position, why = 1, "synset n02000003 has label 9 and synset n02000006 has label 8"
    with pytest.raises(LabelError, match=why) as caught:
        label_rule("slim", [1, 9], synsets=["n01440764", "n02000003"], known=known)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("variant", "label", "text"),
    [
        ("slim", 0, "label 0 is outside 1..1000, as slim data has them; it was made with labels "
         "0..999, so every class is off by one"),
        ("slim", -1, "label -1 is outside 1..1000, as slim data has them; -1 stands for no label"),
        ("slim", 1001, "label 1001 is outside 1..1000, as slim data has them"),
        ("tfds", 1000, "label 1000 is outside 0..999, as tfds data has them; it was made with "
         "labels 1..1000, so every class is off by one"),
        ("tfds", -1, "label -1 is outside 0..999, as tfds data has them; -1 stands for no label"),
    ],
)  # fmt: skip
def test_a_label_outside_the_convention(variant: Variant, label: int, text: str) -> None:
    assert refused(variant, [5, label, 7]) == (1, text)


def test_off_by_one_is_told_by_the_first_and_the_last_synset() -> None:
    position, why = refused("slim", [500, 2], synsets=["n02000500", "n01440764"])
    assert position == 1
    assert "synset n01440764 has label 1 and synset n01440764 has label 2" in why
    # A class left out: everything after it is one too small.
    assert refused("slim", [999], synsets=["n15075141"])[0] == 0


def test_the_order_of_the_devkit_is_told() -> None:
    position, why = refused("slim", [300, 200], synsets=["n02000001", "n02000002"])
    assert position in (0, 1)
    assert why == (
        "synset n02000001 has label 300 and synset n02000002 has label 200: labels should rise as "
        "the synsets do when sorted, from 1 for n01440764; labels as the ILSVRC devkit numbers the "
        "classes, counted from another number, or made with some of the 1000 classes left out "
        "don't fit the published models"
    )


def test_one_class_has_one_label() -> None:
    assert refused("tfds", [5, 6], synsets=["n02000001", "n02000001"])[0] in (0, 1)
    assert refused("tfds", [5, 5], synsets=["n02000001", "n02000002"])[0] in (0, 1)


def test_a_synset_that_is_not_known_tells_nothing() -> None:
    assert label_rule("tfds", [9, 3], synsets=["", "n02000001"]).tolist() == [9, 3]
    assert learned([9], [""]) == ENDS


@pytest.mark.parametrize("variant", ["slim", "tfds"])
def test_the_first_validation_images_are_known(variant: Variant) -> None:
    first = FIRST_LABEL[variant]
    names = [f"{name}.JPEG" for name in IMAGES]
    right = [index + first for index in IMAGES.values()]
    assert label_rule(variant, right, names=names).tolist() == list(IMAGES.values())
    devkit = [490, 361, 171, 822, 297]
    position, why = refused(variant, devkit, names=names)
    assert position == 0
    assert why.startswith(
        f"label 490 can't be: this image has label {65 + first} when classes are counted from "
        f"{first} in the order of their synsets; labels as the ILSVRC devkit"
    )
    assert refused(variant, [label + 1 for label in right], names=names)[0] == 0
    # In a folder, and with another ending.
    assert refused(variant, [490], names=["val/ILSVRC2012_val_00000001.jpg"])[0] == 0


def test_the_ends_are_those_of_the_real_list(samples: Path) -> None:
    path = samples / "labels" / "imagenet_lsvrc_2015_synsets_from_filenames.txt"
    synsets = path.read_text().split()
    assert {synset: synsets.index(synset) for synset in ENDS} == ENDS


def test_a_synset_in_a_name() -> None:
    assert synset_in("n01440764_tench.JPEG") == "n01440764"
    assert synset_in("ILSVRC2012_val_00000001.JPEG") == ""
    assert synset_in("n0144_x.JPEG") == ""


def test_where_the_score_of_a_class_is() -> None:
    indices = np.array([0, 999])
    assert score_index(indices, 1000).tolist() == [0, 999]
    assert score_index(indices, 1001).tolist() == [1, 1000]
    # The preset's offset is from labels 1..1000.
    assert score_index(5, 1001, 0) == 6
    assert score_index(5, 1000, -1) == 5


@pytest.mark.parametrize("width", [0, 999, 1002, 21841])
def test_another_width_is_refused(width: int) -> None:
    with pytest.raises(DataError, match=f"gives {width} scores; ImageNet's labels fit 1000, or"):
        score_index(0, width)


def test_a_width_that_contradicts_the_preset() -> None:
    with pytest.raises(DataError, match=r"1000 scores, which means label_offset = -1; .* = 0"):
        score_index(0, 1000, 0)
    with pytest.raises(DataError, match=r"1001 scores, which means label_offset = 0; .* = -1"):
        score_index(0, 1001, -1)


@pytest.mark.parametrize("label", [2**63, -(2**63) - 1, 10**30])
def test_a_label_that_no_integer_of_64_bits_holds(label: int) -> None:
    with pytest.raises(LabelError, match=f"label {label} is outside 1..1000") as caught:
        label_rule("slim", [5, label])
    assert caught.value.position == 1

"""Mistakes in arguments: the class, the argument and the key phrase of what is said."""

from __future__ import annotations

from typing import Any

import pytest

from modelzoo_runner import RequestError, accuracy, benchmark, sweep


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"precision": "float32"}, "precision='float32': it is called 'fp32' here"),
        ({"precision": "fp31"}, "Did you mean 'fp32'"),
        ({"seed": -1}, "seed=-1: should be a whole number of at least 0"),
        ({"cpus": "a"}, "cpus='a': 'a' is neither an id nor a range"),
        ({"cpus": [0, 0]}, "names a CPU twice"),
        ({"instances": "cores"}, "Did you mean 'core'"),
        ({"batchsize": 3}, "batchsize=3.*Did you mean 'batch_size'"),
        ({"outputs": {}}, "outputs={}: names no tensor"),
        ({"docker_image": ""}, "docker_image='': should be the name of an image"),
        ({"weights": "imagenet"}, "weights='imagenet'.*'pretrained', 'random' or a path"),
        ({"weights": "randon"}, "Did you mean 'random'"),
    ],
    ids=lambda each: str(next(iter(each))) if isinstance(each, dict) else "",
)
def test_a_mistake_is_named_with_what_is_right(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        benchmark("resnet50", **given)


def test_a_checkpoint_is_a_folder() -> None:
    with pytest.raises(RequestError, match="checkpoint=3"):
        accuracy("resnet50", data_location="/", checkpoint=3)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="checkpoint=3"):
        sweep([{"model": "resnet50"}], checkpoint=3)  # type: ignore[arg-type]

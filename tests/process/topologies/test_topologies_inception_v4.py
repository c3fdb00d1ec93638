from __future__ import annotations

import pytest


def test_parameters_are_the_published_ones_plus_one_class(built, arrays, parameter_count):
    # PyTorch's port (timm's inception_v4: 42.68 million) also gives its batch norms a scale.
    graph_def = built("inception_v4")
    scales = sum(
        array.size for name, array in arrays(graph_def).items() if name.endswith("/moving_mean")
    )
    assert parameter_count(graph_def) + scales == 42_679_816 + 1536 + 1


def test_multiply_adds(built, multiply_adds):
    # timm's results/benchmark-infer tables: 12.28 GMACs at 299x299.
    found = multiply_adds(built("inception_v4"), input=(1, 299, 299, 3))
    assert found == pytest.approx(12.28e9, rel=0.005)


def test_shapes_are_those_of_slims_own_test(built, shapes):
    # inception_v4_test.py of tensorflow/models.
    found = shapes(built("inception_v4"), input=(5, 299, 299, 3))
    expected = {
        "Conv2d_1a_3x3/Relu": (149, 149, 32),
        "Conv2d_2a_3x3/Relu": (147, 147, 32),
        "Conv2d_2b_3x3/Relu": (147, 147, 64),
        "Mixed_3a/concat": (73, 73, 160),
        "Mixed_4a/concat": (71, 71, 192),
        "Mixed_5a/concat": (35, 35, 384),
        **{f"Mixed_5{letter}/concat": (35, 35, 384) for letter in "bcde"},
        **{f"Mixed_6{letter}/concat": (17, 17, 1024) for letter in "abcdefgh"},
        **{f"Mixed_7{letter}/concat": (8, 8, 1536) for letter in "abcd"},
    }
    scope = "InceptionV4/InceptionV4/"
    assert {name: found[scope + name] for name in expected} == {
        name: (5, *shape) for name, shape in expected.items()
    }
    assert found["InceptionV4/Logits/AvgPool_1a/AvgPool"] == (5, 1, 1, 1536)
    assert found["InceptionV4/Logits/PreLogitsFlatten/Reshape"] == (5, 1536)
    assert found["InceptionV4/Logits/Predictions"] == (5, 1001)
    assert shapes(built("inception_v4"))["input"] == (None, 299, 299, 3)

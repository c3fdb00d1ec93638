"""The exception tree, and the words that help to find what was meant."""

from __future__ import annotations

import json
import pickle
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner import errors
from modelzoo_runner.errors import RunnerError

PARENTS = {
    "RunnerError": Exception,
    "RequestError": RunnerError,
    "UnknownModel": errors.RequestError,
    "DataRequired": errors.RequestError,
    "PresetError": RunnerError,
    "FetchError": RunnerError,
    "HashMismatch": errors.FetchError,
    "UnsafeArchive": errors.FetchError,
    "DataError": RunnerError,
    "BindingError": RunnerError,
    "GraphError": RunnerError,
    "ResultError": RunnerError,
    "MissingDependency": RunnerError,
    "ContainerError": RunnerError,
    "WorkerError": RunnerError,
}


def public_classes() -> dict[str, type[BaseException]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }


def test_the_tree_is_whole() -> None:
    assert set(public_classes()) == {*PARENTS, "Interrupted"}


@pytest.mark.parametrize("name", PARENTS)
def test_the_tree(name: str) -> None:
    assert getattr(errors, name).__bases__[0] is PARENTS[name]


def test_a_bad_request_is_also_a_value_error() -> None:
    assert issubclass(errors.RequestError, ValueError)


def test_an_interruption_is_no_error_of_ours() -> None:
    # `except RunnerError` must not swallow Ctrl-C.
    assert not issubclass(errors.Interrupted, Exception)


def test_the_docstring_shows_every_class() -> None:
    assert errors.__doc__ is not None
    assert set(re.findall(r"^\W*([A-Z]\w+) ", errors.__doc__, re.MULTILINE)) >= set(PARENTS)


@pytest.mark.parametrize("name", PARENTS)
@given(message=st.text())
@settings(max_examples=20)
def test_an_error_crosses_to_another_process(name: str, message: str) -> None:
    error = getattr(errors, name)(message)

    back = errors.from_dict(json.loads(json.dumps(errors.to_dict(error))))

    assert type(back) is type(error)
    assert str(back) == str(error) == errors.visible(message)
    assert error.args == (message,)
    assert type(pickle.loads(pickle.dumps(error))) is type(error)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text, \tµ and 漢字\nin two lines", "plain text, \tµ and 漢字\nin two lines"),
        ("\x1b]0;title\x07\x1b[2J", r"\x1b]0;title\x07\x1b[2J"),
        ("one\rother", r"one\rother"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("gnp.\u202egpj", r"gnp.\u202egpj"),
        ("a\u200bb\u2028c\ufeff", r"a\u200bb\u2028c\ufeff"),
        ("\udc9b", r"\udc9b"),
    ],
)
def test_control_characters_are_shown_and_not_obeyed(raw: str, shown: str) -> None:
    assert errors.visible(raw) == errors.visible(shown) == shown
    assert str(errors.GraphError(raw)) == shown


def test_an_error_of_an_unknown_class_keeps_its_message() -> None:
    back = errors.from_dict({"class": "FromAnotherVersion", "message": "what it said"})

    assert type(back) is RunnerError
    assert str(back) == "what it said"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet5", ("resnet50", "resnet101")),
        ("ResNet50", ("resnet50", "resnet101")),
        ("inception_v3", ("inceptionv3",)),
        ("ssd_mobilenet", ("ssd-mobilenet",)),
        ("bert", ()),
        ("", ()),
    ],
)
def test_the_near_names(name: str, near: tuple[str, ...]) -> None:
    known = ["inceptionv3", "resnet101", "resnet50", "ssd-mobilenet"]

    assert errors.nearest(name, known) == near


def test_as_many_near_names_as_asked_for() -> None:
    known = ["aaa1", "aaa2", "aaa3", "aaa4"]

    assert len(errors.nearest("aaa", known)) == 3
    assert len(errors.nearest("aaa", known, count=1)) == 1


@given(st.text(), st.lists(st.text()))
def test_near_names_are_known_names(name: str, known: list[str]) -> None:
    assert set(errors.nearest(name, known)) <= set(known)


@given(st.lists(st.text(min_size=1), min_size=1, unique_by=str.casefold))
def test_a_name_is_nearest_to_itself(known: list[str]) -> None:
    assert all(errors.nearest(name, known)[0].casefold() == name.casefold() for name in known)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("resnet5", "Did you mean 'resnet50'?"),
        ("inception", "Did you mean 'inceptionv4' or 'inceptionv3'?"),
        ("bert", "known: inceptionv3, inceptionv4, resnet50"),
    ],
)
def test_did_you_mean(name: str, sentence: str) -> None:
    assert errors.did_you_mean(name, iter(["inceptionv3", "inceptionv4", "resnet50"])) == sentence


def test_did_you_mean_in_other_words() -> None:
    assert errors.did_you_mean("x", ["fp32", "int8"], otherwise="allowed") == "allowed: fp32, int8"

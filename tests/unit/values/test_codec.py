"""Dataclasses survive the way to JSON and back; everything else is refused in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.values import codec
from modelzoo_runner.values.preset import Preprocess


@dataclass(frozen=True)
class Inner:
    colour: Literal["red", "green"]
    count: int = 0


@dataclass(frozen=True)
class Outer:
    name: str
    share: float = 1.0
    on: bool = True
    pair: tuple[int, int] = (1, 2)
    mixed: tuple[str, float] = ("", 0.0)
    many: tuple[float, ...] = ()
    inners: tuple[Inner, ...] = ()
    one: Inner | None = None
    colour: Literal["red", "green"] | None = None
    tables: Mapping[str, Mapping[str, Inner]] = field(default_factory=dict)
    anything: Any = None


finite = st.floats(allow_nan=False, allow_infinity=False)
inners = st.builds(Inner, colour=st.sampled_from(["red", "green"]), count=st.integers())
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(),
    lambda child: st.lists(child) | st.dictionaries(st.text(), child),
    max_leaves=5,
)
outers = st.builds(
    Outer,
    name=st.text(),
    share=finite,
    on=st.booleans(),
    pair=st.tuples(st.integers(), st.integers()),
    mixed=st.tuples(st.text(), finite),
    many=st.lists(finite).map(tuple),
    inners=st.lists(inners, max_size=3).map(tuple),
    one=st.none() | inners,
    colour=st.sampled_from(["red", "green", None]),
    tables=st.dictionaries(st.text(), st.dictionaries(st.text(), inners, max_size=2), max_size=2),
    anything=plain,
)


@given(outers)
def test_a_value_survives_json(value: Outer) -> None:
    assert codec.from_dict(json.loads(json.dumps(codec.to_dict(value))), Outer) == value


@given(outers)
def test_the_plain_form_is_that_of_the_standard_library(value: Outer) -> None:
    assert json.dumps(codec.to_dict(value)) == json.dumps(asdict(value))


@given(plain)
def test_anything_else_is_a_codec_error_and_no_other(record: Any) -> None:
    with pytest.raises(codec.CodecError):
        codec.from_dict(record, Outer)


@given(st.sampled_from(["share", "pair", "many", "inners", "one", "tables"]), plain)
def test_a_field_is_read_right_or_refused_by_its_path(key: str, value: Any) -> None:
    try:
        read = codec.from_dict({"name": "n", key: value}, Outer)
    except codec.CodecError as error:
        assert error.problems
        assert all(
            problem.startswith(key) or problem.startswith(f"table [{key}")
            for problem in error.problems
        )
    else:
        assert codec.to_dict(read)[key] == value


def test_a_whole_number_is_a_number_and_stays_exact() -> None:
    share = codec.from_dict({"name": "n", "share": 2}, Outer).share

    assert share == 2.0
    assert type(share) is float


def test_defaults_stand_for_what_is_not_said() -> None:
    assert codec.from_dict({"name": "n"}, Outer) == Outer("n")


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        # Scalars are what they are.
        ({"name": 5}, "name: 5 should be text"),
        ({"share": "1"}, "share: '1' should be a number"),
        ({"share": True}, "share: True should be a number"),
        ({"on": 1}, "on: 1 should be true or false"),
        ({"pair": [1, 2.0]}, "pair[1]: 2.0 should be a whole number"),
        ({"one": {"colour": "red", "count": True}}, "one.count: True should be a whole number"),
        ({"share": None}, "share: None should be a number"),
        ({"share": 2**53 + 1}, f"share: {2**53 + 1} should be a number that a float can hold"),
        # One of a few.
        ({"colour": "blue"}, "colour: 'blue' should be one of red, green"),
        ({"colour": ["red"]}, "colour: ['red'] should be one of red, green"),
        ({"one": {"colour": 5}}, "one.colour: 5 should be one of red, green"),
        # Lists are lists.
        ({"many": "1.5"}, "many: '1.5' should be a list"),
        ({"many": 1.5}, "many: 1.5 should be a list"),
        ({"many": {"a": 1.5}}, "many: {'a': 1.5} should be a list"),
        ({"many": [1.5, "x"]}, "many[1]: 'x' should be a number"),
        ({"pair": [1]}, "pair: [1] should be a list of 2 values"),
        ({"pair": [1, 2, 3]}, "pair: [1, 2, 3] should be a list of 2 values"),
        ({"mixed": ["a", "b"]}, "mixed[1]: 'b' should be a number"),
        (
            {"inners": [{"colour": "red"}, {"colour": "x"}]},
            "inners[1].colour: 'x' should be one of red, green",
        ),
        # Tables are tables.
        ({"one": 5}, "one: 5 should be a table"),
        ({"one": "red"}, "one: 'red' should be a table"),
        ({"one": [1]}, "one: [1] should be a table"),
        ({"tables": [1]}, "tables: [1] should be a table"),
        ({"tables": {"a": 5}}, "tables.a: 5 should be a table"),
        ({"tables": {"a": {"b": 5}}}, "tables.a.b: 5 should be a table"),
        # Keys.
        ({"one": {}}, "one.colour: the key is missing"),
        ({"tables": {"a": {"b": {"count": 1}}}}, "tables.a.b.colour: the key is missing"),
        (
            {"shore": 1.0},
            "the top table: unknown key 'shore'; the nearest valid key is 'share'",
        ),
        (
            {"tables": {"a": {"b": {"color": "red", "colour": "red"}}}},
            "table [tables.a.b]: unknown key 'color'; the nearest valid key is 'colour'",
        ),
        (
            {"one": {"colour": "red", "zzz": 1}},
            "table [one]: unknown key 'zzz'; valid keys: colour, count",
        ),
        # A long value is cut.
        ({"share": "x" * 100}, f"share: '{'x' * 56}... should be a number"),
    ],
)
def test_what_is_wrong_is_said_with_where(record: dict[str, Any], problem: str) -> None:
    with pytest.raises(codec.CodecError) as caught:
        codec.from_dict({"name": "n", **record}, Outer)

    assert caught.value.problems == (problem,)
    assert str(caught.value) == problem


@pytest.mark.parametrize("record", [5, "name", [1], None])
def test_what_is_no_table_at_all(record: Any) -> None:
    with pytest.raises(codec.CodecError) as caught:
        codec.from_dict(record, Outer)

    assert str(caught.value) == f"the file: {record!r} should be a table"


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(codec.CodecError) as caught:
        codec.from_dict({"share": "x", "one": {"count": "y"}, "nome": "n"}, Outer)

    assert caught.value.problems == (
        "the top table: unknown key 'nome'; the nearest valid key is 'name'",
        "name: the key is missing",
        "share: 'x' should be a number",
        "one.colour: the key is missing",
        "one.count: 'y' should be a whole number",
    )
    assert str(caught.value) == "; ".join(caught.value.problems)


def test_an_integer_that_no_float_holds_is_told() -> None:
    with pytest.raises(codec.CodecError, match=r"scale: 1000.*should be .* that a float can hold"):
        codec.from_dict({"size": (1, 1), "resize": "shorter_side", "scale": 10**400}, Preprocess)

"""Values that come as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.errors import RequestError
from modelzoo_runner.values import validate


@given(st.integers(-(10**17), 10**17), st.sampled_from(["{}", " {} ", "{:+d}", "\t{}\n"]))
def test_a_whole_number_and_its_text_are_the_same(number: int, form: str) -> None:
    least = -(10**18)

    assert validate.count("n", number, least, from_text=True) == number
    assert validate.count("n", form.format(number), least, from_text=True) == number


@pytest.mark.parametrize("value", ["", "1.0", "1e3", "1_000", "0x10", "½", "٣", "9" * 19, "1 2"])
def test_what_is_no_whole_number_as_text(value: str) -> None:
    with pytest.raises(RequestError) as caught:
        validate.count("steps", value, 1, from_text=True)

    assert f"steps={value!r}: " in str(caught.value) and "at least 1" in str(caught.value)


@pytest.mark.parametrize("value", [None, True, False, 1.0, [1], b"1", 0, -1])
def test_what_is_no_whole_number_of_at_least_one(value: object) -> None:
    with pytest.raises(RequestError) as caught:
        validate.count("steps", value, 1, from_text=True)

    assert f"steps={value!r}: " in str(caught.value) and "at least 1" in str(caught.value)


@pytest.mark.parametrize("value", [None, "", "  ", "-1", -1, " -1 "])
def test_not_given(value: object) -> None:
    assert validate.count_or_unset("n", value, unset="all") is None


@pytest.mark.parametrize("value", ["0", "-2", 0, True, "one", 1.0])
def test_given_and_wrong(value: object) -> None:
    with pytest.raises(RequestError) as caught:
        validate.count_or_unset("n", value, unset="all")

    assert f"n={value!r}: " in str(caught.value) and "or -1 for all" in str(caught.value)


@pytest.mark.parametrize("value", ["true", "True", " TRUE\n", True])
def test_one_of_a_few_in_any_case(value: object) -> None:
    assert validate.word("verbose", value, ("true", "false")) == "true"


@pytest.mark.parametrize("value", ["", "t", 1, None, "true false"])
def test_none_of_a_few(value: object) -> None:
    with pytest.raises(RequestError) as caught:
        validate.word("verbose", value, ("true", "false"))

    assert f"verbose={value!r}: " in str(caught.value) and "true or false" in str(caught.value)


def test_a_cpu_named_twice_is_refused():
    with pytest.raises(RequestError, match=r"cpus=\[0, 0\].*twice"):
        validate.cpu_list("cpus", [0, 0])


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_of_any_size_is_refused_in_words(digits: int, sign: int) -> None:
    for check in (validate.count, validate.seconds, validate.share, validate.flag, validate.text):
        with pytest.raises(RequestError, match=r"^it="):
            check("it", sign * 10**digits)

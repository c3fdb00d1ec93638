import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.errors import RequestError
from modelzoo_runner.machine.cpulist import format_cpu_list, parse_cpu_list

ids = st.integers(min_value=0, max_value=65535)


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0", (0,)),
        ("0-3,8", (0, 1, 2, 3, 8)),
        (" 8 , 0-1\n", (0, 1, 8)),
        ("2,2-3,3", (2, 3)),
        ("5-5", (5,)),
        ("007", (7,)),
    ],
)
def test_reads_ids_and_ranges(text, cpus):
    assert parse_cpu_list(text) == cpus


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cpus='': it is empty; write ids and ranges, as in '0-3,8'"),
        (" \n", "cpus='': it is empty; write ids and ranges, as in '0-3,8'"),
        (
            "0-",
            "cpus='0-': '0-' is neither an id nor a range",
        ),
        (
            "3-1",
            "cpus='3-1': the range '3-1' ends before it begins; write '1-3'",
        ),
        (
            "1,,2",
            "cpus='1,,2': '' is neither an id nor a range",
        ),
        (
            "-1",
            "cpus='-1': '-1' is neither an id nor a range",
        ),
        ("0-99999999999", "cpus='0-99999999999': '0-99999999999' goes beyond id 65535"),
        ("65536", "cpus='65536': '65536' goes beyond id 65535"),
        (
            "٣",  # a digit to str.isdigit(), and to no kernel
            "cpus='٣': '٣' is neither an id nor a range",
        ),
    ],
)
def test_says_what_is_wrong(text, message):
    with pytest.raises(RequestError) as caught:
        parse_cpu_list(text)
    assert str(caught.value).startswith(message)


@given(st.sets(ids, min_size=1))
def test_what_is_written_is_read_back(cpus):
    assert parse_cpu_list(format_cpu_list(cpus)) == tuple(sorted(cpus))


@given(st.sets(ids))
def test_the_written_form_is_the_shortest(cpus):
    """No two ranges touch."""
    parts = [part.split("-") for part in format_cpu_list(cpus).split(",") if part]
    for before, after in itertools.pairwise(parts):
        assert int(after[0]) > int(before[-1]) + 1


@given(st.text(alphabet="0123456789,- \n", max_size=20))
def test_any_text_is_a_list_or_an_error_that_says_so(text):
    try:
        cpus = parse_cpu_list(text)
    except RequestError as error:
        assert str(error).startswith("cpus=")
    else:
        assert cpus == tuple(sorted(set(cpus)))
        assert cpus

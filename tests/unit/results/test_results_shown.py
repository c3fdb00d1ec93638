from __future__ import annotations

import dataclasses

import pytest

from modelzoo_runner.results.shown import Shown, columns, seconds, wrapped

SHOWN = Shown(
    title="b against a: 2x faster",
    verdict="faster",
    headings=[("only in HTML", "slower")],
    header=("side", "throughput"),
    rows=[("a<b", "10/s"), ("a longer name\x1b", "5/s")],
    notes=["warning: busy"],
)


def test_text_has_the_title_the_aligned_table_and_the_notes() -> None:
    assert SHOWN.text().split("\n") == [
        "b against a: 2x faster",
        "side               throughput",
        "a<b                10/s",
        r"a longer name\x1b  5/s",
        "warning: busy",
    ]


def test_html_has_the_headings_in_place_of_the_title() -> None:
    html = SHOWN.html()
    assert "a&lt;b" in html and "<li>warning: busy</li>" in html
    assert 'only in HTML <span class="badge bad">slower' in html and SHOWN.title not in html
    plain = dataclasses.replace(SHOWN, headings=()).html()
    assert f'{SHOWN.title} <span class="badge good">faster' in plain


def test_a_line_break_in_a_cell_is_a_space_in_text() -> None:
    found = Shown(header=("a",), rows=[("1/s\n(0 to 2)",)])
    assert found.text() == "a\n1/s (0 to 2)" and "1/s<br>(0 to 2)" in found.html()


def test_many_differences_are_folded() -> None:
    few = Shown(header=("a",), rows=[("b",)], differences=["one"])
    many = dataclasses.replace(few, differences=list("abcd"))
    assert "<details>" not in few.html() and "<li>one</li>" in few.html()
    assert "<summary>4 differences</summary><ul><li>a</li>" in many.html()
    assert many.text().endswith("a\nb\nc\nd")


def test_a_cell_stays_on_its_line() -> None:
    assert columns([("a\nb", "c")]) == [r"a\nb  c"]


def test_wrapped_text_hangs() -> None:
    first, *others = wrapped("word " * 60, "- ", "  ").split("\n")
    assert first.startswith("- word") and len(first) <= 100
    assert others and all(each.startswith("  word") for each in others)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0999, "99.9 ms"),
        (0.09996, "100 ms"),
        (1.0, "1.00 s"),
        (9.996, "10.0 s"),
        (3e-9, "3.00 ns"),
    ],
)
def test_durations_have_three_digits(value: float, text: str) -> None:
    assert seconds(value) == text

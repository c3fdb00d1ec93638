from __future__ import annotations

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


def test_html_has_all_of_it_and_the_headings() -> None:
    html = SHOWN.html()
    assert "a&lt;b" in html and "<li>warning: busy</li>" in html
    assert html.index('"badge good">faster') < html.index('only in HTML <span class="badge bad">')


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

"""report(): one page that holds everything."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from results_made import ab_result, accuracy_result, benchmark_result, observed

from modelzoo_runner import History, RequestError, ResultError, SweepResult, compare, report

ONE = benchmark_result(warnings=("a <script> b",))


def page_of(results: Any, folder: Path) -> str:
    return report(results, folder / "report.html", title="A & B").read_text(encoding="utf-8")


def test_every_kind_has_a_section_with_a_picture_and_its_raw_data(tmp_path: Path) -> None:
    history = History(tmp_path / "history.db")
    history.add(ONE)
    values = [
        ONE,
        accuracy_result({"top1": 7, "top5": 9}, 10),
        SweepResult((ONE, ONE)),
        compare(ONE, ONE),
        ab_result([1.0, 1.1], 3),
        history,
    ]
    page = page_of(values, tmp_path)
    assert page.count("<section") == page.count("<svg") == len(values)
    found = re.findall(r'href="data:application/json;base64,([^"]+)"', page)
    assert [json.loads(base64.b64decode(each)) for each in found] == [
        each.to_dict() for each in values
    ]
    assert len(re.findall(r'href="data:text/csv;base64,', page)) == len(values)


def test_several_results_have_a_table_of_contents_and_each_says_where_it_ran(
    tmp_path: Path,
) -> None:
    facts = {"processor": {"model": "Fast <1>"}, "cpus": 2, "memory_bytes": 2**35}
    machine = {**facts, "software": {"tensorflow": {"version": "2.21.0"}, "kernel": "6.1"}}
    one = benchmark_result(observed=observed(machine=machine))
    page = page_of([one, ab_result([1.0, 2.0], 3)], tmp_path)
    assert '<a href="#result-1">resnet50 fp32, batch 4</a>' in page
    assert '<a href="#result-2">b against a <span' in page
    said = "Fast &lt;1&gt;, 2 CPUs, 32 GiB of memory, tensorflow 2.21.0, kernel 6.1"
    assert page.count(f"Measured on {said}.") == 1
    assert "<nav" not in page_of(one, tmp_path)


def test_it_is_one_file_without_scripts_whose_text_is_escaped(tmp_path: Path) -> None:
    page = page_of(ONE, tmp_path)
    assert "a &lt;script&gt; b" in page and "<script" not in page
    assert "<title>A &amp; B</title>" in page
    # Of what matplotlib writes, names of namespaces are addresses; nothing is loaded from there.
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    parser = HTMLParser()
    parser.feed(page)
    parser.close()


def test_files_are_read(tmp_path: Path) -> None:
    saved = ONE.save(tmp_path / "one.json")
    page = page_of([saved, str(ab_result([1, 2], 3).save(tmp_path / "ab.json"))], tmp_path)
    assert page.count("<section") == 2


@pytest.mark.parametrize(("results", "said"), [([], "there are none"), ([3], r"results\[0\]=3")])
def test_what_is_no_result(results: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=said):
        report(results, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"none\.json"):
        report(tmp_path / "none.json", tmp_path / "report.html")

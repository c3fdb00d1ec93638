"""What public values show in a notebook: all text is escaped, and nothing comes from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from machine_trees import regular, write
from results_made import ab_result, accuracy_result, benchmark_result, observed, plan

from modelzoo_runner import Diagnosis, Int8Report, SweepResult, compare, models
from modelzoo_runner.api.paired import PairedComparison
from modelzoo_runner.backends.tensorflow.inspect import GraphCard, LayerCount, TensorCard
from modelzoo_runner.int8.compare import Compared
from modelzoo_runner.int8.layers import Layer
from modelzoo_runner.machine import topology
from modelzoo_runner.results.changes import Change, Point
from modelzoo_runner.results.diagnosis import Candidate, Finding
from modelzoo_runner.results.paired import PairedScore
from modelzoo_runner.results.runtimes import RuntimesResult, Way
from modelzoo_runner.results.sweep import Failure
from modelzoo_runner.results.trend import Trend
from modelzoo_runner.values import markup
from modelzoo_runner.values.plan import GraphFile, Placement
from modelzoo_runner.values.preset import Graph, Preset, Run
from modelzoo_runner.values.presets import Models

BAD = "<script>alert(1)</script>&\"'<img src=x onerror=alert(1)>"

PLAN = plan(
    model=BAD,
    data_location=BAD,
    graph=GraphFile(source="path", path=BAD, sha256=BAD, input=BAD, outputs={BAD: BAD}),
    placement=Placement(cpus=(0, 1, 2, 5), inter_threads=1, intra_threads=4, env={"A.B": BAD}),
    why={"batch_size": BAD, "placement.cpus": "argument", "placement.env.A.B": "preset: env"},
)
RESULT = benchmark_result(plan=PLAN, warnings=(BAD,), observed=observed(host_reason=BAD))
PRESET = Preset(
    name=BAD,
    task="classification",
    description=BAD,
    graph={"fp32": Graph(input=BAD, outputs={"scores": BAD}, published={BAD: 0.743})},
    run={"fp32": {"latency": Run(batch_size=1)}},
)
VALUES: dict[str, Any] = {
    "benchmark": RESULT,
    "accuracy": accuracy_result({"top1": 7}, 10, plan=PLAN, warnings=(BAD,)),
    "comparison": compare(benchmark_result(), RESULT),
    "sweep comparison": compare(SweepResult((RESULT,)), SweepResult((RESULT,))),
    "sweep": SweepResult(
        (RESULT, Failure(asked={"model": BAD}, error="DataError", message=BAD)), warnings=(BAD,)
    ),
    "failure": Failure(asked={"verb": "benchmark", "model": BAD}, error=BAD, message=BAD),
    "trend": Trend(
        series=BAD,
        points=(Point(throughput=1.0, started=BAD), Point(throughput=2.0, started=BAD, label=BAD)),
        changes=(
            Change(
                series=BAD,
                first=Point(throughput=2.0, started=BAD, label=BAD),
                position=1,
                before=1.0,
                after=2.0,
                p_value=0.001,
            ),
        ),
    ),
    "A/B test": ab_result([1.0, 2.0], 4, warnings=(BAD,)),
    "runtimes": RuntimesResult(
        model=BAD, ways=(Way(runtime=BAD, precision="fp32", problem=BAD),), measured=None
    ),
    "doctor": Diagnosis(
        model=BAD,
        precision="fp32",
        data_location=BAD,
        images=3,
        findings=(Finding(name="box_format", level="error", what=BAD, evidence=BAD, remedy=BAD),),
        candidates=(Candidate(name=BAD, scores={BAD: 0.5}, images=3),),
        warnings=(BAD,),
    ),
    "paired": PairedComparison(
        (PairedScore(name=BAD, reference=0.5, changed=0.6, interval=(0.05, 0.15), examples=1000),)
    ),
    "plan": PLAN,
    "preset": PRESET,
    "models": Models({BAD: PRESET}),
    "graph": GraphCard(
        path=BAD,
        size=10**8,
        sha256=BAD,
        producer=27,
        nodes=400,
        functions=0,
        inputs=(TensorCard(BAD, "float32", (None, 224, 224, 3)),),
        outputs=(TensorCard(BAD),),
        operations={BAD: 3, "Conv2D": 53},
        parameters=25_500_000,
        layers=LayerCount(54, 0, 3_860_000_000, 0),
    ),
    "int8 report": Int8Report(
        graph=BAD,
        layers=(Layer(name=BAD, op=BAD, state="fp32", why=BAD, multiply_adds=10**9),),
        operations={BAD: 3},
        instruction_set="avx512_core_vnni",
        compared=Compared(
            examples=1, steps=5, fp32_seconds=0.03, int8_seconds=0.01, agreement={BAD: 0.9}
        ),
        fed=BAD,
    ),
}


class Elements(HTMLParser):
    """The elements of a page, and whether each ends where it should."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: set[str] = set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect",):
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)


def check(page: str) -> None:
    elements = Elements(page)
    assert elements.open == []
    assert not elements.found & {"script", "img", "link", "iframe"}
    assert not re.search(r"\b(src|href)=|url\(|@import", re.sub(r"&lt;.*?&gt;", "", page))
    assert page.startswith('<div class="mzr"><style>')


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_text_is_escaped_and_nothing_comes_from_elsewhere(value: Any) -> None:
    page = value._repr_html_()
    check(page)
    assert "<script" not in page and "&lt;script&gt;" in page


def test_who_decided_what() -> None:
    page = PLAN._repr_html_()
    assert "<td>cpus</td><td>0-2,5</td><td>argument</td>" in page
    assert "<td>env.A.B</td>" in page and "<td>preset: env</td>" in page


def test_models_are_a_table_and_a_line() -> None:
    found = models()
    assert found["resnet50"].name == "resnet50" and isinstance(found, dict)
    assert len(repr(found)) < 500 and "resnet50" in repr(found)
    page = found._repr_html_()  # type: ignore[attr-defined]
    check(page)
    assert page.count("<tr>") == 1 + len(found)
    assert "fp32: top1 0.743, top5 0.9188<br>int8: top1 0.736" in page


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("valid", '<span class="badge good">valid</span>'),
        ("noisy, 1 warning", '<span class="badge doubtful">noisy</span>, 1 warning'),
        ("1.5x slower\n(a)", '<span class="badge bad">1.5x slower</span><br>(a)'),
        ("slower than the best", "slower than the best"),
        ("validation", "validation"),
    ],
)
def test_a_verdict_in_a_cell_has_its_color(cell: str, shown: str) -> None:
    assert f"<td>{shown}</td>" in markup.table(("a",), [(cell,)])


def test_long_cells_are_broken_at_words_and_addresses_anywhere() -> None:
    page = markup.table(("a",), [("word " * 10,), ("https://" + "a" * 50,)])
    assert page.count('<td class="text">') == page.count('<td class="text long">') == 1


def test_lines_with_a_dash_are_a_list() -> None:
    page = markup.facts([("why", ["- a < b", "- c"]), ("what", ["d", "e"])])
    assert "<td><ul><li>a &lt; b</li><li>c</li></ul></td>" in page and "d<br>e" in page


def test_a_verdict_is_said_once() -> None:
    valid = benchmark_result(observed=observed(interference={"verdict": "valid"}))
    assert "why valid" not in valid._repr_html_() and valid._repr_html_().count(">valid<") == 1
    invalid = benchmark_result(verdict="invalid")._repr_html_()
    assert "<th>why invalid</th><td><ul><li>something else ran</li></ul></td>" in invalid


def test_a_long_line_can_be_folded_away() -> None:
    assert markup.folded("a < b", "<p>") == "<details><summary>a &lt; b</summary><p></details>"


CACHE = "sys/devices/system/cpu/cpu{cpu}/cache/index{index}"


def with_caches(tmp_path: Path, **machine: Any) -> topology.Topology:
    files = {}
    for cpu in range(8):
        for index, (level, kind, size, shared) in enumerate(
            (
                ("1", "Data", "48K", f"{cpu % 4},{cpu % 4 + 4}"),
                ("2", "Unified", "2048K", f"{cpu % 4},{cpu % 4 + 4}"),
                ("3", "Unified", "16384K", "0-1,4-5" if cpu % 4 < 2 else "2-3,6-7"),
            )
        ):
            folder = CACHE.format(cpu=cpu, index=index)
            names = ("level", "type", "size", "shared_cpu_list")
            files |= {
                f"{folder}/{name}": said
                for name, said in zip(names, (level, kind, size, shared), strict=True)
            }
    made = regular(sockets=2, cores=2, threads=2, files=files, **machine)
    return topology.read(write(made, tmp_path), affinity=(0, 1, 4), with_caches=True)


def test_a_machine_has_a_picture_of_its_sockets_caches_and_cpus(tmp_path: Path) -> None:
    here = with_caches(tmp_path)
    page = here._repr_html_()
    check(page)
    for said in ("socket 0", "NUMA node 1 (64 GiB)", "L3 cache 16 MiB", "filled: this process"):
        assert said in page
    assert page.count('fill="#1f6feb"') == 3
    assert re.findall(r'font-size="11">(\d+)<', page) == ["0", "4", "1", "5", "2", "6", "3", "7"]
    said = " ".join(str(here).split())
    assert "L1 data cache 4 of 48 KiB, each of 1 core L2 cache 4 of 2 MiB, each of 1 core" in said
    assert "L3 cache 2 of 16 MiB, each of 2 cores CPUs online" in said


def test_caches_cost_nothing_where_nobody_asks_for_them(tmp_path: Path) -> None:
    assert topology.read(write(regular(cores=2), tmp_path)).caches == ()


def test_a_large_machine_is_drawn_in_rows(tmp_path: Path) -> None:
    here = topology.read(write(regular(sockets=2, cores=64, threads=2), tmp_path))
    page = here._repr_html_()
    check(page)
    (width,) = re.findall(r'<svg [^>]*width="(\d+)"', page)
    rights = [
        float(x) + float(wide)
        for x, wide in re.findall(r'<rect x="([\d.]+)".*?width="(\d+)"', page)
    ]
    assert max(rights) <= int(width)


def test_a_saved_page_says_its_encoding_and_goes_with_a_dark_browser() -> None:
    page = markup.page(PLAN._repr_html_())
    assert page.startswith('<!doctype html><html lang="en"><meta charset="utf-8">')
    assert "color-scheme:light dark" in page and PLAN._repr_html_() in page

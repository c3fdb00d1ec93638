from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from modelzoo_runner import SweepResult, load
from modelzoo_runner.errors import ResultError
from modelzoo_runner.results import checks
from modelzoo_runner.results.instances import ProcessRecord
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.results.result import AccuracyResult, BenchmarkResult, Result, from_dict
from modelzoo_runner.values.plan import GraphFile, Placement, Plan

IMAGENET = ("ImageNet's validation set", 50_000)

PLAN = Plan(
    kind="benchmark",
    model="resnet50",
    task="classification",
    precision="int8",
    goal="latency",
    graph=GraphFile(source="path", path="/a.pb", input="input:0", outputs={"scores": "predict:0"}),
    batch_size=4,
    steps=3,
    placement=Placement(cpus=(0, 1), inter_threads=1, intra_threads=2),
    published={"top1": 0.7360},
)


def benchmark_result(**changes: Any) -> BenchmarkResult:
    values: dict[str, Any] = {
        "plan": PLAN,
        "observed": Observed(machine={"software": {"tensorflow": {"version": "2.21.0"}}}),
        "warmup_seconds": (0.9,),
        "step_seconds": (0.1, 0.2, 0.1),
        "data_seconds": (0.1, 0.0, 0.0),
        "examples": 12,
    }
    return BenchmarkResult(**{**values, **changes})


def accuracy_result(**changes: Any) -> AccuracyResult:
    base = benchmark_result()
    values = {field.name: getattr(base, field.name) for field in dataclasses.fields(Result)}
    values |= {"scores": {"top1": 0.75, "top5": 1.0}, "counts": {"top1": 9, "top5": 12}}
    return AccuracyResult(**{**values, **changes})


def test_throughput_is_examples_over_the_sum_of_the_step_times() -> None:
    result = benchmark_result()
    assert result.throughput == pytest.approx(12 / 0.4)
    assert result.end_to_end_throughput == pytest.approx(12 / 0.5)
    assert result.latency.p50 == 0.1 and result.data_wait.max == 0.1


def test_interval_and_difference_of_an_accuracy() -> None:
    result = accuracy_result()
    low, high = result.interval["top1"]
    assert low < 0.75 < high
    assert result.difference == {"top1": pytest.approx(0.014)}


@pytest.mark.parametrize("result", [benchmark_result(), accuracy_result()], ids=["bench", "acc"])
def test_a_saved_result_is_the_same_when_loaded(result: Any, tmp_path: Path) -> None:
    path = tmp_path / "sub dir; 'é'.json"
    assert result.save(path) == path
    assert load(path) == result
    assert list(tmp_path.iterdir()) == [path]


def test_a_saved_result_is_read_and_printed_without_tensorflow_or_numpy(tmp_path: Path) -> None:
    path = benchmark_result().save(tmp_path / "result.json")
    code = (
        "import sys, modelzoo_runner; print(modelzoo_runner.load(sys.argv[1]));"
        "assert not {'tensorflow', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert "30.0 examples/s" in done.stdout


def test_a_result_prints_six_lines() -> None:
    assert str(benchmark_result()) == (
        "benchmark  resnet50 int8, batch 4, synthetic input\n"
        "throughput 30.0 examples/s inference only, 24.0 with data wait\n"
        "latency    median 100 ms per step, max 200 ms\n"
        "steps      3 measured in 400 ms, data wait 100 ms, 1 warm-up (first 900 ms)\n"
        "ran        in this process, 2 intra-op and 1 inter-op threads on 2 CPUs, optimized graph, "
        "TensorFlow 2.21.0\n"
        "warnings   none"
    )
    assert len(str(accuracy_result()).splitlines()) == 6
    assert "+0.0140 from published" in str(accuracy_result())


def test_the_verdict_is_printed_with_its_causes() -> None:
    machine = benchmark_result().observed.machine
    judged = {"verdict": "noisy", "causes": ["one thing", "another"]}
    result = benchmark_result(observed=Observed(machine=machine, interference=judged))
    assert (result.verdict, result.causes) == ("noisy", ("one thing", "another"))
    assert str(result).splitlines()[-4:] == [
        "verdict    noisy",
        "           - one thing",
        "           - another",
        "warnings   none",
    ]
    assert benchmark_result().verdict is None


def test_a_long_warning_is_wrapped_between_words() -> None:
    warning = " ".join(["word"] * 60)
    lines = str(benchmark_result(warnings=(warning, "short"))).splitlines()[5:]
    assert lines[0].startswith("warnings   - word") and lines[-1] == "           - short"
    assert max(map(len, lines)) <= 100
    assert " ".join(line.removeprefix("warnings").strip(" -") for line in lines[:-1]) == warning


def test_html_is_escaped() -> None:
    markup = benchmark_result(warnings=("a < b",))._repr_html_()
    assert "a &lt; b" in markup and "a < b" not in markup


def test_a_file_of_schema_1_has_former_names() -> None:
    result = benchmark_result()
    record = {**result.to_dict(), "schema": 1}
    record["plan"]["trust"] = record["plan"].pop("allow_unsafe_ops")
    placement = record["plan"]["placement"]
    placement["memory_nodes"] = placement.pop("numa_nodes")
    assert from_dict(record) == result


class TestBadFiles:
    def check(self, tmp_path: Path, text: str, message: str) -> None:
        path = tmp_path / "result.json"
        path.write_text(text)
        with pytest.raises(ResultError) as raised:
            load(path)
        assert str(path) in str(raised.value) and message in str(raised.value)

    def record(self, **changes: Any) -> str:
        return json.dumps({**benchmark_result().to_dict(), **changes})

    def test_newer_schema(self, tmp_path: Path) -> None:
        self.check(tmp_path, self.record(schema=3), "schema=3: this version of modelzoo_runner")

    def test_a_summary_that_belongs_to_other_durations(self, tmp_path: Path) -> None:
        summary = {**benchmark_result().summary(), "throughput_examples_per_second": 99.0}
        self.check(tmp_path, self.record(summary=summary), "summary.throughput_examples")
        self.check(tmp_path, self.record(summary=3), "should be a table")

    def test_no_schema(self, tmp_path: Path) -> None:
        self.check(tmp_path, "{}", "schema=None")

    def test_another_kind(self, tmp_path: Path) -> None:
        self.check(tmp_path, self.record(kind="race"), "kind='race': should be one of benchmark")

    def test_edited_by_hand(self, tmp_path: Path) -> None:
        self.check(tmp_path, self.record(examples="12"), "examples: '12' should be a whole number")

    def test_nan(self, tmp_path: Path) -> None:
        text = self.record(examples=12).replace('"examples": 12', '"examples": NaN')
        self.check(tmp_path, text, "NaN is not a number that JSON knows")

    def test_truncated(self, tmp_path: Path) -> None:
        self.check(tmp_path, self.record()[:50], "can't be read as a saved result")

    def test_a_list(self, tmp_path: Path) -> None:
        self.check(tmp_path, "[1]", "not a JSON object")

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ResultError, match="No such file"):
            load(tmp_path / "none.json")


def test_a_result_with_a_nan_in_it_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        benchmark_result(step_seconds=(float("nan"),)).save(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_saving_where_it_cannot_be_says_why_and_harms_nothing(tmp_path: Path) -> None:
    result = benchmark_result()
    for path, why in ((tmp_path, "it is a folder"), (tmp_path / "no" / "a.json", "No such file")):
        with pytest.raises(ResultError) as raised:
            result.save(path)
        assert f"{path}: the result can't be saved there: {why}" in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def of_process(instruction_set: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The facts of a machine, and of a process with these variables."""
    onednn = {"instruction_set": instruction_set}
    return {"software": {"onednn": onednn}, "process": {"env": env or {}}}


class TestChecks:
    def test_few(self) -> None:
        assert "only 3 steps were measured" in next(checks.of_timing([0.1] * 3))
        assert list(checks.of_timing([0.1] * 10)) == []

    def test_synthetic_input(self) -> None:
        latency = dataclasses.replace(PLAN, batch_size=1)
        assert "synthetic input" in next(checks.of_plan(latency))
        assert list(checks.of_plan(dataclasses.replace(latency, data_location="/d"))) == []
        assert any("single examples" in each for each in checks.of_plan(PLAN))

    def test_load(self) -> None:
        (said,) = checks.of_machine({"load_average_before": [1.0, 0, 0]}, 2)
        assert said == ("the machine was busy at the start: load average 1.00 on 2 usable CPUs")
        assert list(checks.of_machine({"load_average_before": [0.1, 0, 0]}, 2)) == []

    @pytest.mark.parametrize("name", ["avx2", "avx512_core", "avx512_core_vnni"])
    def test_int8_without_vnni(self, name: str) -> None:
        machine = of_process(name)
        said = list(checks.of_precision(PLAN, machine, {"int8_layers": 5}))
        assert bool(said) is not name.endswith("vnni")
        assert all(
            f"int8 without VNNI ({name}): sums of two products saturate" in each for each in said
        )

    def test_a_graph_of_another_precision(self) -> None:
        machine = of_process("avx512_core_vnni")
        fp32 = dataclasses.replace(PLAN, precision="fp32")
        assert list(checks.of_precision(fp32, machine, {"int8_layers": 0})) == []
        assert list(checks.of_precision(fp32, machine, {"int8_layers": 5})) == [
            'precision="fp32": 5 layers of this graph compute in int8, so these numbers are of '
            'int8; ask for precision="int8"'
        ]
        assert list(checks.of_precision(PLAN, machine, {"int8_layers": 0})) == [
            'precision="int8": nothing in this graph computes in int8, so these numbers are of '
            "float32; see what it holds with `inspect`"
        ]

    @pytest.mark.parametrize("value", ["BF16", "any", "strict", None])
    def test_float32_in_fewer_bits(self, value: str | None) -> None:
        env = {} if value is None else {"ONEDNN_DEFAULT_FPMATH_MODE": value}
        machine = of_process("avx512_core_amx", env)
        plan = dataclasses.replace(PLAN, precision="fp32")
        said = list(checks.of_precision(plan, machine, {"int8_layers": 0}))
        assert bool(said) == (value in ("BF16", "any"))
        assert all(f"ONEDNN_DEFAULT_FPMATH_MODE={value}" in each for each in said)

    def test_layers_that_were_not_converted(self) -> None:
        machine = of_process("avx512_core_bf16")
        plan = dataclasses.replace(PLAN, precision="bfloat16")
        counts = {"int8_layers": 0, "bfloat16_layers": 54, "layers": 54}
        assert list(checks.of_precision(plan, machine, counts)) == []
        (said,) = checks.of_precision(plan, machine, {**counts, "bfloat16_layers": 0})
        assert "54 of the 54 convolutions and matrix products compute in float32" in said

    def test_partial_data(self) -> None:
        (said,) = checks.of_steps(PLAN, 2, exhausted=True, interrupted=False)
        assert "the data ended after 2 of 3 steps" in said
        (said,) = checks.of_steps(PLAN, 2, exhausted=False, interrupted=True)
        assert "interrupted after 2 measured steps" in said

    def test_scores_of_a_part_and_by_chance(self) -> None:
        limited = dataclasses.replace(PLAN, limit=500)
        said = list(checks.of_scores(limited, 500, None, {"top1": 1}, 1001, IMAGENET))
        assert "a part of the set: 500 examples, because of limit=500" in said[0]
        assert "500 examples; the published score is of all 50000" in said[1]
        assert "top-1 is 1 of 500: no better than chance for 1001 classes" in said[2]
        assert list(checks.of_scores(PLAN, 50_000, 50_000, {"top1": 37_000}, 1001, IMAGENET)) == []


def test_reading_something_that_is_no_result() -> None:
    with pytest.raises(ResultError, match="schema=None"):
        from_dict({})


class TestProcesses:
    def process(self, *step_seconds: float, wait: float = 0.0) -> ProcessRecord:
        return ProcessRecord(
            started="2026-01-01T00:00:00+00:00",
            examples=4 * len(step_seconds),
            step_seconds=step_seconds,
            data_seconds=(wait,) * len(step_seconds),
        )

    def test_throughput_is_the_geometric_mean_with_an_interval_over_processes(self) -> None:
        processes = (self.process(0.1, 0.1), self.process(0.2, 0.2), self.process(0.4))
        result = benchmark_result(processes=processes)
        assert result.process_throughputs == pytest.approx((40, 20, 10))
        assert result.throughput == pytest.approx(20)
        low, high = result.throughput_interval or (0, 0)
        # The mean of the logarithms, and Student's 4.303 for 2 degrees of freedom.
        factor = 2 ** (4.303 / 3**0.5)
        assert (low, high) == (pytest.approx(20 / factor, 1e-3), pytest.approx(20 * factor, 1e-3))

    def test_end_to_end(self) -> None:
        result = benchmark_result(processes=(self.process(0.1, wait=0.1), self.process(0.2)))
        assert result.end_to_end_throughput == pytest.approx(20)

    def test_one_process_has_no_interval(self) -> None:
        assert benchmark_result().throughput_interval is None
        assert benchmark_result(processes=(self.process(0.1),)).throughput_interval is None

    def test_saved_and_loaded(self, tmp_path: Path) -> None:
        result = benchmark_result(processes=(self.process(0.1), self.process(0.2)))
        assert load(result.save(tmp_path / "a.json")) == result


SCHEMA_1 = Path(__file__).parent / "schema1"


class TestSchema1:
    """Files that were saved by the version before: they load, print and are saved anew."""

    @pytest.mark.parametrize("name", ["accuracy", "benchmark", "detection", "instances"])
    def test_it_is_read_and_printed(self, name: str, tmp_path: Path) -> None:
        result = load(SCHEMA_1 / f"{name}.json")
        record = json.loads((SCHEMA_1 / f"{name}.json").read_text())
        assert list(result.step_seconds) == record["step_seconds"]
        assert result.plan.model in str(result)
        again = result.save(tmp_path / "again.json")
        assert load(again) == result
        assert json.loads(again.read_text())["schema"] == 2

    def test_a_sweep(self) -> None:
        sweep = SweepResult.load(SCHEMA_1 / "sweep.json")
        assert [type(each).__name__ for each in sweep] == [*["BenchmarkResult"] * 2, "Failure"]
        assert "UnknownModel" in str(sweep)

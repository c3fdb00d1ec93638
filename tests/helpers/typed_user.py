"""A user's script with every public name in it, which type checkers read and nobody runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

from modelzoo_runner import (
    ABResult,
    AccuracyResult,
    BenchmarkResult,
    BestKnown,
    BindingError,
    Comparison,
    ContainerError,
    DataError,
    DataRequired,
    Diagnosis,
    Failure,
    FetchError,
    GraphError,
    HashMismatch,
    History,
    Int8Report,
    Interrupted,
    MaxRateResult,
    MissingDependency,
    PairedComparison,
    Plan,
    Preset,
    PresetError,
    RequestError,
    ResultError,
    RunnerError,
    RuntimesResult,
    SweepComparison,
    SweepResult,
    TuneResult,
    UnknownModel,
    UnsafeArchive,
    WorkerError,
    __version__,
    ab_test,
    accuracy,
    benchmark,
    best_known,
    calibration_batches,
    compare,
    compare_predictions,
    convert_coco,
    convert_imagenet,
    doctor,
    draw_detections,
    from_launch_command,
    inspect_graph,
    int8_report,
    load,
    machine,
    max_rate,
    models,
    quantize,
    release,
    report,
    run,
    runtimes,
    score_detections,
    sweep,
    tune,
)


def progress(what: str, done: int, total: int | None) -> None:
    """Tell how far it is."""


def measure() -> BenchmarkResult:
    """Measure."""
    result = benchmark("resnet50", precision="int8", weights="random", steps=3, progress=progress)
    assert_type(result, BenchmarkResult)
    assert_type(result.throughput, float)
    assert_type(result.throughput_interval, tuple[float, float] | None)
    assert_type(result.plan, Plan)
    again = benchmark(Path("mine.toml"), cpus=[0, 1], env={"A": "1"}, instances="socket")
    assert_type(compare(result, again), Comparison)
    return again


def many() -> None:
    """Measure many, keep them and look at them."""
    found = sweep({"model": "resnet50", "batch_size": [1, 8]})
    assert_type(found, SweepResult)
    for result in found.results:
        assert_type(result.throughput, float)
    for failure in found.failures:
        assert_type(failure, Failure)
        raise failure.exception
    for outcome in found:
        if not isinstance(outcome, Failure):
            assert_type(outcome.throughput, float)
    rows: list[BestKnown] = [*best_known("resnet50")]
    both = compare(sweep(rows), found)
    assert_type(both, SweepComparison)
    assert_type([each.ratio for each in both], list[float])
    history = History("history.db")
    assert_type(history.add(found, label=__version__), int)
    print(report([found, both.comparisons[0], history], "report.html"))


def saved() -> None:
    """Read saved results."""
    print(load("any.json").latency.p50)
    assert_type(load("one.json", BenchmarkResult), BenchmarkResult)
    assert_type(load("one.json", AccuracyResult).scores["top1"], float)
    assert_type(load(Path("many.json"), SweepResult), SweepResult)
    assert_type(load("ab.json", ABResult).ratio, float)


def score() -> None:
    """Score."""
    found = accuracy("resnet50", data_location="shards", min_scores={"top1": 0.7}, max_drop=0.01)
    assert_type(found, AccuracyResult)
    assert_type(found.interval, dict[str, tuple[float, float]])
    assert_type(doctor("resnet50", data_location="shards"), Diagnosis)
    assert_type(compare_predictions("a.csv", "b.csv"), PairedComparison)
    converted = convert_imagenet("images", "labels.txt", "shards")
    print(converted, convert_coco("images", "instances.json", "shards"))
    scores = score_detections([{"image_id": 1}], {"images": []}, iou_type="segm")
    assert_type(scores.scores["AP"], float)
    draw_detections("image.jpg", [{"image_id": 1}]).save("drawn.png")


def graphs() -> None:
    """Look into graphs, make them int8, compare runtimes."""
    card = inspect_graph("graph.pb")
    assert_type(card.nodes, int)
    batches: Iterator[Any] = calibration_batches("resnet50", synthetic=True)
    quantize("graph.pb", batches, ranges="entropy", exclude=["ConcatV2"])
    assert_type(int8_report("int8.pb", fp32="graph.pb"), Int8Report)
    assert_type(runtimes("resnet50", precisions=["fp32"]), RuntimesResult)
    assert_type(tune("resnet50", objective="latency", batch_sizes=[1]), TuneResult)
    sides = ab_test({"precision": "fp32"}, "resnet101", model="resnet50", rounds=2)
    assert_type(sides, ABResult)


def under_load() -> None:
    """Look for the highest rate within a limit."""
    found = max_rate("resnet50", latency_p99=0.1, weights="random")
    assert_type(found, MaxRateResult)
    assert_type(found.rate, float | None)
    print(benchmark("resnet50", arrivals="poisson", rate=20.0).latency.p99)
    release()


def what_there_is() -> dict[str, Preset]:
    """Look around."""
    assert_type(machine().usable, tuple[int, ...])
    return models()


def original() -> None:
    """Run what there was."""
    run(model_name="resnet50", precision="fp32", batch_size=1)
    for call in from_launch_command(Path("all.sh")):
        call.run(progress)


def errors() -> None:
    """Catch each of them."""
    try:
        measure()
    except (UnknownModel, DataRequired, HashMismatch, UnsafeArchive) as error:
        print(error)
    except (RequestError, PresetError, FetchError, DataError, BindingError, GraphError) as error:
        print(error)
    except (ResultError, MissingDependency, ContainerError, WorkerError) as error:
        print(error)
    except RunnerError as error:
        print(error)
    except Interrupted as interrupted:
        print(interrupted.result)

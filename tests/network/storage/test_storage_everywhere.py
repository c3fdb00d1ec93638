"""Both verbs with everything in a store of fsspec, and what comes of them written there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_gcs
import fsspec
import pytest
import tiny

from modelzoo_runner import (
    AccuracyResult,
    BenchmarkResult,
    RequestError,
    accuracy,
    benchmark,
    convert_coco,
    load,
)
from modelzoo_runner.storage import streaming

pytestmark = [
    pytest.mark.usefixtures("same_pools"),
    # What aiohttp says of how gcsfs uploads, and Python shows nobody who doesn't ask for it.
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]

HERE: dict[str, Any] = {"num_inter_threads": 1, "allocator": "system", "batch_size": 4}


@pytest.fixture(params=["memory", "gs", "gcs"])
def store(
    request: pytest.FixtureRequest,
    gcs_server: fake_gcs.FakeGcs,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[str]:
    """A folder with a graph, a preset of it, and eight shards of 42 images."""
    if request.param != "memory":
        fake_gcs.for_gcsfs(gcs_server, monkeypatch)
        gcs_server.put("everywhere", "first", b"")
    top = f"{request.param}://everywhere"
    files = fsspec.filesystem(request.param)
    graph = tiny.classifier(tmp_path / "tiny.pb", output="predict:0", size=(224, 224))
    preset = Path("presets/resnet50.toml").resolve()
    for path in (graph, preset, *tiny.shards(tmp_path / "shards", images=42, files=8).iterdir()):
        kind = {".pb": "graphs", ".toml": "presets"}.get(path.suffix, "data")
        files.put_file(str(path), f"{top}/{kind}/{path.name}")
    yield top
    files.rm(top, recursive=True)


def test_models_and_data_from_a_store_and_results_to_it(store: str, cache_folder: Path) -> None:
    given = {**HERE, "weights": f"{store}/graphs/tiny.pb"}
    timed = benchmark(f"{store}/presets/resnet50.toml", **given, warmup_steps=0, steps=2)
    assert timed.plan.model == "resnet50" and timed.examples == 8
    assert load(timed.save(f"{store}/results/timed.json"), BenchmarkResult) == timed

    where = {"data_location": f"{store}/data", "predictions": f"{store}/results/fetched.csv"}
    fetched = accuracy("resnet50", **given, **where)
    assert fetched.examples == 42 and fetched.plan.data_location.startswith(str(cache_folder))
    where["predictions"] = f"{store}/results/streamed.csv"
    streamed = accuracy("resnet50", **given, **where, stream=True)
    assert streamed.counts == fetched.counts and streamed.plan.data_location == f"{store}/data"
    assert load(f"{store}/results/timed.json") == timed
    written = streaming.path(f"{store}/results/")
    rows = (written / "fetched.csv").read_bytes()
    assert rows == (written / "streamed.csv").read_bytes() and rows.count(b"\n") == 43


def test_a_checkpoint_in_a_store(store: str) -> None:
    given: dict[str, Any] = {
        **HERE,
        "weights": f"{store}/graphs/tiny.pb",
        "data_location": f"{store}/data",
        "checkpoint": f"{store}/kept",
    }
    whole = accuracy("resnet50", **given)
    entries = sorted(path.name for path in streaming.path(f"{store}/kept").iterdir())
    assert len(entries) > 5 and entries[-1] == "run.json"
    fsspec.filesystem(store.partition(":")[0]).rm_file(f"{store}/kept/{entries[0]}")
    again = accuracy("resnet50", **given)
    assert isinstance(again, AccuracyResult) and again.counts == whole.counts
    with pytest.raises(RequestError, match=r"checkpoint='.*://everywhere/kept': is of another run"):
        accuracy("resnet50", **given | {"batch_size": 2})


def test_shards_are_converted_into_a_store(store: str, tmp_path: Path) -> None:
    images, annotations = tiny.coco(tmp_path / "coco")
    report = convert_coco(images, annotations, f"{store}/converted", shards=2)
    names = [f"coco_val.record-{number:05}-of-00002" for number in range(2)]
    assert [str(each) for each in report.files] == [f"{store}/converted/{name}" for name in names]
    assert f"{store}/converted: 2 files" in str(report)
    convert_coco(images, annotations, tmp_path / "here", shards=2)
    found = sorted(streaming.path(f"{store}/converted").iterdir())
    assert [path.name for path in found] == names
    assert [path.read_bytes() for path in found] == [
        (tmp_path / "here" / name).read_bytes() for name in names
    ]


def test_what_is_of_this_process_alone_is_not_given_to_another() -> None:
    for name in ("predictions", "data_location"):
        with pytest.raises(RequestError, match=rf"^{name}='memory://.*: memory:// is this process"):
            accuracy(
                "resnet50",
                weights="random",
                isolation="child",
                **{"data_location": "/data", name: "memory://everywhere/x"},
                **({"stream": True} if name == "data_location" else {}),
            )

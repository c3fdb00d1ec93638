"""Both verbs with everything in a bucket: fetched, verified, cached, run and scored."""

from __future__ import annotations

from pathlib import Path

import fake_gcs
import pytest
import tiny

from modelzoo_runner import AccuracyResult, FetchError, RequestError, accuracy, benchmark
from modelzoo_runner.cli.main import main
from modelzoo_runner.data.convert import convert_imagenet

pytestmark = pytest.mark.usefixtures("same_pools")

HERE = {"num_inter_threads": 1, "allocator": "system"}
GRAPH = "models/v1_8/mobilenet_v1_1.0_224_frozen.pb"


@pytest.fixture(scope="module")
def published(
    samples: Path, tmp_path_factory: pytest.TempPathFactory, gcs_server: fake_gcs.FakeGcs
) -> fake_gcs.FakeGcs:
    """The graph where the preset says that it is, and shards in a bucket named `images`."""
    graph = samples / "graphs" / "mobilenet_v1_1.0_224_frozen.pb"
    gcs_server.put("intel-optimized-tensorflow", GRAPH, graph.read_bytes())
    folder = tmp_path_factory.mktemp("data")
    (folder / "images").mkdir()
    for path in sorted((samples / "imagenet" / "images").iterdir())[:40]:
        (folder / "images" / path.name).write_bytes(path.read_bytes())
    labels = samples / "labels" / "imagenet_lsvrc_2015_synsets_from_filenames.txt"
    convert_imagenet(folder / "images", labels, folder / "shards", shards=8)
    for path in sorted((folder / "shards").iterdir()):
        gcs_server.put("images", f"nested/{path.name}", path.read_bytes())
    return gcs_server


def test_a_model_and_its_data_from_buckets(
    published: fake_gcs.FakeGcs, gcs: fake_gcs.FakeGcs, capsys: pytest.CaptureFixture[str]
) -> None:
    timed = benchmark("mobilenet_v1", batch_size=2, warmup_steps=1, steps=2, **HERE)
    assert timed.examples == 4 and timed.plan.graph.source == "pretrained"
    scored = accuracy("mobilenet_v1", data_location="gs://images/nested", batch_size=20, **HERE)
    assert scored.examples == 40 and scored.counts["top1"] > 30

    before = len(published.requests())
    again = accuracy("mobilenet_v1", data_location="gs://images/nested", batch_size=20, **HERE)
    assert again.counts == scored.counts
    assert len(published.requests()) == before, "the second call asked the server"
    offline = benchmark("mobilenet_v1", steps=1, batch_size=1, offline=True, **HERE)
    assert offline.plan.graph.sha256 == timed.plan.graph.sha256

    assert main(["cache", "list"]) == 0
    assert "gs://images/nested/validation-00000-of-00008" in capsys.readouterr().out
    assert main(["cache", "verify"]) == 0
    assert main(["cache", "clear"]) == 0
    assert main(["cache", "list"]) == 0
    assert "gs://" not in capsys.readouterr().out.split("removed")[-1]


def test_a_limit_fetches_only_the_shards_it_needs(
    published: fake_gcs.FakeGcs, gcs: fake_gcs.FakeGcs, cache_folder: Path
) -> None:
    graph = _graph_in_cache(cache_folder)

    def run() -> AccuracyResult:
        return accuracy(
            "mobilenet_v1", weights=graph, data_location="gs://images/nested", limit=8, **HERE
        )

    result = run()
    assert result.examples == 8
    fetched = {path.name for path in cache_folder.rglob("validation-*") if path.is_file()}
    assert fetched == {f"validation-{number:05}-of-00008" for number in range(5)}
    assert any("a part of the set" in said for said in result.warnings)
    # The same examples as of the whole set.
    accuracy("mobilenet_v1", weights=graph, data_location="gs://images/nested", **HERE)
    assert run().counts == result.counts


def test_a_graph_of_ones_own_in_a_bucket(gcs: fake_gcs.FakeGcs, tmp_path: Path) -> None:
    graph = tiny.classifier(tmp_path / "tiny.pb").read_bytes()
    gcs.put("gs", "graphs/tiny.pb", graph)
    alone = benchmark("gs://gs/graphs/tiny.pb", warmup_steps=0, steps=1, **HERE)
    assert alone.plan.model == "tiny" and Path(alone.plan.graph.path).read_bytes() == graph
    before = len(gcs.requests())
    given = benchmark(
        "resnet50",
        weights="gs://gs/graphs/tiny.pb",
        input="input:0",
        outputs={"scores": "scores:0"},
        input_shape=(8, 8, 3),
        steps=1,
        batch_size=1,
        offline=True,
        **HERE,
    )
    assert given.plan.graph == alone.plan.graph
    assert len(gcs.requests()) == before
    with pytest.raises(RequestError, match=r"write 'gs://gs/graphs/tiny\.pb'"):
        benchmark(Path("gs://gs/graphs/tiny.pb"), **HERE)


def test_a_folder_that_lost_a_slash(gcs: fake_gcs.FakeGcs) -> None:
    with pytest.raises(RequestError) as raised:
        accuracy("mobilenet_v1", weights="random", data_location=Path("gs://images/nested"), **HERE)
    assert str(raised.value) == (
        "'gs:/images/nested': one slash is missing, as after pathlib.Path, which is for paths of "
        "this machine; write 'gs://images/nested'."
    )


def _graph_in_cache(cache_folder: Path) -> Path:
    benchmark("mobilenet_v1", batch_size=1, warmup_steps=0, steps=1, **HERE)
    (graph,) = cache_folder.rglob("*.pb")
    return graph


def test_a_model_that_cannot_be_had_lists_each_place_and_what_to_do(gcs: fake_gcs.FakeGcs) -> None:
    with pytest.raises(FetchError) as raised:
        benchmark("inceptionv4")
    said = str(raised.value)
    assert said.count("/intel-optimized-tensorflow/models/") == 3
    assert "404" in said and 'weights="random"' in said


def test_offline_says_what_is_missing(gcs: fake_gcs.FakeGcs) -> None:
    with pytest.raises(FetchError, match="offline"):
        benchmark("inceptionv4", offline=True)

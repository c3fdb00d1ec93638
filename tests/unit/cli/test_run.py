"""The commands `run` and `translate`: which runs they ask for, and what they refuse."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

import modelzoo_runner
from modelzoo_runner import SweepResult, best_known
from modelzoo_runner.cli import main as cli


@pytest.mark.parametrize("with_data", [False, True])
def test_all_recommended_runs_and_scores_where_there_is_data(
    monkeypatch: pytest.MonkeyPatch, with_data: bool
) -> None:
    asked: list[dict[str, Any]] = []

    def sweep(runs: list[dict[str, Any]], **_: Any) -> SweepResult:
        asked.extend(runs)
        return SweepResult(())

    monkeypatch.setattr(modelzoo_runner, "sweep", sweep)
    data = ["--imagenet", "/data/imagenet", "--coco", "/data/coco"] if with_data else []
    image = ["--docker-image", "mine:1"]
    command = ["run", "--best-known", "all", "--weights", "random", *data, *image]
    assert cli.main(command) == cli.DONE
    known = [each for each in best_known() if with_data or each.goal != "accuracy"]
    assert [(run["model"], run["precision"]) for run in asked] == [
        (each.model, each.precision) for each in known
    ]
    for run, each in zip(asked, known, strict=True):
        assert run["verb"] == ("accuracy" if each.goal == "accuracy" else "benchmark")
        assert run["batch_size"] == each.run.batch_size
        assert (run["weights"], run["docker_image"], run["socket_id"]) == ("random", "mine:1", 0)
        is_detector = modelzoo_runner.models()[each.model].task == "detection"
        location = "/data/coco" if is_detector else "/data/imagenet"
        assert run.get("data_location") == (location if with_data else None)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of 100 columns: pytest-xdist gives its workers a width of their own."""
    monkeypatch.setenv("COLUMNS", "100")


LINE = "python launch_benchmark.py -m resnet50 -p int8 --benchmark-only"


def test_a_command_is_translated(capsys: pytest.CaptureFixture[str]) -> None:
    command = f"cd /models && {LINE} -b 128 -- steps=500 warmup_steps=50"
    assert cli.main(["translate", command]) == cli.DONE
    python, shell, *table = capsys.readouterr().out.splitlines()
    assert python == (
        'benchmark("resnet50", precision="int8", batch_size=128, warmup_steps=50, steps=450)'
    )
    assert shell == (
        "modelzoo-runner benchmark resnet50 --precision int8 --batch-size 128 --warmup-steps 50 "
        "--steps 450"
    )
    assert table[0].split() == ["was", "is", "why"]
    rows = "\n".join(table)
    for said in ("`cd /models`", "steps=500", "warmup_steps=50 steps=450", "the original counted"):
        assert said in rows


def test_a_script_is_translated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.sh"
    path.write_text(f"{LINE} -b 1\n\n{LINE} -b 2\n")
    assert cli.main(["translate", str(path), "--release", "1.3.1"]) == cli.DONE
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("#")] == ["# line 1", "# line 3"]
    assert sum('allocator="system"' in line for line in said) == 2


def test_the_page_shows_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[3] / "docs" / "migrating.md"
    block = page.read_text(encoding="utf-8").split("```console\n$ ")[1].split("```")[0]
    command, _, shown = block.partition("\n")
    assert cli.main(shlex.split(command)[1:]) == cli.DONE
    assert capsys.readouterr().out == shown


def test_where_nothing_differs_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    line = "python launch_benchmark.py -m resnet50 -p fp32 -b 100 --accuracy-only -d /data"
    assert cli.main(["translate", line]) == cli.DONE
    assert capsys.readouterr().out.splitlines()[2:] == ["Nothing means another thing than it did."]


# What the shell line says is the same call: held for every command by release.
ENTRIES = Path(__file__).parents[1] / "legacy" / "launch_entries.txt"


def test_the_shell_line_is_the_call() -> None:
    app = cli.build_app()
    lines = [each.split("|") for each in ENTRIES.read_text().splitlines() if "|" in each]
    commands = [each[2] for each in lines if "refused" not in each[3] and "-m" in each[2]]
    for each in [*commands, "-m resnet50 -p fp32 -b 1 -g 'my graph.pb' --tcmalloc-l=-1"]:
        call = modelzoo_runner.from_launch_command(f"A='b c' python launch_benchmark.py {each}")
        assert not isinstance(call, list)
        words = shlex.split(call.shell())[1:]
        command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        assert command.__name__ == call.verb
        assert bound.args == (call.model,) and bound.kwargs == call.arguments


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ([f"{LINE} -b 0"], ["batch_size='0'"]),
        ([f"{LINE}\n{LINE} --gpu"], ["line 2", "gpu"]),
        (["none.sh"], ["none.sh", "No such file"]),
        ([LINE, "--release", "9"], ["release='9'", "1.3"]),
        ([f"{LINE}\n{LINE}", "--run", "--json", "x.json"], ["json", "single"]),
    ],
)
def test_what_can_not_be_translated(
    capsys: pytest.CaptureFixture[str], given: list[str], keys: list[str]
) -> None:
    assert cli.main(["translate", *given]) == cli.BAD_REQUEST
    said = capsys.readouterr()
    assert not said.out and all(key in said.err for key in keys)


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        (["--mode", "training"], ["mode='training'", "inference"]),
        (["--best-known", "resnet5"], ["model='resnet5'", "'resnet50'"]),
        (["--best-known", "all", "--batch-size", "8"], ["batch_size='8'", "--best-known"]),
        (["--best-known", "all", "--precision", "bfloat16"], ["precision='bfloat16'", "fp32"]),
        (["--imagenet", "/data"], ["imagenet", "--best-known", "--data-location"]),
        (["--weights", "random"], ["weights", "--best-known", "--extra-model-args"]),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_run(
    capsys: pytest.CaptureFixture[str], given: list[str], keys: list[str]
) -> None:
    assert cli.main(["run", *given]) == cli.BAD_REQUEST
    said = capsys.readouterr().err
    for key in keys:
        assert key in said

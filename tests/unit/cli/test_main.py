"""The command in this process: exit codes, messages, what is printed and saved in which order."""

from __future__ import annotations

import ast
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import modelzoo_runner
from modelzoo_runner import BenchmarkResult, Interrupted, SweepResult, load
from modelzoo_runner.cli import main as cli
from modelzoo_runner.cli import output
from modelzoo_runner.cli.output import Output
from modelzoo_runner.errors import MissingDependency, RequestError, ResultError, RunnerError
from modelzoo_runner.results.parts import Observed
from modelzoo_runner.results.sweep import Failure
from modelzoo_runner.values.plan import GraphFile, Placement, Plan

PLAN = Plan(
    kind="benchmark",
    model="m",
    task="classification",
    precision="fp32",
    goal="throughput",
    graph=GraphFile(source="path", path="m.pb"),
    batch_size=2,
    placement=Placement(inter_threads=1, intra_threads=1),
)
RESULT = BenchmarkResult(
    plan=PLAN,
    observed=Observed(machine={"software": {"tensorflow": {"version": "2.21.0"}}}),
    step_seconds=(0.5, 1.5),
    data_seconds=(1.0, 1.0),
    examples=4,
)


@pytest.mark.parametrize(
    ("arguments", "code", "keys"),
    [
        (["benchmark", "resnet5"], 2, ["UnknownModel", "'resnet5'", "'resnet50'"]),
        (["benchmark", "resnet50", "--steps", "0"], 2, ["RequestError", "steps=0"]),
        (["benchmark", "resnet50", "--steps", "ten"], 2, ["--steps", "ten"]),
        (["benchmark", "resnet50", "--precision", "int4"], 2, ["int4", "int8"]),
        (["benchmark", "resnet50", "--goal", "fast"], 2, ["goal='fast'", "latency"]),
        (["benchmark", "resnet50", "--instances", "some"], 2, ["instances='some'", "socket"]),
        (["benchmark", "resnet50", "--env", "A"], 2, ["--env", "NAME=VALUE"]),
        (["benchmark", "resnet50", "--stops", "3"], 2, ["--stops", "--steps"]),
        (["benchmark", "resnet50", "--json", "--steps", "3"], 2, ["--json", "--steps"]),
        (["benchmark", "resnet50", "more"], 2, ["more"]),
        (["benchmark"], 2, ["MODEL", "modelzoo-runner benchmark --help"]),
        (["benchmark", "no.toml"], 2, ["PresetError", "no.toml"]),
        (["accuracy", "resnet50"], 2, ["DataRequired", "data_location"]),
        (["show", "no.json"], 1, ["ResultError", "no.json"]),
        (["show"], 2, ["RESULTS"]),
        (["compare", "one.json"], 2, ["CHANGED"]),
        (["sweep", "no.toml"], 2, ["RequestError", "no.toml", "TOML"]),
        (["quantize", "resnet50", "--synthetic"], 2, ["--out"]),
        (["convert", "imagenet", "a", "b"], 2, ["OUT", "modelzoo-runner convert imagenet --help"]),
        (["benchmrk"], 2, ["benchmrk", '"benchmark"']),
        (["cache", "lst"], 2, ["lst", '"list"']),
        (["benchmark", "resnet50", "--json", "/nowhere/x.json"], 2, ["json=", "/nowhere"]),
        (["benchmark", "resnet50", "--json", "memory://x"], 2, ["json=", "ends with the command"]),
    ],
)
def test_a_mistake_has_an_exit_code_and_says_what_to_do(
    arguments: list[str], code: int, keys: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == code
    said = capsys.readouterr()
    for key in keys:
        assert key in said.err
    assert not said.out and "Traceback" not in said.err


@pytest.mark.parametrize("arguments", [[], ["cache"], ["convert"]])
def test_without_a_command_there_is_the_help_page_and_nothing_done(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == cli.BAD_REQUEST
    assert cli.main([*arguments, "--help"]) == cli.DONE
    first, second = capsys.readouterr().out.split("Usage:")[1:]
    assert first == second


def test_the_help_page_lists_every_command_with_what_it_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["--help"]) == cli.DONE
    page = capsys.readouterr().out
    for names in cli.COMMANDS.values():
        for name in names:
            (row,) = [line for line in page.splitlines() if line.startswith(f"│ {name} ")]
            assert len(row.strip("│ ").split()) > 3


def test_the_help_of_benchmark_fits_two_screens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.main(["benchmark", "--help"]) == cli.DONE
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 100 and lines[2] == "Measure how fast a model runs here."
    panels = [line.split()[1] for line in lines if line.startswith("╭")]
    assert panels == [
        *("Arguments", "Data", "Graph", "Measurement", "CPUs", "Host", "Output", "Gates")
    ]
    page = " ".join(" ".join(line.strip("│ ") for line in lines).split())
    for words in (
        "[choices: fp32, int8, bfloat16] [default: fp32]",
        "[choices: tensorflow, onnxruntime, openvino]",
        "[choices: socket, node, core]",
        "as keep_prob:0=1.0, is_training:0=False",
        "; if not given: synthetic input.",
    ):
        assert words in page
    assert "None" not in page and '"' not in page and "--no-strict" not in page


def test_the_help_page_says_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == cli.DONE
    assert cli.EXIT_CODES in " ".join(capsys.readouterr().out.split())


def test_help_and_a_slip_load_nothing_heavy() -> None:
    code = (
        "import sys\nfrom modelzoo_runner.cli.main import main\n"
        "for words in (['--help'], ['benchmark', '--help'], ['quantize', '--help'], ['rase']):\n"
        "    main(words)\n"
        "heavy = 'tensorflow', 'numpy', 'google.cloud', 'requests', 'PIL', 'tqdm'\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == cli.DONE
    assert capsys.readouterr().out.strip() == modelzoo_runner.__version__


def test_models_and_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models"]) == cli.DONE
    out = capsys.readouterr().out
    for name in modelzoo_runner.models():
        assert name in out
    assert cli.main(["machine"]) == cli.DONE
    assert capsys.readouterr().out == f"{modelzoo_runner.machine()}\n"


EVIL = "m\x1b]0;owned\x07\x1b[2J"


def test_what_a_saved_result_says_is_shown_and_not_obeyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = dataclasses.replace(PLAN, model=EVIL, data_location=EVIL)
    failed = Failure(asked={"verb": "benchmark", "model": EVIL}, error="GraphError", message=EVIL)
    evil = dataclasses.replace(RESULT, plan=plan, warnings=(EVIL,))
    one = str(evil.save(tmp_path / "one\x1b[2J.json"))
    many = str(SweepResult((evil, failed)).save(tmp_path / "many.json"))
    assert load(one, BenchmarkResult).plan.model == EVIL  # the file has what there was
    kept = str(tmp_path / "history.json")
    for words in (
        ["show", one, many],
        ["compare", one, one],
        ["compare", many, many],
        ["history", "add", kept, one],
        ["history", "show", kept],
        ["show", one, "--csv", str(tmp_path / "rows\x1b[2J.csv")],
        ["show", f"{one}.gone"],
        ["inspect", EVIL],
        ["benchmark", "resnet50", EVIL],
    ):
        cli.main(words)
        said = capsys.readouterr()
        printed = said.out + said.err
        assert r"\x1b" in printed and "\x1b" not in printed and "\x07" not in printed, words


def test_commands_print_in_one_place_alone() -> None:
    folder = Path(cli.__file__).parent
    others = [each for each in folder.glob("*.py") if each.name not in ("main.py", "terminal.py")]
    assert len(others) > 5
    for each in others:
        tree = ast.parse(each.read_text(encoding="utf-8"))
        calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
        assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (["machine"], "cpus"),
        (["models"], "resnet50"),
        (["cache", "list"], "folder"),
        (["cache", "clear"], "files"),
        (["translate", "python launch_benchmark.py -m resnet50 -p int8 --benchmark-only"], "model"),
        (["show", "one.json"], "step_seconds"),
        (["compare", "one.json", "one.json"], "ratio"),
        (["history", "add", "kept.db", "one.json"], "one.json"),
        (["history", "show", "kept.db"], "entries"),
    ],
)
def test_every_command_with_a_result_gives_it_as_json(
    command: list[str],
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELZOO_RUNNER_CACHE", str(tmp_path / "cache"))
    RESULT.save("one.json")
    modelzoo_runner.History("kept.db").add(RESULT)
    assert cli.main([*command, "--json", "-"]) == cli.DONE
    said = capfd.readouterr()
    found = json.loads(said.out)
    assert key in (found[0] if isinstance(found, list) else found)
    assert said.err  # the page
    assert cli.main([*command, "--json", "saved.json", "--quiet"]) == cli.DONE
    assert json.loads(Path("saved.json").read_text())
    assert capfd.readouterr() == ("", "")


def test_show_and_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(RESULT.save(tmp_path / "one.json"))
    assert cli.main(["show", path, path]) == cli.DONE
    assert capsys.readouterr().out == f"{RESULT}\n\n{RESULT}\n"
    assert cli.main(["compare", path, path]) == cli.DONE
    assert "throughput" in capsys.readouterr().out


class Closed(io.StringIO):
    """Standard output whose reader has gone."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_a_result_is_saved_before_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        output.show(RESULT, Output(json=str(tmp_path / "result.json")))
    assert load(tmp_path / "result.json") == RESULT


def test_a_result_that_can_not_be_saved_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ResultError):
        output.show(RESULT, Output(json=str(tmp_path)))
    assert capsys.readouterr().out == f"{RESULT}\n"


def test_json_to_standard_output_is_all_that_is_there(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output.show(RESULT, Output(json="-"))
    said = capfd.readouterr()
    assert said.out == RESULT.save(tmp_path / "result.json").read_text()
    assert str(RESULT) in said.err


def test_a_pipe_as_file_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    output.run(lambda _: RESULT, Output(json=str(pipe)))
    reader.join(10)
    assert json.loads(read[0])["examples"] == 4
    assert pipe.is_fifo() and [*tmp_path.iterdir()] == [pipe]


def test_where_the_file_can_not_be_nothing_is_run(tmp_path: Path) -> None:
    def run(_: object) -> BenchmarkResult:
        raise AssertionError("it was run")

    for path in (tmp_path, tmp_path / "no" / "result.json"):
        with pytest.raises(RequestError, match="json="):
            output.run(run, Output(json=str(path)))


def test_what_was_measured_before_ctrl_c_is_saved_and_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: object) -> BenchmarkResult:
        raise Interrupted(RESULT)

    with pytest.raises(Interrupted):
        output.run(run, Output(json=str(tmp_path / "result.json")))
    assert load(tmp_path / "result.json") == RESULT
    assert capsys.readouterr().out == f"{RESULT}\n"


def test_a_sweep_with_a_failure_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"verb": "benchmark", "model": "m"}
    failure = Failure(asked=asked, error="GraphError", message="no graph")
    with pytest.raises(RunnerError, match="1 of 2"):
        output.run(lambda _: SweepResult((RESULT, failure)), output.PLAIN)
    assert "no graph" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("becomes", [KeyboardInterrupt, ImportError, MissingDependency])
def test_interrupted_anywhere_is_130(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    becomes: type[BaseException],
) -> None:
    """Libraries turn an interrupted import into errors of their own."""

    def run(_: list[str]) -> int:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise becomes from None
        return 0

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(cli, "_do", run)
    assert cli.main([]) == cli.INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def test_an_error_of_ours_has_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: list[str]) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "_do", run)
    with pytest.raises(ZeroDivisionError):
        cli.main([])


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    code = "import sys; from modelzoo_runner.cli.main import main; sys.exit(main(['models']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (cli.FAILURE, "")

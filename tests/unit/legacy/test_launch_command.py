"""Old command lines, as people have them in their scripts."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelzoo_runner.errors import RequestError, UnknownModel
from modelzoo_runner.legacy import options
from modelzoo_runner.legacy.launch_command import from_launch_command
from modelzoo_runner.legacy.pipeline import Call
from modelzoo_runner.planning.request import Request
from modelzoo_runner.planning.resolve import resolve
from modelzoo_runner.planning.validation import check
from modelzoo_runner.values import presets
from modelzoo_runner.values.plan import Placement, Plan

RESNET50 = (
    "python launch_benchmark.py --framework tensorflow --model-name resnet50 --mode inference "
    "--precision fp32"
)

# As the zoo's own READMEs print them.
PRINTED = [
    (
        r"""$ python launch_benchmark.py \
            --in-graph /home/me/resnet50_fp32_pretrained_model.pb \
            --model-name resnet50 \
            --framework tensorflow \
            --precision fp32 \
            --mode inference \
            --batch-size=128 \
            --socket-id 0 \
            --docker-image registry.example.org/release/tf-cpu.1-14
        """,
        'benchmark("resnet50", precision="fp32", batch_size=128, socket_id=0, '
        'weights="/home/me/resnet50_fp32_pretrained_model.pb", warmup_steps=10, steps=40)',
    ),
    (
        r"""python launch_benchmark.py \
            --data-location /home/me/dataset/FullImageNetData_directory \
            --in-graph=/home/me/resnet50_int8_pretrained_model.pb \
            --model-name resnet50 --framework tensorflow --precision int8 --mode inference \
            --accuracy-only \
            --batch-size=100
        """,
        'accuracy("resnet50", precision="int8", '
        'data_location="/home/me/dataset/FullImageNetData_directory", batch_size=100, '
        'weights="/home/me/resnet50_int8_pretrained_model.pb")',
    ),
    (
        r"""python launch_benchmark.py --model-name inceptionv3 --framework tensorflow \
            --precision int8 --mode inference --batch-size 128 --socket-id 0 --benchmark-only \
            -- warmup_steps=50 steps=500
        """,
        'benchmark("inceptionv3", precision="int8", batch_size=128, socket_id=0, '
        "warmup_steps=50, steps=500)",
    ),
    (
        r"""python3 /opt/models/benchmarks/launch_benchmark.py --model-name inceptionv4 \
            --precision int8 --mode inference --framework tensorflow --batch-size 1 --socket-id 0 \
            --in-graph /home/me/inceptionv4_int8_pretrained_model.pb
        """,
        'benchmark("inceptionv4", precision="int8", goal="latency", batch_size=1, socket_id=0, '
        'weights="/home/me/inceptionv4_int8_pretrained_model.pb")',
    ),
    (
        r"""python launch_benchmark.py --model-name faster_rcnn --mode inference --precision int8 \
            --framework tensorflow --socket-id 0 --model-source-dir /home/me/tensorflow/models \
            --data-location /home/me/coco/output --in-graph /home/me/faster_rcnn_int8.pb \
            --benchmark-only -- number_of_steps=5000
        """,
        'benchmark("faster_rcnn", precision="int8", data_location="/home/me/coco/output", '
        'socket_id=0, warmup_steps=21, steps=4979, weights="/home/me/faster_rcnn_int8.pb", '
        "num_inter_threads=1)",
    ),
    (
        r"""python launch_benchmark.py --data-location /home/me/val/coco_val.record \
            --model-source-dir tensorflow/models --model-name rfcn --framework tensorflow \
            --precision fp32 --mode inference --accuracy-only \
            --checkpoint /home/me/rfcn_resnet101_fp32_coco -- split="accuracy_message"
        """,
        'accuracy("rfcn", precision="fp32", data_location="/home/me/val/coco_val.record")',
    ),
]


@pytest.mark.parametrize(("command", "call"), PRINTED)
def test_the_commands_of_the_readmes(command: str, call: str) -> None:
    assert str(one(command)) == call


def one(command: Any, **given: Any) -> Call:
    """The call that a single command comes to."""
    call = from_launch_command(command, **given)
    assert isinstance(call, Call)
    return call


def planned(call: Call) -> Plan:
    found = presets.find(call.model)
    request = check(Request(kind=call.verb, **call.arguments), found)
    return resolve(found, request, Placement(inter_threads=1, intra_threads=28))


def test_a_command_in_pieces() -> None:
    assert one(shlex.split(RESNET50)) == one(RESNET50)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("-b 1 -i 1", {"batch_size": 1, "goal": "latency", "socket_id": 1}),
        ("-b -1 -i -1 -n -1", {}),
        ("--batch-size=64", {"batch_size": 64}),
        ("--batch 64", {"batch_size": 64}),
        ("-d /data", {"data_location": "/data"}),
        ("-n 4 -a 4 -e 2", {"num_cores": 4, "num_intra_threads": 4, "num_inter_threads": 2}),
        ("-g 'my graph.pb'", {"weights": "my graph.pb"}),
        ("--disable-tcmalloc=True", {"allocator": "system"}),
        ("--disable-tcmalloc False", {"allocator": "tcmalloc"}),
        (
            "--tcmalloc-large-alloc-report-threshold 2147483648",
            {"env": {"TCMALLOC_LARGE_ALLOC_REPORT_THRESHOLD": "2147483648"}},
        ),
        ("--docker-image mine:1", {"docker_image": "mine:1"}),
        ("--benchmark-only", {}),
        ("-- warmup_steps=0 steps=5", {"warmup_steps": 0, "steps": 5}),
        ("--steps=20", {"warmup_steps": 10, "steps": 10}),  # as release 1.5.0 took it
        ("-- --warmup-steps=1 --steps=3", {"warmup_steps": 1, "steps": 2}),
        (
            "--accuracy-only -d /data --output-results --output-dir out",
            {
                "data_location": "/data",
                "predictions": "out/resnet50_fp32_results.csv",
                "batch_size": 128,
            },
        ),
    ],
)
def test_options(options: str, arguments: dict[str, Any]) -> None:
    call = one(f"{RESNET50} {options}")

    steps = {} if "--accuracy-only" in options else {"warmup_steps": 10, "steps": 40}
    assert call.arguments == {"precision": "fp32", **steps, **arguments}


def test_verbosity() -> None:
    assert one(f"{RESNET50} -v").verbose
    assert not one(RESNET50).verbose


def test_variables_before_the_command_are_set_for_the_run() -> None:
    call = one(f"KMP_BLOCKTIME=5 OMP_NUM_THREADS=2 {RESNET50}")

    assert call.arguments["env"] == {"KMP_BLOCKTIME": "5", "OMP_NUM_THREADS": "2"}


def test_an_argument_of_the_model_overrules_a_variable_as_it_did() -> None:
    call = one(f"KMP_BLOCKTIME=5 {RESNET50} -- kmp_blocktime=0")

    assert call.arguments["env"] == {"KMP_BLOCKTIME": "0"}


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ("-- steps=500 warmup_steps=50", ["steps=500", "warmup_steps=50", "steps=450"]),
        ("", ["data_location", "synthetic", "0..255"]),
        ("-n 4", ["num_cores=4", "bound"]),
        ("-c /checkpoints", ["checkpoint=/checkpoints", "weights="]),
        ("-r /models", ["model_source_dir=/models"]),
        ("--data-num-inter-threads 16", ["data_num_inter_threads=16"]),
        ("--output-dir logs", ["output_dir=logs", "save"]),
        ("--debug", ["debug=True"]),
        ("-np 2", ["num_processes=2", "training"]),
        ("--num-processes 2", ["num_processes=2", "training"]),
        ("--num-processes-per-node 2", ["num_processes_per_node=2", "training"]),
        ("--num-train-steps 5", ["num_train_steps=5", "training"]),
        ("--output-results", ["output_results", "accuracy"]),
        ("-- NOINSTALL=True", ["NOINSTALL=True"]),
        ("--noinstall True", ["noinstall=True"]),
        ("--weight-sharing", ["weight_sharing", "process"]),
        ("--mpi_num_processes 4", ["mpi_num_processes=4", "instances=4"]),
        ("--mpi_num_processes_per_socket 2", ["mpi_num_processes_per_socket=2"]),
        ("| tee log", ["tee log"]),
        ("> log.txt 2>&1", ["log.txt"]),
    ],
)
def test_what_changed_is_said(options: str, keys: list[str]) -> None:
    notes = one(f"{RESNET50} {options}").notes

    assert any(all(key in note for key in keys) for note in map(str, notes))


# What the original ran, from its model_init.py and scripts: batch, warm-up and measured steps.
ORIGINAL = {
    ("resnet50", "fp32"): (128, 10, 40),
    ("resnet50", "int8"): (None, 10, 40),
    ("resnet101", "fp32"): (128, 10, 40),
    ("resnet101", "int8"): (None, 40, 60),
    ("inceptionv3", "fp32"): (128, 10, 40),
    ("inceptionv3", "int8"): (32, 10, 50),
    ("inceptionv4", "fp32"): (32, 10, 50),
    ("inceptionv4", "int8"): (32, 10, 50),
    ("inception_resnet_v2", "fp32"): (128, 10, 30),
    ("inception_resnet_v2", "int8"): (128, 10, 30),
    ("mobilenet_v1", "fp32"): (128, 10, 50),
    ("mobilenet_v1", "int8"): (32, 10, 50),
}


def line(model: str, precision: str, rest: str = "") -> str:
    return f"python launch_benchmark.py -m {model} -p {precision} {rest}"


@pytest.mark.parametrize("key", ORIGINAL, ids="-".join)
def test_without_batch_and_steps_a_classifier_runs_as_before(
    key: tuple[str, str],
) -> None:
    call = one(line(*key))
    plan = planned(call)

    batch, warmup, steps = ORIGINAL[key]
    assert (plan.warmup_steps, plan.steps) == (warmup, steps)
    if batch is None:
        assert any(note.startswith("batch_size isn't given: ") for note in map(str, call.notes))
    else:
        assert plan.batch_size == batch


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("model", ["faster_rcnn", "rfcn", "ssd-mobilenet"])
def test_without_steps_a_detector_says_what_the_original_ran(model: str, precision: str) -> None:
    call = one(line(model, precision))

    assert planned(call).batch_size == 1
    assert any(note.startswith("steps isn't given: ") for note in map(str, call.notes))


def test_ssd_mobilenet_of_later_releases() -> None:
    command = line("ssd-mobilenet", "fp32")
    plan = planned(one(command, release="1.6.1"))
    assert (plan.warmup_steps, plan.steps) == (200, 800)
    assert "num_inter_threads" not in one(command, release="1.6.1").arguments
    assert one(f"{command} -i 0", release="1.8.1").arguments["num_inter_threads"] == 1
    assert one(f"{command} -e 2", release="2.4").arguments["num_inter_threads"] == 2


@pytest.mark.parametrize(
    "model", ["resnet50", "resnet101", "inceptionv3", "mobilenet_v1", "inception_resnet_v2"]
)
def test_an_accuracy_run_without_a_batch_size(model: str) -> None:
    call = one(line(model, "fp32", "--accuracy-only -d /data"))
    assert call.arguments["batch_size"] == 128
    assert any("49,920" in note for note in map(str, call.notes))
    call = one(line(model, "int8", "--accuracy-only -d /data"))
    assert any(note.startswith("batch_size isn't given: ") for note in map(str, call.notes))


def test_warm_up_alone_is_taken_from_the_original_steps() -> None:
    assert planned(one(f"{RESNET50} -- warmup_steps=30")).steps == 20
    inceptionv3 = line("inceptionv3", "int8", "-- warmup_steps=30")
    assert planned(one(inceptionv3)).steps == 50
    with pytest.raises(RequestError, match="warmup_steps=50"):
        one(f"{RESNET50} -- warmup_steps=50")


@pytest.mark.parametrize(
    "key",
    [("inception_resnet_v2", "fp32"), ("mobilenet_v1", "fp32"), ("ssd-mobilenet", "int8")],
    ids="-".join,
)
def test_steps_that_the_original_dropped_are_told(key: tuple[str, str]) -> None:
    call = one(line(*key, "-- steps=70"))
    assert call.arguments["steps"] == 70
    assert any(
        note.startswith("steps=70: ") and "start.sh" in note for note in map(str, call.notes)
    )


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("--numa-cores-per-instance 4", {"cores_per_instance": 4}),
        ("--numa-cores-per-instance=socket", {"instances": "socket"}),
        ("--num-instances 2", {"instances": 2}),
        ("--num-instances 1", {}),
        ("--mpi_num_processes 4 --mpi_num_processes_per_socket 2", {"instances": 4}),
        ("--mpi_num_processes 1", {}),
        ("--synthetic-data", {}),
        ("--onednn-graph=False", {}),
        ("--tcmalloc-large-alloc-report-threshold -1",
         {"env": {"TCMALLOC_LARGE_ALLOC_REPORT_THRESHOLD": "-1"}}),
    ],
)  # fmt: skip
def test_options_of_later_releases(options: str, arguments: dict[str, Any]) -> None:
    call = one(f"{RESNET50} {options}")
    assert call.arguments == {"precision": "fp32", "warmup_steps": 10, "steps": 40, **arguments}


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ("--gpu", ["gpu", "CPU"]),
        ("--mpi_hostnames a,b", ["client="]),
        ("--backbone-model vgg", ["backbone_model=vgg", "weights="]),
        ("--tf-serving-version 2", ["tf_serving_version"]),
        ("--onednn-graph", ["onednn_graph", "optimize="]),
        ("--onednn-graph=True", ["onednn_graph=True"]),
        ("--synthetic-data -d /data", ["synthetic_data", "data_location"]),
        ("-p fp16", ["fp16", "bfloat16"]),
        ("-p bfloat32", ["bfloat32", "later release"]),
    ],
)
def test_what_of_a_later_release_can_not_be_had(options: str, keys: list[str]) -> None:
    with pytest.raises(RequestError) as caught:
        one(f"{RESNET50} {options}")
    for key in keys:
        assert key in str(caught.value)


@pytest.mark.parametrize("release", ["1.2", "3.2", "4", "one", "", "1.5.0.rc"])
def test_an_unknown_release(release: str) -> None:
    with pytest.raises(RequestError, match="release="):
        one(RESNET50, release=release)


@pytest.mark.parametrize(
    "before", ["$", "python -u", "env A=1", "nohup", "time", "exec", "/usr/bin/env"]
)
def test_what_may_stand_before(before: str) -> None:
    rest = RESNET50.removeprefix("python ")
    call = one(f"{before} {'' if 'python' in before else 'python '}{rest}")
    assert call.model == "resnet50"
    assert call.arguments.get("env") == ({"A": "1"} if "A=1" in before else None)


def test_a_line_with_other_commands_says_what_is_not_done() -> None:
    call = one(f"cd /models && pip install x; {RESNET50} -b 4 | tee log  # a note")
    assert call.arguments["batch_size"] == 4
    assert [note.was for note in call.notes[:3]] == [
        "`cd /models`",
        "`pip install x`",
        "`tee log`",
    ]


def test_variables_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHS", "/my graphs")
    monkeypatch.delenv("NOWHERE", raising=False)
    for text in ("$GRAPHS/x.pb", "${GRAPHS}/x.pb", '"$GRAPHS/x.pb"', '"${GRAPHS}"/x.pb'):
        assert one(f"{RESNET50} -g {text}").arguments["weights"] == "/my graphs/x.pb"
    assert one(f"{RESNET50} -g '$GRAPHS'").arguments["weights"] == "$GRAPHS"
    for text in ("$NOWHERE/x.pb", '"${NOWHERE}"'):
        with pytest.raises(RequestError, match=r"\$NOWHERE"):
            one(f"{RESNET50} -g {text}")


SCRIPT = f"""#!/bin/bash
export OMP_NUM_THREADS=4 DATA=/data
cd /models
# {RESNET50}
{RESNET50} \\
    -b 4 | tee log

pip install x; {RESNET50} -b 8 -d $DATA > out 2>&1
echo "$(date)"
"""


def test_several_commands_come_back_as_a_list(tmp_path: Path) -> None:
    calls = from_launch_command(SCRIPT)
    assert isinstance(calls, list)
    assert [(each.line, each.arguments["batch_size"]) for each in calls] == [(5, 4), (8, 8)]
    first, second = ([note.was for note in each.notes] for each in calls)
    assert first[:2] == ["`cd /models`", "`tee log`"]
    assert second[:4] == ["`cd /models`", "`pip install x`", "> out", "`echo '$(date)'`"]
    assert calls[0].arguments["env"] == {"OMP_NUM_THREADS": "4"}
    assert calls[1].arguments["data_location"] == "/data"
    path = tmp_path / "run.sh"
    path.write_text(SCRIPT)
    assert from_launch_command(path) == calls
    path.write_text(RESNET50)
    assert from_launch_command(path) == [from_launch_command(RESNET50)]


@pytest.mark.parametrize("wrong", ["-b 0", "--bench-only", "-g $NOWHERE_AT_ALL", "-g $(ls)"])
def test_an_error_in_a_script_names_its_file_and_line(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "run.sh"
    path.write_text(f"{RESNET50}\n\n{RESNET50} {wrong}\n")
    with pytest.raises(RequestError, match=r"run\.sh, line 3: "):
        from_launch_command(path)
    with pytest.raises(RequestError, match="command, line 3: "):
        from_launch_command(path.read_text())


@pytest.mark.parametrize("content", [None, b"\xff", b"echo"])
def test_a_file_that_is_no_script(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "run.sh").write_bytes(content)
    with pytest.raises(RequestError, match=r"^command: "):
        from_launch_command(tmp_path / "run.sh")


def test_nothing_is_ever_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def audit(event: str, _: Any) -> None:
        if watching and event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn"):
            raise AssertionError(event)

    watching = True
    sys.addaudithook(audit)
    try:
        from_launch_command(f"touch {tmp_path}/a; `touch {tmp_path}/b`; {RESNET50} | touch c")
        with pytest.raises(RequestError, match="output of another command"):
            from_launch_command(f"{RESNET50} -g $(touch {tmp_path}/c)")
    finally:
        watching = False
    assert not list(tmp_path.iterdir())


def test_a_long_script_takes_time_as_its_length() -> None:
    def seconds(count: int) -> float:
        began = time.process_time()
        from_launch_command(f"echo a; {RESNET50} -b 4 | tee log\n" * count)
        return time.process_time() - began

    seconds(5)
    assert seconds(80) < 12 * max(seconds(20), 0.02)  # a square would be 16


def test_a_variable_that_the_original_overwrote_is_kept_and_it_says_so() -> None:
    call = one("OMP_NUM_THREADS=2 KMP_BLOCKTIME=5 " + line("resnet50", "int8", "-b 128"))
    assert call.arguments["env"] == {"OMP_NUM_THREADS": "2", "KMP_BLOCKTIME": "5"}
    said = {note.was for note in call.notes if "overwrote" in note.why}
    assert said == {"OMP_NUM_THREADS=2", "KMP_BLOCKTIME=5"}


def test_an_option_that_came_after_the_release_is_named() -> None:
    command = f"{RESNET50} --numa-cores-per-instance 4"
    assert any("2.4" in note.why for note in one(command, release="1.8.1").notes)
    assert not any("came" in note.why for note in one(command, release="2.4.0").notes)


def test_the_page_has_every_option() -> None:
    page = Path(__file__).parents[3] / "docs" / "migrating.md"
    rows = [line.split(" | ") for line in page.read_text(encoding="utf-8").splitlines()]
    said = {row[0].removeprefix("| "): row[2].removesuffix(" |") for row in rows if len(row) == 3}
    for option in options.OPTIONS:
        assert said[", ".join(f"`{flag}`" for flag in option.flags.split())] == option.here


def test_coco_areas_are_the_official_ones_and_it_says_so() -> None:
    call = one(
        "python launch_benchmark.py --model-name rfcn --precision int8 --accuracy-only -d /coco"
    )

    assert any("official rules: areas in pixels" in note for note in map(str, call.notes))


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("echo hello", ["command", "no launch_benchmark.py"]),
        ("python launch_benchmark.py 'open", ["command", "quot"]),
        (f"{RESNET50} {RESNET50}", ["command", "2 times"]),
        (f"{RESNET50} " + "-v " * 1000, ["command", "1000"]),
        (f"{RESNET50} -g $(ls)", ["command", "output of another command"]),
        (f"{RESNET50} -g `ls`", ["command", "output of another command"]),
        (f"numactl -N 0 {RESNET50}", ["'numactl'", "socket_id", "cpus"]),
        ("python launch_benchmark.py --precision fp32", ["--model-name"]),
        (f"{RESNET50} --batch-size", ["--batch-size"]),
        (f"{RESNET50} --num 2", ["--num", "--num-cores"]),
        (f"{RESNET50} --bench-only", ["'--bench-only'", "'--benchmark-only'"]),
        (f"{RESNET50} --stepz=5", ["stepz=5", "'steps'"]),
        (f"{RESNET50} --framework pytorch", ["framework='pytorch'", "tensorflow"]),
        (f"{RESNET50} --benchmark-only --accuracy-only", ["benchmark_only", "accuracy_only"]),
        (f"{RESNET50} -a 0", ["num_intra_threads='0'", "at least 1"]),
        (f"{RESNET50} -n 0", ["num_cores='0'", "all cores"]),
        (f"{RESNET50} --disable-tcmalloc=1", ["disable_tcmalloc='1'", "true or false"]),
        (f"{RESNET50} -b 0", ["batch_size='0'", "at least 1"]),
        (f"{RESNET50} -- steps", ["extra_model_args", "'steps'", "name=value"]),
    ],
)
def test_what_is_no_such_command_is_refused_in_words(command: str, keys: list[str]) -> None:
    with pytest.raises(RequestError) as caught:
        one(command)
    for key in keys:
        assert key in str(caught.value)


def test_an_unknown_model() -> None:
    with pytest.raises(UnknownModel, match=r"^model_name='bert': "):
        one("python launch_benchmark.py -m bert -p fp32")


@given(st.lists(st.text()) | st.text())
def test_any_line_is_read_or_refused_in_words(rest: str | list[str]) -> None:
    command = f"{RESNET50} {rest}" if isinstance(rest, str) else [*shlex.split(RESNET50), *rest]
    try:
        call = one(command)
    except RequestError as error:
        assert str(error)
    else:
        assert call.model


@pytest.mark.parametrize("command", [5, None, [b"launch_benchmark.py"]])
def test_what_is_no_command(command: Any) -> None:
    with pytest.raises(RequestError) as caught:
        one(command)

    assert f"command={command!r}" in str(caught.value)

"""Old command lines, as people have them in their scripts."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelzoo_runner.errors import RequestError, UnknownModel
from modelzoo_runner.legacy.launch_command import from_launch_command

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
        'weights="/home/me/resnet50_fp32_pretrained_model.pb")',
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
        'socket_id=0, warmup_steps=21, steps=4979, weights="/home/me/faster_rcnn_int8.pb")',
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
    assert str(from_launch_command(command)) == call


def test_a_command_in_pieces() -> None:
    assert from_launch_command(shlex.split(RESNET50)) == from_launch_command(RESNET50)


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
            {"data_location": "/data", "predictions": "out/resnet50_fp32_results.csv"},
        ),
    ],
)
def test_options(options: str, arguments: dict[str, Any]) -> None:
    call = from_launch_command(f"{RESNET50} {options}")

    assert call.arguments == {"precision": "fp32", **arguments}


def test_verbosity() -> None:
    assert from_launch_command(f"{RESNET50} -v").verbose
    assert not from_launch_command(RESNET50).verbose


def test_variables_before_the_command_are_set_for_the_run() -> None:
    call = from_launch_command(f"KMP_BLOCKTIME=5 OMP_NUM_THREADS=2 {RESNET50}")

    assert call.arguments["env"] == {"KMP_BLOCKTIME": "5", "OMP_NUM_THREADS": "2"}


def test_an_argument_of_the_model_overrules_a_variable_as_it_did() -> None:
    call = from_launch_command(f"KMP_BLOCKTIME=5 {RESNET50} -- kmp_blocktime=0")

    assert call.arguments["env"] == {"KMP_BLOCKTIME": "0"}


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (
            "-- steps=500 warmup_steps=50",
            "steps=500: the original counted 50 warm-up steps among these. Steps no longer "
            "contain warm-up: they are now warmup_steps=50 and steps=450.",
        ),
        (
            "",
            "data_location is empty: the input is synthetic, made from a seed, and within the "
            "model's real range; the original drew 0..255 anew for each step.",
        ),
        (
            "-n 4",
            "num_cores=4: the run is bound to so many cores; the original only counted its "
            "threads by them.",
        ),
        (
            "-c /checkpoints",
            "checkpoint=/checkpoints: no longer means anything: a frozen graph is run: the "
            "published one, or that of weights=.",
        ),
        (
            "-r /models",
            "model_source_dir=/models: no longer means anything: no scripts of a source tree are "
            "run.",
        ),
        (
            "--data-num-inter-threads 16",
            "data_num_inter_threads=16: no longer means anything: input is not read in a session "
            "of its own.",
        ),
        (
            "--output-dir logs",
            "output_dir=logs: no longer means anything: a run returns its result, which saves "
            "itself: result.save(path).",
        ),
        ("--debug", "debug=True: no longer means anything: there is no script to look into."),
        ("-np 2", "np=2: no longer means anything: it was for training."),
        ("--output-results", "output_results: predictions are written by accuracy runs only."),
    ],
)
def test_what_changed_is_said(options: str, note: str) -> None:
    assert note in from_launch_command(f"{RESNET50} {options}").notes


def test_coco_areas_are_the_official_ones_and_it_says_so() -> None:
    call = from_launch_command(
        "python launch_benchmark.py --model-name rfcn --precision int8 --accuracy-only -d /coco"
    )

    assert any("official rules (areas in pixels" in note for note in call.notes)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("echo hello", "command: there is no launch_benchmark.py in it: 'echo hello'"),
        (
            "python launch_benchmark.py 'open",
            "command: can't be split as a shell does: No closing quotation",
        ),
        (
            f"numactl -N 0 {RESNET50}",
            "command: 'numactl' before launch_benchmark.py: only variables and the Python "
            "interpreter can stand there; a run is bound to CPUs by socket_id, numa_node or cpus",
        ),
        (
            "python launch_benchmark.py --precision fp32",
            "launch_benchmark.py: the following arguments are required: -m/--model-name",
        ),
        (
            f"{RESNET50} --batch-size",
            "launch_benchmark.py: argument -b/--batch-size: expected one argument",
        ),
        (
            f"{RESNET50} --num 2",
            "launch_benchmark.py: ambiguous option: --num could match --num-cores, "
            "--num-intra-threads, --num-inter-threads",
        ),
        (
            f"{RESNET50} --bench-only",
            "launch_benchmark.py: it had no option '--bench-only'. "
            "Did you mean '--benchmark-only'?",
        ),
        (
            f"{RESNET50} --stepz=5",
            "extra_model_args: stepz=5: resnet50 has no such argument. Did you mean 'steps'?",
        ),
        (
            f"{RESNET50} --framework pytorch",
            "framework='pytorch': should be tensorflow",
        ),
        (
            f"{RESNET50} --benchmark-only --accuracy-only",
            "benchmark_only and accuracy_only: what both together ran differed from model to "
            "model; give one, or make two calls",
        ),
        (f"{RESNET50} -a 0", "num_intra_threads='0': should be a whole number of at least 1"),
        (
            f"{RESNET50} -n 0",
            "num_cores='0': should be a whole number of at least 1, or -1 for all cores",
        ),
        (f"{RESNET50} --disable-tcmalloc=1", "disable_tcmalloc='1': should be true or false"),
        (
            f"{RESNET50} -b 0",
            "batch_size='0': should be a whole number of at least 1, or -1 for the model's own",
        ),
        (f"{RESNET50} -- steps", "extra_model_args: 'steps': should be name=value"),
    ],
)
def test_what_is_no_such_command_is_refused_in_words(command: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        from_launch_command(command)

    assert str(caught.value) == message


def test_a_pipe_is_no_option() -> None:
    with pytest.raises(RequestError, match=r"^launch_benchmark\.py: it had no option '\|'\."):
        from_launch_command(f"{RESNET50} | tee log")


def test_an_unknown_model() -> None:
    with pytest.raises(UnknownModel, match=r"^model_name='bert': "):
        from_launch_command("python launch_benchmark.py -m bert -p fp32")


@given(st.lists(st.text()) | st.text())
@settings(deadline=None)
def test_any_line_is_read_or_refused_in_words(rest: str | list[str]) -> None:
    command = f"{RESNET50} {rest}" if isinstance(rest, str) else [*shlex.split(RESNET50), *rest]
    try:
        call = from_launch_command(command)
    except RequestError as error:
        assert str(error)
    else:
        assert call.model


@pytest.mark.parametrize("command", [5, None, [b"launch_benchmark.py"]])
def test_what_is_no_command(command: Any) -> None:
    with pytest.raises(RequestError) as caught:
        from_launch_command(command)

    assert str(caught.value) == (f"command={command!r}: should be the line as text, or its pieces")

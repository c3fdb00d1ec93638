"""Translate an old `launch_benchmark.py` command line into a call of `benchmark` or `accuracy`.

The options of the zoo's releases 1.3 to 3.1 are known. Nothing is run.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NoReturn

from modelzoo_runner.errors import RequestError, did_you_mean
from modelzoo_runner.legacy import model_args, originals, pipeline, shell
from modelzoo_runner.legacy.parameters import DEFAULTS, Parameters
from modelzoo_runner.values import validate

SCRIPT = "launch_benchmark.py"

VALUES = (
    *("-f --framework", "-p --precision", "-mo --mode", "-m --model-name", "-b --batch-size"),
    *("-d --data-location", "-i --socket-id", "-n --num-cores", "-a --num-intra-threads"),
    *("-e --num-inter-threads", "-g --in-graph", "-c --checkpoint", "-r --model-source-dir"),
    *("--data-num-inter-threads", "--data-num-intra-threads", "--output-dir", "--docker-image"),
    *("--disable-tcmalloc", "--tcmalloc-large-alloc-report-threshold", "--volume", "--shm-size"),
    *("-np --num-processes", "-ppn --num-processes-per-node", "-ts --num-train-steps"),
)
SWITCHES = ("-k --benchmark-only", "--accuracy-only", "--output-results", "-v --verbose", "--debug")

# Since 1.6 or later.
LATER_VALUES = (
    *("--num-instances", "--numa-cores-per-instance", "--backbone-model", "--tf-serving-version"),
    *("--mpi_num_processes", "--mpi_num_processes_per_socket", "--mpi_hostnames", "--noinstall"),
)
LATER_SWITCHES = ("--synthetic-data", "--weight-sharing", "--gpu", "--onednn-graph")

IMPOSSIBLE: Mapping[str, str] = {
    "gpu": "runs are on CPUs only",
    "backbone_model": "the models that had a choice of one aren't here; give the graph as weights=",
    "tf_serving_version": "nothing is served here",
    "onednn_graph": "a graph is optimized by what TensorFlow has built in; see optimize=",
    "mpi_num_processes": "use instances=, which are processes on cores of their own",
    "mpi_num_processes_per_socket": 'use instances=, such as "socket"',
    "mpi_hostnames": "use client= of accuracy or sweep, for several machines",
}
"""Options of later releases without a counterpart, and what to use."""

LATER_PRECISIONS = ("fp16", "bfloat32")

NEEDLESS: Mapping[str, str] = {
    "model_source_dir": "no scripts of a source tree are run",
    "checkpoint": "a frozen graph is run: the published one, or that of weights=",
    "data_num_inter_threads": "input is not read in a session of its own",
    "data_num_intra_threads": "input is not read in a session of its own",
    "output_dir": "a run returns its result, which saves itself: result.save(path)",
    "volume": "a container gets the folders that it needs",
    "shm_size": "a container needs no more than its default",
    "num_processes": "it was for training",
    "num_processes_per_node": "it was for training",
    "num_train_steps": "it was for training",
    "noinstall": "nothing is installed",
    "debug": "there is no script to look into",
}


def from_launch_command(
    command: str | Sequence[str], *, release: str = originals.NEWEST
) -> pipeline.Call:
    r"""Translate an old command line; the notes of the call say where a meaning changed.

    Args:
        command: the line as it was typed, also with what is before and after it (`cd ... &&`,
            `| tee log`), which isn't done; or its pieces. Variables are filled in from the
            environment.
        release: the zoo's release that the command is of, 1.3 to 3.1: its defaults are taken where
            the command gives no batch size or no steps.

    Raises:
        RequestError: an option that the launcher didn't have, a value that can't be, a variable
            that isn't set, or a program before the script's name that isn't known.

    >>> call = from_launch_command('''KMP_BLOCKTIME=0 python launch_benchmark.py \
    ...     --framework tensorflow --model-name resnet50 --precision fp32 --mode inference \
    ...     --batch-size 1 -- steps=110 warmup_steps=10''')
    >>> print(call)  # doctest: +NORMALIZE_WHITESPACE
    benchmark("resnet50", precision="fp32", goal="latency", batch_size=1, warmup_steps=10,
    steps=100, env={"KMP_BLOCKTIME": "0"})
    >>> print(call.notes[-1])  # doctest: +NORMALIZE_WHITESPACE
    steps=110: the original counted 10 warm-up steps among these. Steps no longer contain warm-up:
    they are now warmup_steps=10 and steps=100.
    """
    pieces, around = _pieces(command)
    variables, options = _at_script(pieces)
    given, extra = _read(options)
    is_accuracy = given["accuracy_only"]
    later, later_notes = _later(given, is_accuracy)
    call = pipeline.translate(
        Parameters(
            **{name: given[name] for name in DEFAULTS if name in given},
            benchmark_or_accuracy="accuracy" if is_accuracy else "benchmark",
            extra_model_args=extra,
        )
    )
    arguments, notes = _more(given, is_accuracy)
    env = {**variables, **arguments.pop("env", {}), **call.arguments.get("env", {})}
    arguments = {**call.arguments, **arguments, **later, **({"env": env} if env else {})}
    filled, filled_notes = originals.fill(call.verb, call.model, arguments, release)
    return dataclasses.replace(
        call,
        arguments={**arguments, **filled},
        notes=(*around, *filled_notes, *later_notes, *call.notes, *notes),
    )


def _pieces(command: str | Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of the launch command, and notes on what else is in the text."""
    if not isinstance(command, str):
        if not isinstance(command, Sequence) or not all(isinstance(each, str) for each in command):
            raise RequestError(f"command={command!r}: should be the line as text, or its pieces")
        return list(command), []
    line = shell.split(command)
    found = [each for each in line.commands if any(PurePath(word).name == SCRIPT for word in each)]
    if len(found) != 1:
        raise RequestError(
            f"command: there are {len(found)} calls of {SCRIPT} in it, give one at a time"
            if found
            else f"command: there is no {SCRIPT} in it: {command!r}"
        )
    return found[0], shell.notes(line, found[0])


def _at_script(pieces: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The variables before the script's name, and what comes after it."""
    at = [index for index, piece in enumerate(pieces) if PurePath(piece).name == SCRIPT]
    if len(at) != 1:
        raise RequestError(
            f"command: {SCRIPT} is in it {len(at)} times: {shlex.join(pieces)!r}"
            if at
            else f"command: there is no {SCRIPT} in it: {shlex.join(pieces)!r}"
        )
    variables = {}
    for piece in pieces[: at[0]]:
        name, equals, value = piece.partition("=")
        if equals and name.isidentifier():
            variables[name] = value
        elif not re.fullmatch(r"\$|python[0-9.]*|-[BEIOPSsuv]+|env|exec|nohup|time", _name(piece)):
            raise RequestError(
                f"command: {piece!r} before {SCRIPT}: only variables, the Python interpreter, env, "
                "exec, nohup and time can stand there; a run is bound to CPUs by socket_id, "
                "numa_node or cpus"
            )
    return variables, list(pieces[at[0] + 1 :])


def _name(piece: str) -> str:
    return piece if piece.startswith("-") else PurePath(piece).name


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise RequestError(f"{SCRIPT}: {message}")


def _read(options: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The options by name, and the extra model arguments."""
    parser = _Parser(prog=SCRIPT, add_help=False)
    for flags in VALUES:
        needed = flags in ("-m --model-name", "-p --precision")
        parser.add_argument(*flags.split(), required=needed)
    for flags in LATER_VALUES:
        parser.add_argument(flags)
    for flags in (*SWITCHES, *LATER_SWITCHES):
        parser.add_argument(*flags.split(), action="store_true")
    parser.set_defaults(mode=DEFAULTS["mode"])
    end = options.index("--") if "--" in options else len(options)
    namespace, rest = parser.parse_known_args(options[:end])
    for piece in rest:
        # Release 1.5.0 took an unknown --name=value for an extra model argument.
        if "=" not in piece:
            every = (*VALUES, *SWITCHES, *LATER_VALUES, *LATER_SWITCHES)
            known = [flag for flags in every for flag in flags.split()]
            raise RequestError(
                f"{SCRIPT}: it had no option {piece!r}. {did_you_mean(piece, known)}"
            )
    return vars(namespace), model_args.pairs([*rest, *options[end + 1 :]])


def _more(given: Mapping[str, Any], is_accuracy: bool) -> tuple[dict[str, Any], list[str]]:
    """The arguments that a pipeline had no parameters for, and notes on what is left."""
    if given["framework"] not in (None, "tensorflow"):
        raise RequestError(f"framework={given['framework']!r}: should be tensorflow")
    if given["benchmark_only"] and is_accuracy:
        raise RequestError(
            "benchmark_only and accuracy_only: what both together ran differed from model to "
            "model; give one, or make two calls"
        )
    arguments: dict[str, Any] = {}
    notes = [
        f"{name}={given[name]}: no longer means anything: {why}."
        for name, why in NEEDLESS.items()
        if given[name] and not (name == "output_dir" and given["output_results"])
    ]
    if given["in_graph"]:
        arguments["weights"] = given["in_graph"]
    cores = validate.count_or_unset("num_cores", given["num_cores"], 1, unset="all cores")
    if cores is not None:
        arguments["num_cores"] = cores
        notes.append(
            f"num_cores={cores}: the run is bound to so many cores; the original only counted its "
            "threads by them."
        )
    for name in ("num_inter_threads", "num_intra_threads"):
        if given[name] is not None:
            arguments[name] = validate.count(name, given[name], 1, from_text=True)
    if given["disable_tcmalloc"] is not None:
        disabled = validate.word("disable_tcmalloc", given["disable_tcmalloc"], ("true", "false"))
        arguments["allocator"] = "system" if disabled == "true" else "tcmalloc"
    name = "tcmalloc_large_alloc_report_threshold"
    if given[name] is not None:
        arguments["env"] = {
            name.upper(): str(validate.count(name, given[name], -1, from_text=True))
        }
    if given["output_results"] and is_accuracy:
        file = f"{given['model_name']}_{given['precision']}_results.csv"
        arguments["predictions"] = str(Path(given["output_dir"] or "") / file)
    elif given["output_results"]:
        notes.append("output_results: predictions are written by accuracy runs only.")
    return arguments, notes


def _later(given: Mapping[str, Any], is_accuracy: bool) -> tuple[dict[str, Any], list[str]]:
    """The arguments of options that came after release 1.5.0, and notes."""
    if given["precision"] in LATER_PRECISIONS:
        raise RequestError(
            f"precision={given['precision']!r}: of a later release; here there are "
            f"{', '.join(pipeline.PRECISIONS)}"
        )
    for name, instead in IMPOSSIBLE.items():
        if given[name]:
            raise RequestError(f"{name}={given[name]}: an option of a later release: {instead}")
    arguments: dict[str, Any] = {}
    notes = []
    cores = given["numa_cores_per_instance"]
    if is_accuracy and (cores or given["num_instances"]):
        notes.append("num_instances, numa_cores_per_instance: of no effect on an accuracy run.")
    elif cores == "socket":
        arguments["instances"] = "socket"
    elif cores is not None:
        name = "numa_cores_per_instance"
        arguments["cores_per_instance"] = validate.count(name, cores, 1, from_text=True)
    if not is_accuracy and given["num_instances"] is not None:
        count = validate.count("num_instances", given["num_instances"], 1, from_text=True)
        if count > 1:
            arguments["instances"] = count
    if given["weight_sharing"]:
        notes.append(
            "weight_sharing: each instance is a process here, with weights of its own in memory."
        )
    if given["synthetic_data"] and given["data_location"]:
        raise RequestError(
            f"synthetic_data: and data_location={given['data_location']!r}; give one of them"
        )
    return arguments, notes

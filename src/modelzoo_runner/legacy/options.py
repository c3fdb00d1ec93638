"""The options of `launch_benchmark.py`, releases 1.3 to 3.1, and what each is here."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from modelzoo_runner.errors import RequestError, did_you_mean
from modelzoo_runner.legacy import model_args, originals
from modelzoo_runner.legacy.model_args import Note
from modelzoo_runner.legacy.pipeline import DEFAULTS, PRECISIONS
from modelzoo_runner.values import validate

SCRIPT = "launch_benchmark.py"

AFTER_2_4 = "2.5"
"""The first release with it is not known more closely."""


class Option(NamedTuple):
    """An option of the launcher: its flags, from and up to which release, and what it is here.

    It stands in one of the tables `TRANSLATED`, `NO_EFFECT` and `REFUSED`.
    """

    flags: str
    since: str
    here: str
    until: str = ""

    @property
    def name(self) -> str:
        return self.flags.split()[-1].lstrip("-").replace("-", "_")


SWITCHES = {
    *("benchmark_only", "accuracy_only", "verbose", "output_results", "debug"),
    *("synthetic_data", "weight_sharing", "gpu"),
}
"""The options without a value."""

TRANSLATED = (
    Option("-f --framework", "1.3", "tensorflow is the only one"),
    Option("-p --precision", "1.3", "precision"),
    Option("-mo --mode", "1.3", "inference is the only one"),
    Option("-m --model-name", "1.3", "the first argument"),
    Option("-b --batch-size", "1.3", "batch_size"),
    Option("-d --data-location", "1.3", "data_location"),
    Option("-i --socket-id", "1.3", "socket_id"),
    Option("-n --num-cores", "1.3", "num_cores"),
    Option("-a --num-intra-threads", "1.3", "num_intra_threads"),
    Option("-e --num-inter-threads", "1.3", "num_inter_threads"),
    Option("-g --in-graph", "1.3", "weights"),
    Option("--docker-image", "1.3", "docker_image"),
    Option("-k --benchmark-only", "1.3", "benchmark()"),
    Option("--accuracy-only", "1.3", "accuracy()"),
    Option("-v --verbose", "1.3", "progress"),
    Option("--output-results", "1.3", "predictions"),
    Option("--disable-tcmalloc", "1.4", "allocator"),
    Option("--tcmalloc-large-alloc-report-threshold", "1.4", "env"),
    Option("--num-instances", "1.6", "instances"),
    Option("--mpi_num_processes", "1.6", "instances"),
    Option("--numa-cores-per-instance", "2.4", 'cores_per_instance, or instances="socket"'),
    Option("--synthetic-data", AFTER_2_4, "no data_location"),
)
NO_EFFECT = (
    Option("-c --checkpoint", "1.3", "a frozen graph is run: the published one, or weights="),
    Option("-r --model-source-dir", "1.3", "no scripts of a source tree are run"),
    Option("--data-num-inter-threads", "1.3", "input is not read in a session of its own"),
    Option("--data-num-intra-threads", "1.3", "input is not read in a session of its own"),
    Option("--output-dir", "1.3", "a result saves itself: result.save(path)"),
    Option("--debug", "1.3", "there is no script to look into"),
    Option("--volume", "1.4", "a container gets the folders that it needs"),
    Option("--shm-size", "1.5", "a container needs no more than its default"),
    Option("-np --num-processes", "1.5", "it was for training", "1.6"),
    Option("-ppn --num-processes-per-node", "1.5", "it was for training", "1.6"),
    Option("-ts --num-train-steps", "1.5", "it was for training"),
    Option("--noinstall", "1.6", "nothing is installed"),
    Option("--mpi_num_processes_per_socket", "1.6", "instances= divides the cores equally"),
    Option("--optimized-softmax", "2.4", "it was for models that aren't here"),
    Option("--experimental-gelu", "2.4", "it was for models that aren't here"),
    Option("--weight-sharing", AFTER_2_4, "each instance is a process, with weights of its own"),
)
REFUSED = (
    Option("-bb --backbone-model", "1.6", "no model here has a choice; give a graph as weights="),
    Option("--mpi_hostnames", "1.8", "use client= of accuracy or sweep, for several machines"),
    Option("--tf-serving-version", "1.8", "nothing is served here"),
    Option("--gpu", AFTER_2_4, "runs are on CPUs only"),
    Option("--onednn-graph", AFTER_2_4, "TensorFlow optimizes the graph itself; see optimize="),
)
OPTIONS = (*TRANSLATED, *NO_EFFECT, *REFUSED)

LATER_PRECISIONS = ("fp16", "bfloat32")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise RequestError(f"{SCRIPT}: {message}")


@functools.cache
def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=SCRIPT, add_help=False)
    for option in OPTIONS:
        if option.name in SWITCHES:
            parser.add_argument(*option.flags.split(), action="store_true")
        elif option.name == "onednn_graph":
            parser.add_argument(*option.flags.split(), nargs="?", const="True")
        else:
            needed = option.name in ("model_name", "precision")
            parser.add_argument(*option.flags.split(), required=needed)
    parser.set_defaults(mode=DEFAULTS["mode"])
    return parser


def parse(options: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The options by name, and the extra model arguments."""
    end = options.index("--") if "--" in options else len(options)
    namespace, rest = _parser().parse_known_args(options[:end])
    for piece in rest:
        # Release 1.5.0 took an unknown --name=value for an extra model argument.
        if "=" not in piece:
            known = [flag for option in OPTIONS for flag in option.flags.split()]
            raise RequestError(
                f"{SCRIPT}: it had no option {piece!r}. {did_you_mean(piece, known)}"
            )
    return vars(namespace), model_args.pairs([*rest, *options[end + 1 :]])


def notes(given: Mapping[str, Any], release: str) -> list[Note]:
    """Notes on options without effect, and on those that the release didn't have."""
    if given["precision"] in LATER_PRECISIONS:
        raise RequestError(
            f"precision={given['precision']!r}: of a later release; here there are "
            f"{', '.join(PRECISIONS)}"
        )
    found = []
    for option in OPTIONS:
        value = given[option.name]
        if value in (None, False) or (option.name, value) == ("onednn_graph", "False"):
            continue
        was = f"{option.name}={value}"
        if option in REFUSED:
            raise RequestError(f"{was}: an option of a later release: {option.here}")
        if option in NO_EFFECT:
            if not (option.name == "output_dir" and given["output_results"]):
                went = f" and went with release {option.until}" if option.until else ""
                found.append(Note(was, "of no effect", f"{option.here}{went}"))
        elif originals.release_of(option.since) > originals.release_of(release):
            came = "after release 2.4" if option.since == AFTER_2_4 else f"with {option.since}"
            now = f"taken, with the defaults of release {release}"
            found.append(Note(was, now, f"it came {came}; name the command's own release"))
    return found


def arguments(given: Mapping[str, Any], is_accuracy: bool) -> tuple[dict[str, Any], list[Note]]:
    """The arguments that a pipeline had no parameters for, and notes on them."""
    if given["framework"] not in (None, "tensorflow"):
        raise RequestError(f"framework={given['framework']!r}: should be tensorflow")
    if given["benchmark_only"] and is_accuracy:
        raise RequestError(
            "benchmark_only and accuracy_only: what both together ran differed from model to "
            "model; give one, or make two calls"
        )
    if given["synthetic_data"] and given["data_location"]:
        raise RequestError(
            f"synthetic_data: and data_location={given['data_location']!r}; give one of them"
        )
    found: dict[str, Any] = {}
    said: list[Note] = []
    if given["in_graph"]:
        found["weights"] = given["in_graph"]
    cores = validate.count_or_unset("num_cores", given["num_cores"], 1, unset="all cores")
    if cores is not None:
        found["num_cores"] = cores
        why = "the original only counted its threads by them"
        said.append(Note(f"num_cores={cores}", "the run is bound to so many cores", why))
    for name in ("num_inter_threads", "num_intra_threads"):
        if given[name] is not None:
            found[name] = validate.count(name, given[name], 1, from_text=True)
    if given["disable_tcmalloc"] is not None:
        disabled = validate.word("disable_tcmalloc", given["disable_tcmalloc"], ("true", "false"))
        found["allocator"] = "system" if disabled == "true" else "tcmalloc"
    name = "tcmalloc_large_alloc_report_threshold"
    if given[name] is not None:
        count = validate.count(name, given[name], -1, from_text=True)
        found["env"] = {name.upper(): str(count)}
    if given["output_results"] and is_accuracy:
        file = f"{given['model_name']}_{given['precision']}_results.csv"
        found["predictions"] = str(Path(given["output_dir"] or "") / file)
    elif given["output_results"]:
        why = "predictions are written by accuracy runs only"
        said.append(Note("output_results", "of no effect", why))
    return found | _instances(given, is_accuracy, said), said


def _instances(
    given: Mapping[str, Any], is_accuracy: bool, notes: list[Note]
) -> dict[str, int | str]:
    found: dict[str, int | str] = {}
    for name in ("numa_cores_per_instance", "num_instances", "mpi_num_processes"):
        value = given[name]
        if value is None:
            continue
        count = 0
        if (name, value) != ("numa_cores_per_instance", "socket"):
            count = validate.count(name, value, 1, from_text=True)
        if is_accuracy:
            notes.append(Note(f"{name}={value}", "of no effect", "an accuracy run is one process"))
        elif not count:
            found["instances"] = "socket"
        elif name == "numa_cores_per_instance":
            found["cores_per_instance"] = count
        elif count > 1:
            found["instances"] = count
            if name == "mpi_num_processes":
                why = "they are processes on cores of their own, and nothing is sent between them"
                notes.append(Note(f"{name}={value}", f"instances={count}", why))
    return found

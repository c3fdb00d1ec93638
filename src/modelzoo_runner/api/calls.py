"""Runs as calls of benchmark() and accuracy(): from mappings, a grid, plans, recommended runs.

Names of arguments are checked here, their values by the call itself.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import itertools
import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from modelzoo_runner.api.verbs import accuracy, benchmark
from modelzoo_runner.data import paths
from modelzoo_runner.errors import RequestError, did_you_mean
from modelzoo_runner.planning.recommended import BestKnown
from modelzoo_runner.planning.request import PATHS, absolute
from modelzoo_runner.results.result import Result
from modelzoo_runner.values import codec, files, presets
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.deprecated import with_new_names
from modelzoo_runner.values.options import Kind
from modelzoo_runner.values.plan import Plan
from modelzoo_runner.values.preset import Preset
from modelzoo_runner.values.progress import Told

Run = Mapping[str, Any] | Plan | BestKnown

VERBS: Mapping[Kind, Callable[..., Result]] = {
    "benchmark": benchmark,
    "accuracy": accuracy,
}

NOT_OF_A_RUN = ("progress", "client", "checkpoint")
"""Arguments of the verbs that are those of all runs together."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One run: its arguments as given, as JSON can carry them, and what does it.

    `do` takes `progress`, as the verbs do. `name` tells it from calls that ask for something else,
    or of another graph or other data.
    """

    asked: Mapping[str, Any]
    do: Callable[..., Result]
    name: str


def calls_of(runs: Mapping[str, Any] | Iterable[Run], *, elsewhere: bool = False) -> list[Call]:
    """The calls that `runs` come to (see `sweep`), in their order.

    Args:
        runs: a sequence of runs, or a grid.
        elsewhere: another process does them, in another folder.

    Raises:
        RequestError: there is none, or one is no call of a verb.
    """
    each = _product(runs) if isinstance(runs, Mapping) else runs
    calls = [_call(run, f"runs[{number}]", elsewhere) for number, run in enumerate(each)]
    if not calls:
        raise RequestError("runs: there are none; give a sequence of runs, or a grid of arguments")
    # The same run asked for twice is done twice.
    seen: dict[str, int] = {}
    for number, call in enumerate(calls):
        seen[call.name] = seen.get(call.name, 0) + 1
        calls[number] = dataclasses.replace(call, name=f"{call.name}-{seen[call.name]}")
    return calls


def read(path: str | Path) -> Mapping[str, Any] | list[Mapping[str, Any]]:
    """The runs that a TOML file lists: tables `[[runs]]`, or one table `[grid]` (see `sweep`).

    Raises:
        RequestError: it can't be read, or holds something else.
    """
    path = Path(path).expanduser()
    try:
        content = tomllib.loads(files.read(path).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(f"{path}: can't be read as TOML: {error}") from None
    found: Any = content.get("runs", content.get("grid"))
    is_list = isinstance(found, list) and all(isinstance(each, dict) for each in found)
    if len(content) != 1 or not (is_list if "runs" in content else isinstance(found, dict)):
        raise RequestError(
            f"{path}: should hold either tables [[runs]], one for each run, or one table [grid], "
            f"and holds {', '.join(content) or 'nothing'}"
        )
    runs: Mapping[str, Any] | list[Mapping[str, Any]] = found
    return runs


def _product(grid: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All combinations of the values that are lists, with all the other values."""
    axes = [value if isinstance(value, list) else [value] for value in grid.values()]
    for values in itertools.product(*axes):
        yield dict(zip(grid, values, strict=True))


def _call(run: Run, where: str, elsewhere: bool) -> Call:
    if isinstance(run, Plan):
        return _of_plan(run, where, elsewhere)
    if isinstance(run, BestKnown):
        run = _of_best_known(run)
    if not isinstance(run, Mapping):
        raise RequestError(
            f"{where}={run!r}: should be a mapping of the arguments of benchmark() or accuracy(), "
            "a Plan, or what best_known() returns"
        )
    given = with_new_names(run, stacklevel=5)
    verb = given.pop("verb", "benchmark")
    if verb not in get_args(Kind):
        raise RequestError(f"{where}: verb={verb!r}: should be one of {', '.join(get_args(Kind))}")
    known = [name for name in inspect.signature(VERBS[verb]).parameters if name not in NOT_OF_A_RUN]
    for name in given:
        if name not in known:
            raise RequestError(
                f"{where}: {name!r} is no argument of a run of {verb}(). "
                f"{did_you_mean(str(name), known, otherwise='Its arguments')}"
            )
    if "model" not in given:
        raise RequestError(f"{where}: model is missing, which every run needs")
    if elsewhere:
        _check_child(given.get("isolation"), where)
        if given.get("docker_image"):
            raise RequestError(
                f"{where}: docker_image={given['docker_image']!r}: the workers of a cluster do "
                "each run themselves; leave it out, and start the workers in that image instead"
            )
        given = for_elsewhere(given)
    asked = {"verb": verb, **{name: plain(value) for name, value in given.items()}}
    name = _name(asked, fingerprints(given))
    # A process of its own for each run, unless it says otherwise.
    if elsewhere or "isolation" not in given:
        given["isolation"] = "child"
    return Call(asked=asked, do=functools.partial(VERBS[verb], **given), name=name)


def _of_plan(plan: Plan, where: str, elsewhere: bool) -> Call:
    if elsewhere:
        _check_child(plan.isolation, where)
        plan = dataclasses.replace(plan, isolation="child")
    asked = {
        "verb": plan.kind,
        "model": plan.model,
        "precision": plan.precision,
        "batch_size": plan.batch_size,
    }
    return Call(asked=asked, do=functools.partial(_run, plan), name=_name(codec.to_dict(plan), {}))


def _run(plan: Plan, progress: Told = None) -> Result:
    from modelzoo_runner.execution import host

    return host.run(plan, Context(progress=progress))


def _of_best_known(known: BestKnown) -> dict[str, Any]:
    run = {"model": known.model, "precision": known.precision}
    if known.goal == "accuracy":
        return {"verb": "accuracy", **run}
    return {"verb": "benchmark", **run, "goal": known.goal}


def _check_child(isolation: str | None, where: str) -> None:
    if isolation == "none":
        raise RequestError(
            f'{where}: isolation="none": with client= each run is a child process of a worker; '
            'use "auto" or "child"'
        )


def _name(asked: Any, files: Mapping[str, Any]) -> str:
    text = json.dumps([asked, files], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprints(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is in the files that the arguments name, as far as they are here."""
    found: dict[str, Any] = {}
    for name in ("model", *PATHS):
        value = given.get(name)
        if isinstance(value, Preset):
            found[name] = codec.to_dict(value)
        elif name != "predictions" and _is_path(name, value):
            path = Path(str(value)).expanduser()
            if path.is_dir():
                found[name] = paths.fingerprint(sorted(path.iterdir()))
            elif path.is_file():
                found[name] = files.known_sha256(path)
    return found


def for_elsewhere(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as another process means them, in another folder: paths are absolute."""
    return {
        name: Path(absolute(str(value))) if _is_path(name, value) else value
        for name, value in given.items()
    }


def _is_path(name: str, value: Any) -> bool:
    if not isinstance(value, (str, Path)) or not str(value) or "://" in str(value):
        return False
    if name == "model":
        return presets.is_path(value)
    return name in PATHS and str(value) not in ("pretrained", "random")


def plain(value: Any) -> Any:
    """An argument as JSON can carry it."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, Preset):
        return value.name
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value) if isinstance(value, (str, Path)) else repr(value)

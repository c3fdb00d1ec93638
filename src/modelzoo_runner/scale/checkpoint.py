"""A folder, here or in a store, that keeps the finished parts of a long run, so that another call
does the missing ones.

`run.json` says which run it is of; beside it is a file with a checksum for each finished part,
written whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelzoo_runner.errors import RequestError, ResultError
from modelzoo_runner.results.difference import of_plans
from modelzoo_runner.values import atomic, remote
from modelzoo_runner.values.remote import RemotePath

SCHEMA = 1

_RUN = "run.json"
_LOCK = ".lock"
_ENTRY = re.compile(r"(?P<name>[\w-]+)\.done")
_HALF_WRITTEN = re.compile(r"\.(run\.json|[\w-]+\.done)\.\w+")
_OURS = re.compile(f"{_ENTRY.pattern}|{_HALF_WRITTEN.pattern}")


class Checkpoint:
    """The finished parts. `problems` says which entries can't be used: their part is done again."""

    def __init__(self, folder: Path | RemotePath) -> None:
        self.folder = folder
        self.problems: tuple[str, ...] = ()

    def entries(self) -> dict[str, Any]:
        """The records by name, without damaged ones."""
        found = {}
        for path in _listed(self.folder):
            match = _ENTRY.fullmatch(path.name)
            if match is None:
                continue
            try:
                found[match["name"]] = _read(path)
            except (OSError, ValueError) as error:
                self.refuse(match["name"], str(error))
        return found

    def refuse(self, name: str, why: str) -> None:
        """Record why an entry can't be used."""
        said = f"checkpoint: {self._path(name)}: {why}; done again"
        self.problems = (*self.problems, said)

    def add(self, name: str, record: Mapping[str, Any]) -> None:
        """Keep a record under a name; replaces an earlier one.

        Raises:
            ResultError: it can't be written; earlier records are unharmed.
        """
        text = json.dumps(record, allow_nan=False)
        _write(self._path(name), f"{_digest(text)}\n{text}\n")

    def _path(self, name: str) -> Path | RemotePath:
        return self.folder / f"{name}.done"


@contextlib.contextmanager
def opened(path: str | Path, of: Mapping[str, Any]) -> Iterator[Checkpoint]:
    """The checkpoint in a folder, which is created if needed and locked meanwhile.

    Stores have no locks. Several runs that share a folder there do some parts twice, with the same
    outcome: an entry is replaced whole.

    Args:
        path: the folder, or its address in a store.
        of: what must be the same for an entry to count, as JSON values.

    Raises:
        RequestError: the folder holds something else, is of another run (naming what differs), or
            is in use.
        ResultError: it can't be written.
    """
    import filelock

    folder = remote.path(path)
    asked = f"checkpoint={str(path)!r}"
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{asked}: is a file; give a folder, new or of the same run")
    for each in _listed(folder):
        if each.name not in (_RUN, _LOCK) and not _OURS.fullmatch(each.name):
            raise RequestError(
                f"{asked}: is no checkpoint, it holds {each.name!r}; give a folder, new or of the "
                "same run"
            )
    lock = contextlib.ExitStack()
    try:
        if isinstance(folder, Path):
            folder.mkdir(parents=True, exist_ok=True)
            lock.enter_context(filelock.FileLock(folder / _LOCK, timeout=0))
    except filelock.Timeout:
        raise RequestError(
            f"{asked}: another run is using it; wait for that, or give another folder"
        ) from None
    except OSError as error:
        raise ResultError(f"{folder}: nothing can be kept there: {error.strerror}") from None
    with lock:
        for each in _listed(folder):
            if _HALF_WRITTEN.fullmatch(each.name):  # by a process that was killed
                each.unlink()
        _check(folder, asked, json.loads(json.dumps({"schema": SCHEMA, **of})))
        yield Checkpoint(folder)


def _listed(folder: Path | RemotePath) -> list[Path | RemotePath]:
    """What is in the folder, by name; nothing where it isn't there."""
    return sorted(folder.iterdir(), key=str) if folder.is_dir() else []


def _check(folder: Path | RemotePath, asked: str, of: Mapping[str, Any]) -> None:
    """Check that the folder is of this run; a new folder is marked as such."""
    path = folder / _RUN
    if not path.exists():
        if any(_ENTRY.fullmatch(each.name) for each in _listed(folder)):
            raise RequestError(
                f"{asked}: {_RUN}, which says what it is of, is missing; give another folder, or "
                "remove this one to begin again"
            )
        _write(path, json.dumps(of, indent=1) + "\n")
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(there, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError) as error:
        raise RequestError(
            f"{asked}: {_RUN}, which says what it is of, can't be read: {error}; give another "
            "folder, or remove this one to begin again"
        ) from None
    differing = [f"{name} is {a!r} there, {b!r} here" for name, (a, b) in of_plans(there, of)]
    if differing:
        raise RequestError(
            f"{asked}: is of another run: {'; '.join(differing)}. Give another folder, or remove "
            "this one to begin again"
        )


def _read(path: Path | RemotePath) -> Any:
    digest, newline, text = path.read_text(encoding="utf-8").partition("\n")
    if not newline or _digest(text.rstrip("\n")) != digest:
        raise ValueError("its checksum is wrong")
    return json.loads(text)


def _write(path: Path | RemotePath, text: str) -> None:
    try:
        atomic.write_text(path, text)
    except OSError as error:
        raise ResultError(f"{path}: can't be kept there: {error.strerror or error}") from None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

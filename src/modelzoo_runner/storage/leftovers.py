"""Beginning a file, with what a process that died left of it.

Two processes never write to one file, with or without working locks: each writes under a name that
nobody else has. What was left is copied, not continued, and only when the version of the remote
file was noted beside it: where a part came from is never guessed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

from modelzoo_runner.errors import HashMismatch
from modelzoo_runner.storage.partial import Partial, Report, note_of

_SUFFIX = ".part"
_BLOCK = 1 << 20


@contextlib.contextmanager
def incoming(folder: Path, *, location: str, largest: int, report: Report) -> Iterator[Partial]:
    """A `Partial` in `folder`, beginning with what was left there, if anything was.

    When the block fails its bytes stay for the next attempt, unless they are known to be wrong or
    the disk is what failed. After `publish` there is nothing to stay.
    """
    path = folder / f"{uuid.uuid4().hex}{_SUFFIX}"
    part = Partial(path, location=location, largest=largest, report=report)
    keep = False
    try:
        _take_over(folder, part)
        yield part
    except (HashMismatch, OSError):
        raise
    except BaseException:
        keep = True
        raise
    finally:
        part.close(keep=keep)


def remove(folder: Path) -> int:
    """Remove what dead processes left in `folder`; return the bytes freed."""
    freed = 0
    for path in _left(folder):
        freed += path.stat().st_size
        _unlink(path)
    return freed


def growth(folder: Path) -> int:
    """A number that changes as long as somebody writes to a part in `folder`."""
    size = 0
    # Whoever writes there removes what it wrote, and the folder, when it is done.
    with contextlib.suppress(FileNotFoundError):
        for path in list(folder.glob(f"*{_SUFFIX}")):
            with contextlib.suppress(FileNotFoundError):
                size += path.stat().st_size
    return size


def _take_over(folder: Path, part: Partial) -> None:
    """Copy the longest part that was left into `part`, and remove them all."""
    left = _left(folder)
    if part.path in left:
        # Our own looks as if nobody wrote to it: locks mean nothing on this file system.
        return
    for path in sorted(left, key=lambda each: each.stat().st_size, reverse=True):
        version = _noted_version(path)
        if part.done == 0 and version is not None and path.stat().st_size <= part.largest:
            part.restart(version)
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    part.write(block)
        _unlink(path)


def _left(folder: Path) -> list[Path]:
    """The parts in `folder` whose writers are gone: nobody holds their lock."""
    found = []
    for path in folder.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.append(path)
    return found


def _noted_version(path: Path) -> str | None:
    try:
        version = json.loads(note_of(path).read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return version if isinstance(version, str) else None


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
    note_of(path).unlink(missing_ok=True)

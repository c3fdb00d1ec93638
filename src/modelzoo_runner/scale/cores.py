"""Claims on the cores of this node, which end with the process that made them.

A claim is a lock on a file for each CPU: it holds between all processes of one user, whatever
cluster or client they belong to, and a killed process leaves none behind.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from modelzoo_runner.errors import BindingError

SECONDS_BETWEEN = 0.1
"""Between two looks at whether somebody has finished."""


@contextlib.contextmanager
def claimed(sets: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """The first of these sets of CPUs of which nobody has claimed one; waits for it.

    Raises:
        BindingError: the lock files can't be made.
    """
    while True:
        with claimed_now(sets) as cpus:
            if cpus is not None:
                yield cpus
                return
        time.sleep(SECONDS_BETWEEN)


@contextlib.contextmanager
def claimed_now(sets: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, ...] | None]:
    """The same without waiting: `None` if somebody has claimed one of each; raises as `claimed`."""
    folder = Path(tempfile.gettempdir()) / f"modelzoo_runner-{os.getuid()}"
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.lstat().st_uid != os.getuid():
                raise PermissionError(1, "the folder is another user's")
            cpus = next((each for each in sets if _took(folder, each, stack)), None)
        except OSError as error:
            raise BindingError(
                f"{folder}: CPUs can't be claimed there: {error.strerror or error}. TMPDIR names "
                "another folder"
            ) from None
        yield cpus


def _took(folder: Path, cpus: tuple[int, ...], stack: contextlib.ExitStack) -> bool:
    """Claim all of these CPUs for as long as `stack` is open, or none of them."""
    import filelock

    with contextlib.ExitStack() as locks:
        for cpu in sorted(cpus):
            try:
                locks.enter_context(
                    filelock.FileLock(folder / f"cpu{cpu}", timeout=0, thread_local=False)
                )
            except filelock.Timeout:
                return False
        stack.push(locks.pop_all())
    return True


def node() -> str:
    """The id of this node, the same in all of its containers."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return os.uname().nodename

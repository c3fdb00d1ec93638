"""One process at a time, as long as that helps.

The lock only saves work: whoever goes on without it still writes to a file of its own. So a lock
that doesn't work (some network file systems), or whose holder hangs, costs a second download and
never a wrong file or a wait without end. A holder that is killed lets go at once.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

log = logging.getLogger("modelzoo_runner")


@contextlib.contextmanager
def one_at_a_time(
    path: Path, *, progress: Callable[[], object], stalled: float, poll: float = 0.2
) -> Iterator[None]:
    """Run the block while holding the lock `path`, after waiting for whoever has it.

    The wait ends without the lock when `progress()`, any value that changes as the holder gets on,
    has been the same for `stalled` seconds.
    """
    import filelock

    lock = filelock.FileLock(path)
    seen, since = progress(), time.monotonic()
    while True:
        try:
            lock.acquire(timeout=poll)
            break
        except filelock.Timeout:
            now = progress()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > stalled:
                log.warning("%s: its holder has made no progress for %g s", path, stalled)
                break
    try:
        yield
    finally:
        lock.release()

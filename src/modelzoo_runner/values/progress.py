"""How a long call tells how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[str, int, "int | None"], None]
"""Called with what is being counted, how many are done, and how many there are if that is known.

Of a file or a folder that is fetched, which is named, bytes are counted.
"""

COUNTS = (
    "examples",
    "images",
    "measurements",
    "opening",
    "processes",
    "rounds",
    "runs",
    "scores",
    "seconds",
    "steps",
)
"""What is counted besides bytes."""

SECONDS_BETWEEN = 0.1


def throttled(progress: Progress, name: str, total: int | None) -> Callable[[int], None]:
    """A function of the number done, which passes on no more than ten a second and the last."""
    last = 0.0

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN or done == total:
            last = now
            progress(name, done, total)

    return tell


class Guarded:
    """A caller's callback that can't cost a measurement.

    If it raises, it isn't called again, and `problem` says what it was. Ctrl-C passes.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.problem: str | None = None

    def __call__(self, name: str, done: int, total: int | None) -> None:
        if self.problem is not None:
            return
        try:
            self._progress(name, done, total)
        except Exception as error:  # noqa: BLE001 - whatever somebody else's code raises
            self.problem = (
                f"the progress callback raised {type(error).__name__}: {error}; it was not called "
                "again"
            )

"""How a long call tells how far it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

Progress = Callable[[str, int, "int | None"], None]
"""Called with what is being counted, how many are done, and how many there are if that is known.

It is a phase, from 0 to 1 of 1, or something that is counted. Of a file or a folder that is
fetched, which is named, bytes are counted.
"""

Told = Progress | bool | None
"""Who is told: a function; bars (`True`), nobody (`False`), or bars where somebody sees them."""

PHASES = (
    "fetch",
    "build",
    "freeze",
    "quantize",
    "convert",
    "start",
    "import",
    "read",
    "prepare",
    "session",
    "data",
    "observe",
    "examine",
    "score",
)
"""What is told of a run beside what is counted, in this order; `start` is of a child process."""

UNITS = {
    "calibration batches": "batch",
    "examples": "example",
    "image layers": "layer",
    "images": "image",
    "measurements": "measurement",
    "processes": "process",
    "resamples": "resample",
    "rounds": "round",
    "runs": "run",
    "scores": "score",
    "seconds": "second",
    "steps": "step",
    "warm-up": "step",
}
"""What is counted besides bytes, and one of it."""

SECONDS_BETWEEN = 0.1


def throttled(
    progress: Progress, name: str, total: int | None, seconds: float | None = None
) -> Callable[[int], None]:
    """A function of the number done, which passes on 0, the first, no more than ten a second, and
    the last.

    With `seconds` there are more than `total` if those take less time; how many is estimated.
    """
    began, last = time.monotonic(), 0.0

    def tell(done: int) -> None:
        nonlocal began, last
        now = time.monotonic()
        if done == 0:
            began = now
        elif now - last < SECONDS_BETWEEN and done != total:
            return
        else:
            last = now
        more = seconds and done and math.ceil(done * seconds / max(now - began, 1e-9))
        progress(name, done, max(total or 0, more) if more else total)

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

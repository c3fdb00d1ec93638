"""How a long call tells how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[str, int, "int | None"], None]
"""Called with what is being counted, how many are done, and how many there are if that is known."""

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

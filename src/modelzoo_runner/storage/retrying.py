"""Trying again: when, how often, and after which wait."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from modelzoo_runner.errors import FetchError
from modelzoo_runner.storage.settings import Patience

log = logging.getLogger("modelzoo_runner")

_ENOUGH = 1 << 20


class Interrupted(Exception):
    """Something that another try may mend. `wait` is the wait the server asked for, in seconds."""

    def __init__(self, reason: str, *, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def until_done(
    attempt: Callable[[], None], *, done: Callable[[], int], patience: Patience, what: str
) -> None:
    """Call `attempt` until it returns, waiting longer each time.

    Only tries in a row that bring less than 1 MiB of `done()` count against `patience.attempts`:
    a large file over a bad line takes many, and each brings it nearer.

    Raises:
        FetchError: with the last reason, after that many tries.
    """
    fruitless = 0
    while True:
        before = done()
        try:
            return attempt()
        except Interrupted as error:
            fruitless = 1 if done() - before >= _ENOUGH else fruitless + 1
            if fruitless >= patience.attempts:
                raise FetchError(f"{what}: {error}, after {fruitless} tries.") from None
            wait = error.wait
            if wait is None:
                # Some of it is chance, so that many clients don't come back at the same moment.
                wait = patience.first_wait * 2 ** (fruitless - 1) * random.uniform(0.75, 1.25)
            elif wait > patience.longest_wait:
                raise FetchError(
                    f"{what}: {error}; the server asks to wait {wait:.0f} s, longer than "
                    f"the {patience.longest_wait:.0f} s that are waited here."
                ) from None
            log.info("%s: %s; another try in %.1f s", what, error, wait)
            time.sleep(min(wait, patience.longest_wait))

"""The retry policy and the one retry loop."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from modelzoo_runner.errors import FetchError

log = logging.getLogger("modelzoo_runner")

T = TypeVar("T")

_ENOUGH = 1 << 20


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How long to wait, in seconds, and how often to try again.

    `attempts` is how many tries in a row may bring next to nothing. A server that sends less than
    `slowest` bytes per second over `slow_after` seconds counts as one that stopped.
    A `Retry-After` of more than `longest_wait` is not waited for.
    `stalled` is how long to wait for another process whose download has stopped growing.
    """

    attempts: int = 5
    first_wait: float = 0.5
    longest_wait: float = 120.0
    connect: float = 15.0
    read: float = 60.0
    slowest: int = 1024
    slow_after: float = 60.0
    stalled: float = 120.0


class Interrupted(Exception):
    """A failure to try again after. `wait` is the wait the server asked for, in seconds."""

    def __init__(self, reason: str, *, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def until_done(
    attempt: Callable[[], T],
    *,
    retry: RetryPolicy,
    what: str,
    done: Callable[[], int] = lambda: 0,
) -> T:
    """What `attempt` returns, called until it does, after a longer wait each time.

    Only tries in a row that bring less than 1 MiB of `done()` count against `retry.attempts`:
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
            if fruitless >= retry.attempts:
                raise FetchError(f"{what}: {error}, after {fruitless} tries.") from None
            wait = error.wait
            if wait is None:
                # Some of it is chance, so that many clients don't come back at the same moment.
                wait = retry.first_wait * 2 ** (fruitless - 1) * random.uniform(0.75, 1.25)
            elif wait > retry.longest_wait:
                raise FetchError(
                    f"{what}: {error}; the server asks to wait {wait:.0f} s, longer than "
                    f"the {retry.longest_wait:.0f} s that are waited here."
                ) from None
            log.info("%s: %s; another try in %.1f s", what, error, wait)
            time.sleep(min(wait, retry.longest_wait))

"""End a process on a signal, also while it is in C++, and keep what its run has measured.

Python handles a signal between two of its own instructions, and a step, or a graph that is being
opened, can hold that up for minutes. A thread hears of it at once (`signal.set_wakeup_fd`), leaves
it to the handler for a second, and then makes and keeps the partial result itself.

This state belongs to the process: one run is measured in it at a time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, a batch system's word to end, and a terminal that is gone."""

SECONDS_FOR_PYTHON = 1.0
"""How long the handler may take to be run, before the thread ends the process."""

SECONDS_DEAF = 10.0
"""How long further signals change nothing: the first one's end is under way."""

_make: Callable[[], Any] | None = None
_keep: Callable[[Any], None] | None = None


@contextlib.contextmanager
def unfinished(make: Callable[[], Any]) -> Iterator[None]:
    """While the block runs, `make()` is the result so far."""
    global _make
    _make = make
    try:
        yield
    finally:
        _make = None


@contextlib.contextmanager
def kept(keep: Callable[[Any], None]) -> Iterator[None]:
    """While the block runs, `keep(result)` prints, saves or sends a partial result."""
    global _keep
    _keep = keep
    try:
        yield
    finally:
        _keep = None


@contextlib.contextmanager
def watched(exit_code: int, *, is_last: bool = False) -> Iterator[list[int]]:
    """Have the first of `SIGNALS` raise KeyboardInterrupt here, or end the process if it can't.

    Yields the numbers of the signals that have come. Where this isn't the main thread, nothing. If
    the block `is_last` in its process, and one came, others change nothing any more.
    """
    received: list[int] = []
    deaf_until = 0.0

    def note(number: int, frame: Any) -> None:
        nonlocal deaf_until
        received.append(number)
        if time.monotonic() >= deaf_until:
            deaf_until = time.monotonic() + SECONDS_DEAF
            raise KeyboardInterrupt

    def restore(number: int, before: Any) -> None:
        signal.signal(number, signal.SIG_IGN if is_last and received else before)

    with contextlib.ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue  # nohup
                before = signal.signal(number, note)
                stack.callback(restore, number, before or signal.SIG_DFL)
            stack.enter_context(_thread(received, exit_code))
        yield received


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Ctrl-C changes nothing in the block, which makes what the one before it asked for."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


@contextlib.contextmanager
def _thread(received: list[int], exit_code: int) -> Iterator[None]:
    hears, told = os.pipe()
    os.set_blocking(told, False)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)

    def listen() -> None:
        while heard := os.read(hears, 1):
            if heard[0] not in SIGNALS:
                continue
            until = time.monotonic() + SECONDS_FOR_PYTHON
            while not received and time.monotonic() < until:
                time.sleep(0.05)
            if not received:
                _end(exit_code)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(told)
        thread.join()
        os.close(hears)


def _end(exit_code: int) -> None:
    """Keep the result so far, if there is one, and end the process."""
    try:
        if _make is not None and _keep is not None:
            _keep(_make())
            sys.stdout.flush()
        elif exit_code:
            os.write(2, b"interrupted\n")
    finally:
        os._exit(exit_code)

"""What TensorFlow prints about itself when it is loaded, kept off the screen."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from modelzoo_runner.machine import environment

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""Read when TensorFlow first has something to say, and kept: 1 leaves out information, 2 warnings
too, 3 errors too. Nobody but the user should leave out errors."""

QUIET = "2"

CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|[IW]\d{4} [\d:.]+ +\d+ \w+\.cc:\d+\]"
    rb"|To enable the following instructions"
)
"""Lines that TensorFlow 2.16 to 2.21 print while they are loaded, whatever the level is."""


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let TensorFlow, if it is loaded in this block, print nothing but errors; also a decorator.

    The variable is the user's if it is set: `TF_CPP_MIN_LOG_LEVEL=0` shows everything.
    """
    if LEVEL in os.environ or "tensorflow" in sys.modules:
        yield
        return
    watch = _Watch()
    sys.meta_path.insert(0, watch)
    try:
        with environment.variables({LEVEL: QUIET}):
            yield
    finally:
        sys.meta_path.remove(watch)


class _Watch:
    """A finder of modules that has TensorFlow, and nothing else, loaded quietly."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "tensorflow" or "tensorflow" in sys.modules:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            load = loader.exec_module

            def quietly(module: ModuleType) -> None:
                with _without_chatter():
                    load(module)

            loader.exec_module = quietly
        return spec


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Hold back what is written to the file descriptor of standard error; then write it, but for
    TensorFlow's own lines. All of it, if there is an error.
    """
    with contextlib.ExitStack() as stack:
        try:
            before = os.dup(2)
        except OSError:  # closed: nothing can be written
            yield
            return
        stack.callback(os.close, before)
        held = stack.enter_context(tempfile.TemporaryFile())
        os.dup2(held.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(before, 2)
            held.seek(0)
            for line in held:
                if failed or not CHATTER.match(line):
                    os.write(2, line)

"""How TensorFlow is loaded: without lines about itself on the screen, and without all of Keras."""

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


KERAS = "keras.src.optimizers"
"""What TensorFlow imports last, and with it all of Keras: a third of the time and more, for a
registration that Keras 3 doesn't make. `tf.keras` loads it when it is first used."""


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let TensorFlow, if it is loaded in this block, print nothing but errors; also a decorator.

    The variable is the user's if it is set: `TF_CPP_MIN_LOG_LEVEL=0` shows everything. TensorFlow
    itself doesn't heed it before it is loaded, so that 2 and 3 are quiet only here.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    watch = _Watch(quiet=os.environ.get(LEVEL, QUIET) not in ("0", "1"))
    sys.meta_path.insert(0, watch)
    try:
        with environment.variables({LEVEL: os.environ.get(LEVEL, QUIET)}):
            yield
    finally:
        sys.meta_path.remove(watch)


class _Watch:
    """A finder of modules that has TensorFlow, and nothing else, loaded otherwise."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

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

            def otherwise(module: ModuleType) -> None:
                chatter = _without_chatter() if self._quiet else contextlib.nullcontext()
                with chatter, _without_keras():
                    load(module)

            loader.exec_module = otherwise
        return spec


@contextlib.contextmanager
def _without_keras() -> Iterator[None]:
    """Let the import of Keras fail, which TensorFlow allows, unless it is there already."""
    if KERAS in sys.modules:
        yield
        return
    sys.modules[KERAS] = None  # type: ignore[assignment]  # what Python's import system asks for
    try:
        yield
    finally:
        del sys.modules[KERAS]


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

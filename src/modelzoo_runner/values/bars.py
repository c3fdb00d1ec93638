"""Progress bars: in a notebook, or on standard error; never on standard output."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from modelzoo_runner.errors import visible
from modelzoo_runner.values.progress import PHASES, UNITS, Progress, Told

F = TypeVar("F", bound=Callable[..., Any])

OUTER = ("runs", "seconds", "scores", "measurements", "processes", "rounds")
"""Stay in sight while others come and go below them, the first ones outermost."""

WIDTH = 80


def shown(function: F) -> F:
    """The function, whose `progress` may be `True`, `False` or `None` too: whether to draw bars.

    With `None` there are bars where somebody sees them (see `is_watched`).
    """

    @functools.wraps(function)
    def call(*args: Any, **given: Any) -> Any:
        with where_seen(given.get("progress")) as progress:
            if progress is not None:
                given["progress"] = progress
            return function(*args, **given)

    return cast(F, call)


@contextlib.contextmanager
def where_seen(asked: Told) -> Iterator[Told]:
    """What is asked for, with a function that draws bars where that is meant."""
    if asked is True or (asked is None and is_watched()):
        with bars() as progress:
            yield progress
    else:
        yield asked


def is_watched() -> bool:
    """Whether this is a notebook, or standard error a terminal."""
    with contextlib.suppress(AttributeError, ValueError):  # it may be closed
        return _is_notebook() or sys.stderr.isatty()
    return False


@contextlib.contextmanager
def bars() -> Iterator[Progress]:
    """A function to be told of progress, which draws it; nothing of it is left at the end."""
    lock = threading.Lock()
    make = _bar_class()
    drawn: dict[int, Any] = {}

    def tell(what: str, done: int, total: int | None) -> None:
        level = OUTER.index(what) if what in OUTER else len(OUTER)
        with lock:
            if _is_phase(what, total) and done:
                return  # the next one takes its place
            if level not in drawn:
                drawn[level] = make(what, total)
            drawn[level].show(what, done, total)
            if done == total and what in OUTER:
                drawn.pop(level).close()

    try:
        yield tell
    finally:
        with lock:
            for bar in reversed(drawn.values()):
                bar.close()


def _bar_class() -> Callable[[str, int | None], Any]:
    """What makes a bar: a widget where there are widgets, a line of text otherwise."""
    in_notebook = _is_notebook()
    has_widgets = in_notebook and importlib.util.find_spec("ipywidgets") is not None
    if in_notebook and not has_widgets:
        from tqdm.std import tqdm  # tqdm.auto would warn
    else:
        from tqdm.auto import tqdm

    def look(what: str, total: int | None) -> dict[str, Any]:
        is_phase = _is_phase(what, total)
        if has_widgets:
            what = what.translate({ord(each): "_" for each in "<>&"})  # it is taken for HTML
        return {
            "desc": visible(what),
            "unit": UNITS.get(what, "B"),
            "unit_scale": not is_phase and what not in UNITS,
            "bar_format": "{desc} ..." if is_phase else None,
        }

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no thread beside what is measured
        what = ""

        def show(self, what: str, done: int, total: int | None) -> None:
            """Of one thing after the other: a notebook keeps a place for each bar there was."""
            self.total = total
            if has_widgets:
                self.container.children[1].max = total or 1
            if what != self.what or done < self.n:
                for name, value in look(what, total).items():
                    setattr(self, name, value)
                if self.what:
                    self.reset(total)
                self.what = what
            self.update(done - self.n)

    def make(what: str, total: int | None) -> Any:
        options = look(what, total)
        if not has_widgets:
            options["ncols"] = WIDTH
        if in_notebook and not has_widgets:
            options |= {"file": _Output(), "position": 0}
        return Bar(total=total, leave=False, **options)

    return make


def _is_phase(what: str, total: int | None) -> bool:
    """Other runtimes may have phases of their own."""
    return what in PHASES or (total == 1 and what not in UNITS)


class _Output:
    """A line of a notebook that is written anew each time."""

    def __init__(self) -> None:
        from IPython.display import display

        self._place: Any = display({"text/plain": ""}, raw=True, display_id=True)

    def write(self, text: str) -> None:
        self._place.update({"text/plain": text.strip()}, raw=True)

    def flush(self) -> None:
        """Nothing is held back."""


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config

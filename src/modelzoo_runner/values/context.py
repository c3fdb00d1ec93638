"""What accompanies a call without changing what is run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from modelzoo_runner.values import progress as callbacks
from modelzoo_runner.values import validate
from modelzoo_runner.values.progress import Guarded, Progress, Told


@dataclass(frozen=True, kw_only=True)
class Context:
    """Whether the network may be used, who is told of progress, and how long each phase took.

    Bars are drawn by `values.bars`; here `True` and `False` are as good as `None`.

    Raises:
        RequestError: a value of another type.
    """

    offline: bool = False
    progress: Told = None
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        validate.flag("offline", self.offline)
        validate.callback("progress", self.progress)

    @property
    def callback(self) -> Progress | None:
        """The function that is told, if there is one."""
        return None if isinstance(self.progress, bool) else self.progress

    def tell(self, what: str, done: int, total: int | None) -> None:
        """Report progress, if anybody asked for it."""
        if self.callback is not None:
            self.callback(what, done, total)

    def counter(
        self, what: str, total: int | None, seconds: float | None = None
    ) -> Callable[[int], None] | None:
        """`progress.throttled`, or `None` where nobody asked for progress."""
        if self.callback is None:
            return None
        return callbacks.throttled(self.callback, what, total, seconds)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Report that a phase begins and that it is over, and record the seconds between."""
        self.tell(name, 0, 1)
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        self.tell(name, 1, 1)

    def guarded(self) -> Context:
        """The same context with a progress callback whose exceptions end no run."""
        return self if self.callback is None else replace(self, progress=Guarded(self.callback))

    @property
    def problems(self) -> tuple[str, ...]:
        """What a guarded progress callback raised, as warnings."""
        found = self.progress.problem if isinstance(self.progress, Guarded) else None
        return () if found is None else (found,)


QUIET = Context()
"""The network may be used, and nobody is told of progress."""

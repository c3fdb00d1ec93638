"""What accompanies a call without changing what is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from modelzoo_runner.values import progress as callbacks
from modelzoo_runner.values import validate
from modelzoo_runner.values.progress import Guarded, Progress


@dataclass(frozen=True, kw_only=True)
class Context:
    """Whether the network may be used, and who is told of progress.

    Raises:
        RequestError: a value of another type.
    """

    offline: bool = False
    progress: Progress | None = None

    def __post_init__(self) -> None:
        validate.flag("offline", self.offline)
        validate.callback("progress", self.progress)

    def tell(self, what: str, done: int, total: int | None) -> None:
        """Report progress, if anybody asked for it."""
        if self.progress is not None:
            self.progress(what, done, total)

    def counter(self, what: str, total: int | None) -> Callable[[int], None] | None:
        """A function of the number done, which reports ten times a second at most; `None` where
        nobody asked for progress.
        """
        return None if self.progress is None else callbacks.throttled(self.progress, what, total)

    def guarded(self) -> Context:
        """The same context with a progress callback whose exceptions end no run."""
        return self if self.progress is None else replace(self, progress=Guarded(self.progress))

    @property
    def problems(self) -> tuple[str, ...]:
        """What a guarded progress callback raised, as warnings."""
        found = self.progress.problem if isinstance(self.progress, Guarded) else None
        return () if found is None else (found,)


QUIET = Context()
"""The network may be used, and nobody is told of progress."""

"""What accompanies a call without changing what is run."""

from __future__ import annotations

from dataclasses import dataclass

from modelzoo_runner.values import validate
from modelzoo_runner.values.progress import Progress


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

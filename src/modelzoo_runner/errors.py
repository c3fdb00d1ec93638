"""What can go wrong, as one tree.

    RunnerError                  one base to catch
    ├─ RequestError (ValueError) the call can't be: names the argument and the allowed values
    │  ├─ UnknownModel           … and the near ones
    │  └─ DataRequired           … and what data would serve
    ├─ PresetError               file, table, key, what was expected
    ├─ FetchError                location, status, cause, what to do by hand
    │  ├─ HashMismatch           expected and found, sizes first
    │  └─ UnsafeArchive          the member
    ├─ DataError                 file, record, feature
    ├─ BindingError              what was asked, what exists, what was got
    ├─ GraphError                what the file is, which node or tensor, the near ones
    ├─ ResultError               a saved result that can't be read or compared
    ├─ MissingDependency         the pip line
    ├─ ContainerError            the image, what the engine says, what the image has to have
    └─ WorkerError               how the child process or container ended, its last words

    Interrupted (KeyboardInterrupt)  Ctrl-C, with the partial result

Every message says what, where, the value, what is allowed and what to do next. An error raised in a
child process is raised again in the parent as the same class (`to_dict`, `from_dict`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

# C0 and C1, what sets the direction of text, what has no width, other ends of a line, and half
# characters; without the tab and the end of a line.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Text from outside as a terminal may get it: control characters are shown, not obeyed.

    What is printed for people goes through here (error messages, `str()` of results, the command's
    output), and what is saved does not.

    >>> visible("conv1\x1b[2J")
    'conv1\\x1b[2J'
    """
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


class RunnerError(Exception):
    """The base of every error this library raises on purpose."""

    def __str__(self) -> str:
        return visible(super().__str__())


class RequestError(RunnerError, ValueError):
    """The call can't be done as asked: an argument is wrong, or two arguments contradict."""


class UnknownModel(RequestError):
    """No preset has this name."""


class DataRequired(RequestError):
    """The call needs real data and none was given."""


class PresetError(RunnerError):
    """A preset file says something it can't say."""


class FetchError(RunnerError):
    """A model or data file can't be had from where it should be."""


class HashMismatch(FetchError):
    """A file came whole but isn't the file it should be."""


class UnsafeArchive(FetchError):
    """An archive has a member that must not be unpacked."""


class DataError(RunnerError):
    """Input data is missing, broken or not what it should be."""


class BindingError(RunnerError):
    """CPUs, threads or memory can't be used as asked."""


class GraphError(RunnerError):
    """A file isn't a graph that can be run here."""


class ResultError(RunnerError):
    """A saved result can't be read, or two results can't be compared."""


class MissingDependency(RunnerError):
    """A package that this call needs isn't installed."""


class ContainerError(RunnerError):
    """No container can be had to run the plan in."""


class WorkerError(RunnerError):
    """The child process or the container that ran the plan ended without an answer."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came while steps were measured.

    `result` is the partial result, marked `interrupted`: save it, or print it. Of a sweep it holds
    the outcomes so far.
    """

    def __init__(self, result: Any, after: str | None = None) -> None:
        self.result: Any = result
        steps = getattr(result, "step_seconds", ())
        super().__init__(f"interrupted after {after or f'{len(steps)} measured steps'}")


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> tuple[str, ...]:
    """The names in `known` that `name` was most likely meant to be, best first: those that are
    spelt much alike, or else those that it is a part of.

    >>> nearest("resnet5", ["resnet50", "resnet101", "rfcn"])
    ('resnet50', 'resnet101')
    >>> nearest("xyxy", ["normalized_xyxy", "pixel_yxyx"])
    ('normalized_xyxy',)
    """
    import difflib

    by_folded = {each.casefold(): each for each in known}
    folded = name.casefold()
    matches = difflib.get_close_matches(folded, by_folded, n=count, cutoff=0.6)
    if not matches and len(folded) > 2:
        matches = [each for each in by_folded if folded in each][:count]
    return tuple(by_folded[match] for match in matches)


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str = "known") -> str:
    """A sentence with the near names, or with all the known ones when none is near.

    >>> did_you_mean("resnet5", ["resnet50", "rfcn"])
    "Did you mean 'resnet50'?"
    >>> did_you_mean("zzz", ["resnet50", "rfcn"])
    'known: resnet50, rfcn'
    """
    known = tuple(known)
    near = nearest(name, known)
    if near:
        return f"Did you mean {' or '.join(repr(each) for each in near)}?"
    return f"{otherwise}: {', '.join(known)}"


def to_dict(error: RunnerError) -> dict[str, str]:
    """An error as JSON can carry it."""
    return {"class": type(error).__name__, "message": str(error)}


def from_dict(record: dict[str, str]) -> RunnerError:
    """The error that `to_dict` recorded, as an instance of the same class."""
    return _classes(RunnerError).get(record["class"], RunnerError)(record["message"])


def _classes(base: type[RunnerError]) -> dict[str, type[RunnerError]]:
    found = {base.__name__: base}
    for child in base.__subclasses__():
        found |= _classes(child)
    return found

"""What `doctor` found: findings with their evidence and remedy, and what the options score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modelzoo_runner.errors import visible
from modelzoo_runner.results.export import Saved
from modelzoo_runner.results.shown import columns, seconds, wrapped
from modelzoo_runner.values import markup

Level = Literal["error", "doubt"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong, or may be.

    `name` is a word for programs (`label_offset`, `channel_order`, ...). An `error` makes the score
    of a run meaningless; a `doubt` doesn't, or can't be proved by so few images. `evidence` has the
    numbers, `remedy` what to do, with the argument that does it.
    """

    name: str
    level: Level
    what: str
    evidence: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to run the model, what it scores by name, as fractions, and on how many images.

    `is_asked` marks the way that a run would take.
    """

    name: str
    scores: Mapping[str, float]
    images: int
    is_asked: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class Diagnosis(Saved):
    """What a look at a few images found. `str()` of it is a page to read.

    `checks` say what was looked at, `seconds` how long it took.
    """

    KIND = "diagnosis"

    model: str
    precision: str
    data_location: str
    images: int
    findings: tuple[Finding, ...]
    candidates: tuple[Candidate, ...]
    checks: tuple[str, ...] = ()
    seconds: float = 0.0
    warnings: tuple[str, ...] = field(default=())

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the score of a run meaningless."""
        return tuple(each for each in self.findings if each.level == "error")

    @property
    def doubts(self) -> tuple[Finding, ...]:
        """The other findings."""
        return tuple(each for each in self.findings if each.level == "doubt")

    def __str__(self) -> str:
        lines = [self._title(), self._verdict()]
        for each in self.findings:
            lines += ["", _wrapped(f"{each.level}: ", each.what)]
            lines += [
                _wrapped("  evidence: ", each.evidence),
                _wrapped("  remedy:   ", each.remedy),
            ]
        if self.candidates:
            lines += ["", *columns([self._header(), *self._rows()])]
        lines += ["", *(_wrapped("looked at: ", each) for each in self.checks)]
        lines += [_wrapped("warning: ", each) for each in self.warnings]
        return visible("\n".join(lines))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        level = "error" if self.errors else "doubt" if self.doubts else "passed"
        found = (
            markup.title(each.what, each.level)
            + markup.facts((("evidence", [each.evidence]), ("remedy", [each.remedy])))
            for each in self.findings
        )
        return markup.card(
            markup.title(self._title(), level),
            markup.figures(self._verdict()),
            *found,
            markup.table(self._header(), self._rows()) if self.candidates else "",
            markup.notes((*self.checks, *self.warnings)),
        )

    def rows(self) -> list[dict[str, Any]]:
        """A row for each candidate, with a column for each score."""
        return [
            {"candidate": each.name, "asked": each.is_asked, "images": each.images, **each.scores}
            for each in self.candidates
        ]

    def _title(self) -> str:
        return (
            f"{self.model} {self.precision} on {self.images} images of {self.data_location}, "
            f"{seconds(self.seconds)}"
        )

    def _verdict(self) -> str:
        if not self.findings:
            return "nothing is wrong, as far as these images show"
        counts = ((len(self.errors), "error"), (len(self.doubts), "doubt"))
        return ", ".join(f"{n} {word}{'s' * (n > 1)}" for n, word in counts if n)

    def _header(self) -> tuple[str, ...]:
        names = dict.fromkeys(name for each in self.candidates for name in each.scores)
        return ("what is run", *names, "images")

    def _rows(self) -> Iterator[tuple[str, ...]]:
        names = self._header()[1:-1]
        for each in self.candidates:
            said = each.name + (" (asked)" if each.is_asked else "")
            scores = (f"{each.scores[name]:.3f}" if name in each.scores else "" for name in names)
            yield (said, *scores, str(each.images))


def _wrapped(begin: str, text: str) -> str:
    return wrapped(begin + text, "", " " * len(begin))

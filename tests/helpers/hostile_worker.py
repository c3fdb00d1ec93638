"""Cases of hostile input in a child process, and what became of each.

Several areas (`images,coco`) take turns. A child has a limit of memory, each case one of time: a
case that ends the child or doesn't end is counted, and the next child goes on after it. The same
seed makes the same cases.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

OUTCOMES = ("typed", "ran", "raw", "died", "endless")
"""One of the library's errors; no error; another exception; the process ended; it had no end."""

MEMORY = 8 << 30
"""Bytes of address space: TensorFlow alone maps a few GiB."""


@dataclass
class Counts:
    """How many cases of an area ended how; `bad` has a line for each that shouldn't have."""

    area: str
    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)
    bad: dict[str, list[int]] = field(default_factory=dict)
    seconds: float = 0.0
    slowest: tuple[float, int] = (0.0, 0)

    def add(self, case: int, outcome: str, what: str, seconds: float) -> None:
        self.outcomes[outcome] += 1
        self.slowest = max(self.slowest, (seconds, case))
        if outcome not in OUTCOMES[:2]:
            self.bad.setdefault(f"{outcome}: {what}", []).append(case)

    def __str__(self) -> str:
        counts = " ".join(f"{self.outcomes[each]:>7}" for each in OUTCOMES)
        seconds, case = self.slowest
        return (
            f"{self.area:<12}{counts}   seed {self.seed}, {self.seconds:.0f} s, "
            f"the slowest {seconds:.1f} s (case {case})"
        )


def run(area: str, cases: range, *, seed: int, seconds: float = 30.0) -> Counts:
    """Do the cases of an area in children, and count."""
    counts = Counts(area, seed)
    began, first = time.monotonic(), cases.start
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        while first < cases.stop:
            first = _child(counts, area, range(first, cases.stop), seconds, folder)
    counts.seconds = time.monotonic() - began
    return counts


def _child(counts: Counts, area: str, cases: range, seconds: float, folder: str) -> int:
    """Do cases in one child; return the first that wasn't begun."""
    command = [sys.executable, __file__, area, str(counts.seed), str(cases.start), str(cases.stop)]
    environment = {
        **os.environ,
        "MODELZOO_RUNNER_CACHE": f"{folder}/cache",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # No case uses Keras, which TensorFlow loads otherwise.
        "TF_USE_LEGACY_KERAS": "1",
    }
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment, cwd=folder
        ) as child,
    ):
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_read, args=(child, lines), daemon=True).start()
        case = cases.start
        patience = 300.0  # to import what there is
        began = time.monotonic()
        try:
            while line := lines.get(timeout=patience):
                patience = seconds
                case, outcome, what = json.loads(line)
                if outcome != "begun":
                    counts.add(case, outcome, what, time.monotonic() - began)
                    case += 1
                began = time.monotonic()
        except queue.Empty:
            child.kill()
            counts.add(case, "endless", _place(said), seconds)
            return case + 1
        if child.wait() != 0:
            counts.add(case, "died", f"{child.returncode} {_place(said)}", 0.0)
            return case + 1
        return cases.stop


def _read(child: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    for line in child.stdout or ():
        lines.put(line)
    lines.put("")


def _place(said: object) -> str:
    """The last words of a child, and where faulthandler saw it."""
    said.seek(0)  # type: ignore[attr-defined]
    text = said.read()[-3000:].decode("utf-8", "replace")  # type: ignore[attr-defined]
    own = [line.strip() for line in text.splitlines() if "modelzoo_runner" in line]
    return (own or text.strip().splitlines() or [""])[0][:200]


def work(area: str, seed: int, cases: range) -> None:
    """What a child does: a line of JSON before and after each case."""
    import hostile_input

    from modelzoo_runner.errors import RunnerError

    # What a case prints doesn't come between.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def tell(case: int, outcome: str, what: str = "") -> None:
        answers.write(json.dumps((case, outcome, what)) + "\n")
        answers.flush()

    areas = area.split(",")
    attempts = [hostile_input.find(each)(Path(tempfile.mkdtemp(dir="."))) for each in areas]
    for case in cases:
        attempt = attempts[case % len(areas)]
        rng = random.Random(f"{seed} {areas[case % len(areas)]} {case}")
        with tempfile.TemporaryDirectory(dir=".") as folder:
            tell(case, "begun")
            faulthandler.dump_traceback_later(15.0)  # tells where an endless case was
            try:
                attempt(rng, Path(folder).absolute())
                outcome, what = "ran", ""
            except RunnerError as error:
                outcome, what = "typed", str(error)[:200]
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                frames = traceback.extract_tb(error.__traceback__)
                own = [each for each in frames if "modelzoo_runner" in each.filename]
                last = (own or frames)[-1]
                where = f"{Path(last.filename).name}:{last.lineno} {last.name}"
                outcome, what = "raw", f"{type(error).__name__} at {where}: {str(error)[:100]!r}"
            faulthandler.cancel_dump_traceback_later()
            tell(case, outcome, what)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    work(sys.argv[1], int(sys.argv[2]), range(int(sys.argv[3]), int(sys.argv[4])))

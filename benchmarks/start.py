"""What a call takes beside its steps: the first, a repeat, and children of it.

    python benchmarks/start.py [MODEL] [--precision fp32] [--rounds 3]

In fresh processes, so many; the medians. `beside steps` is the call's time without that of its
steps. The phases are the result's `setup_seconds`; `rest` is what none of them is, and what it is
of the whole call.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from statistics import median

CALLS = """
import json, sys, time

began = time.perf_counter()
from modelzoo_runner import benchmark

imported = time.perf_counter() - began
how = {"model": sys.argv[1], "weights": "random", "precision": sys.argv[2], "batch_size": 1}
how |= {"steps": 3, "warmup_steps": 1, "progress": False}
calls = {
    "first call": {},
    "repeat": {},
    "repeat, batch 4": {"batch_size": 4},
    "first child": {"isolation": "child", "num_intra_threads": 1},
    "second child, other threads": {"isolation": "child", "num_intra_threads": 2},
    "third child": {"isolation": "child", "num_intra_threads": 1},
}
for name, given in calls.items():
    began = time.perf_counter()
    found = benchmark(**{**how, **given})
    took = time.perf_counter() - began
    steps = sum(found.step_seconds) + sum(found.warmup_seconds) + sum(found.data_seconds)
    took += imported if name == "first call" else 0
    said = {"import modelzoo_runner": imported} if name == "first call" else {}
    phases = {**said, **found.observed.setup_seconds}
    print(json.dumps([name, took, steps, phases]), flush=True)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", default="resnet50")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    command = [sys.executable, "-c", CALLS, asked.model, asked.precision]
    subprocess.run(command, check=True, capture_output=True)  # which builds the graph
    rounds = []
    for _ in range(asked.rounds):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rounds.append([json.loads(line) for line in done.stdout.splitlines()])
    for calls in zip(*rounds, strict=True):
        name = calls[0][0]
        beside = median(took - steps for _, took, steps, _ in calls)
        phases = {phase: median(each[3][phase] for each in calls) for phase in calls[0][3]}
        rest = median(took - steps - sum(own.values()) for _, took, steps, own in calls)
        share = median((took - steps - sum(own.values())) / took for _, took, steps, own in calls)
        said = ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in phases.items())
        print(f"{name}: {beside:.2f} s beside steps: {said}, rest {rest:.2f} ({share:.0%})")


if __name__ == "__main__":
    main()

"""Spoil input of every kind by chance and count what becomes of it.

    .venv-dev/bin/python benchmarks/hostile.py 1000 --seed 1            all areas, 1,000 cases each
    .venv-dev/bin/python benchmarks/hostile.py 5 --seed 1 --first 40 graphs    cases 40 to 44 of one

The same seed makes the same cases. Exit code 1: a case ended otherwise than with its work done or
with an error of the library.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/helpers"))

import hostile_input
import hostile_worker


def main() -> int:
    """Do the cases and print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", type=int, help="how many, of each area")
    parser.add_argument("areas", nargs="*", default=[*hostile_input.AREAS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    asked = parser.parse_intermixed_args()
    cases = range(asked.first, asked.first + asked.cases)
    is_bad = False
    print(" " * 12 + " ".join(f"{each:>7}" for each in hostile_worker.OUTCOMES))
    for area in asked.areas:
        found = hostile_worker.run(area, cases, seed=asked.seed)
        print(found, flush=True)
        for what, numbers in sorted(found.bad.items(), key=lambda each: -len(each[1])):
            print(f"    {len(numbers)} x {what}   (cases {numbers[:5]})", flush=True)
            is_bad = True
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())

"""Claims on CPUs hold between processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def test_a_claim_holds_between_processes_and_ends_with_them(tmp_path: Path) -> None:
    code = (
        "import sys, time; from modelzoo_runner.scale import cores\n"
        "with cores.claimed([(0, 1), (2,)]) as cpus: print(cpus, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def start() -> Any:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
        )
        return process, (process.stdout or sys.stdin).readline()

    (first, said), (second, then) = start(), start()
    assert (said, then) == ("(0, 1)\n", "(2,)\n")
    third = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    )
    time.sleep(1)
    first.kill()
    assert third.stdout is not None and third.stdout.readline() == "(0, 1)\n"
    for process in (first, second, third):
        process.kill()
        process.communicate()

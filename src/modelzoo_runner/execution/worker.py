"""The child's entry point: a plan comes in on standard input, messages go out on a private pipe.

A message is one line of JSON: `progress`, and at the end `result`, `error` or `interrupted`. One of
several instances says `ready` when it is warm, and begins to measure at the time it is then told.
Nothing that TensorFlow or anybody else prints can get between them. A child that is to quantise the
plan's graph is told so by a word, and writes a file.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import IO, Any

from modelzoo_runner import codec, errors
from modelzoo_runner.plan import Plan

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal this process gets when its parent dies."""


def main() -> int:
    """Do what the plan on standard input says; answer on the descriptor given as an argument."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent ends a run with it, also where itself was started to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as answers:
        try:
            _answer(answers, **_run(answers))
        except errors.RunnerError as error:
            _answer(answers, error=errors.to_dict(error))
        except KeyboardInterrupt:
            _answer(answers, interrupted=True)
        except Exception:  # noqa: BLE001 - the parent has to hear of whatever it was
            said = f"the child process failed in a way nobody foresaw:\n{traceback.format_exc()}"
            _answer(answers, error={"class": "WorkerError", "message": said})
            return 1
    return 0


def _run(answers: IO[str]) -> dict[str, Any]:
    from modelzoo_runner.execution import job

    plan = codec.from_dict(json.loads(sys.stdin.readline()), Plan)

    def tell(*said: object) -> None:
        _answer(answers, progress=said)

    def barrier() -> None:
        _answer(answers, ready=True)
        start = sys.stdin.readline()
        if not start:
            raise KeyboardInterrupt  # nobody is there any more to start it
        time.sleep(max(0.0, float(start) - time.monotonic()))

    if sys.argv[2:3] == ["quantize"]:
        from modelzoo_runner.execution import calibration

        calibration.run(plan, Path(sys.argv[3]), progress=tell)
        return {"quantized": sys.argv[3]}
    is_one_of_several = "together" in sys.argv
    try:
        result = job.run(plan, progress=tell, barrier=barrier if is_one_of_several else None)
    except errors.Interrupted as interrupted:
        result = interrupted.result
    return {"result": result.to_dict()}


def _answer(answers: IO[str], **message: Any) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())

"""The worker's entry point: a plan comes in on standard input, messages go out on a private pipe.

A message is one line of JSON: `progress`, and at the end `result`, `error` or `interrupted`. After
a result another plan may come in that differs only in its `examples`. One of several instances says
`ready` when it is warm, and begins to measure at the time it is then told.
Nothing that TensorFlow or anybody else prints can get between them. A child that is to quantise the
plan's graph writes a file.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from modelzoo_runner import errors
from modelzoo_runner.values import codec
from modelzoo_runner.values.plan import Plan

TOGETHER, KEPT, CONTAINED = "together", "kept", "contained"
QUANTIZE, SERVE = "quantize", "serve"
"""Arguments: one of several instances; a child that isn't looked after while it has no plan; in a
container; write the int8 graph to the path that follows; measure when it is told to."""

IDLE_SECONDS = 60.0
"""How long a kept child waits for another plan."""

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal this process gets when its parent dies."""


def main() -> int:
    """Do what the plans on standard input say; answer on the descriptor given as an argument."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent ends a run with it, also where itself was started to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as answers:
        try:
            _run(answers)
        except errors.Interrupted as interrupted:
            _answer(answers, result=interrupted.result.to_dict())
        except errors.RunnerError as error:
            _answer(answers, error=errors.to_dict(error))
        except KeyboardInterrupt:
            _answer(answers, interrupted=True)
        except Exception:  # noqa: BLE001 - the parent has to hear of whatever it was
            said = f"the child process failed in a way nobody foresaw:\n{traceback.format_exc()}"
            _answer(answers, error={"class": "WorkerError", "message": said})
            return 1
    return 0


def _run(answers: IO[str]) -> None:
    from modelzoo_runner.execution import contained, job

    def tell(*said: object) -> None:
        _answer(answers, progress=said)

    def barrier() -> None:
        _answer(answers, ready=True)
        start = sys.stdin.readline()
        if not start:
            raise KeyboardInterrupt  # nobody is there any more to start it
        time.sleep(max(0.0, float(start) - time.monotonic()))

    if SERVE in sys.argv:
        from modelzoo_runner.execution import turns

        lines = _lines()
        plan = codec.from_dict(json.loads(next(lines)), Plan)
        turns.serve(plan, lines, lambda **message: _answer(answers, **message))
        return
    plans = (codec.from_dict(json.loads(line), Plan) for line in _lines())
    if CONTAINED in sys.argv:
        _answer(answers, result=contained.run(next(plans), progress=tell).to_dict())
        return
    if QUANTIZE in sys.argv:
        from modelzoo_runner.execution import calibration

        calibration.run(next(plans), Path(sys.argv[-1]), progress=tell)
        _answer(answers, done=True)
        return
    if TOGETHER in sys.argv:
        _answer(answers, result=job.run(next(plans), progress=tell, barrier=barrier).to_dict())
        return
    for result in job.runs(plans, progress=tell):
        _answer(answers, result=result.to_dict())
        # What is there now stays; nobody has to look for garbage in it before each part.
        gc.freeze()


def _lines() -> Iterator[str]:
    """The lines of standard input, until it is closed or a child that is kept has nothing to do."""
    seconds = IDLE_SECONDS if KEPT in sys.argv else None
    while select.select([sys.stdin], [], [], seconds)[0] and (line := sys.stdin.readline()):
        yield line


def _answer(answers: IO[str], **message: Any) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())

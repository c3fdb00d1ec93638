"""The worker's entry point: plans come on standard input, messages go out (see `protocol`)."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import itertools
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, TypeAlias

from modelzoo_runner import errors
from modelzoo_runner._version import __version__
from modelzoo_runner.execution import protocol, stopping, trust
from modelzoo_runner.execution.protocol import send
from modelzoo_runner.machine import allocator, runtime_log
from modelzoo_runner.results.result import Result
from modelzoo_runner.values.codec import to_dict
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Plan

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal this process gets when its parent dies."""

Subcommand: TypeAlias = Callable[[argparse.Namespace, IO[str], Context], None]


def main() -> int:
    """Do what standard input says; answer on the descriptor given as an argument."""
    parser = argparse.ArgumentParser(prog=f"python -m {protocol.MODULE}")
    parser.add_argument("descriptor", type=int, help="of the pipe that the messages go to")
    parser.add_argument("subcommand", choices=SUBCOMMANDS)
    parser.add_argument("out", type=Path, nargs="?", help="the file that is written")
    parser.add_argument("--library", help="the version that this library has to have")
    asked = parser.parse_args()
    if asked.library not in (None, __version__):
        parser.error(f"this is modelzoo_runner {__version__}, not {asked.library}")
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    descriptor = asked.descriptor
    if descriptor == 1:
        descriptor = os.dup(1)
        os.dup2(2, 1)  # what is printed from here on doesn't get between the messages
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers:

        def tell(*said: object) -> None:
            send(answers, progress=said)

        def keep(result: Result) -> None:
            send(answers, result=result.to_dict())

        try:
            # The parent ends a run with SIGINT, also where itself was started to ignore it.
            with stopping.watched(0), stopping.kept(keep), runtime_log.held_back():
                SUBCOMMANDS[asked.subcommand](asked, answers, Context(progress=tell))
        except errors.Interrupted as interrupted:
            send(answers, result=interrupted.result.to_dict())
        except errors.RunnerError as error:
            send(answers, error=errors.to_dict(error))
        except KeyboardInterrupt:
            send(answers, interrupted=True)
        except Exception:  # noqa: BLE001 - the parent has to hear of whatever it was
            said = f"the child process failed unexpectedly:\n{traceback.format_exc()}"
            send(answers, error={"class": "WorkerError", "message": said})
            return 1
    return 0


def _run(asked: argparse.Namespace, answers: IO[str], context: Context) -> None:
    from modelzoo_runner.execution import job

    is_kept = asked.subcommand == protocol.KEPT
    plans = _plans(protocol.IDLE_SECONDS if is_kept else None)
    first = next(plans)
    # Of a part that isn't known yet the graph can be opened.
    is_ahead = is_kept and first.examples is None
    for result in job.runs(itertools.chain((first,), plans), context, is_ahead=is_ahead):
        send(answers, result=result.to_dict())
        # What is there now stays; nobody has to look for garbage in it before each part.
        gc.freeze()


def _session(asked: argparse.Namespace, answers: IO[str], context: Context) -> None:
    from modelzoo_runner.execution import job

    for plan in _plans(protocol.IDLE_SECONDS):
        with contextlib.closing(job.runs(iter((plan,)), context, keep=True)) as results:
            result = next(results)
        send(answers, result=result.to_dict())


def _instance(asked: argparse.Namespace, answers: IO[str], context: Context) -> None:
    from modelzoo_runner.execution import job

    def barrier() -> None:
        send(answers, ready=True)
        start = sys.stdin.readline()
        if not start:
            raise KeyboardInterrupt  # nobody is there any more to start it
        time.sleep(max(0.0, float(start) - time.monotonic()))

    send(answers, result=job.run(next(_plans()), context, barrier=barrier).to_dict())


def _contained(asked: argparse.Namespace, answers: IO[str], context: Context) -> None:
    from modelzoo_runner.execution import host

    plan = next(_plans())
    trust.remember(plan)  # the container is what keeps it from harm
    # Standard input ends when nobody is there any more to answer; then the container ends, too.
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    send(answers, result=host.run(_with_what_the_image_has(plan), context).to_dict())


def _end_with_standard_input() -> None:
    # Not through `sys.stdin`, whose lock a thread must not hold when the interpreter ends.
    while os.read(0, 1 << 10):
        pass
    os._exit(1)


def _with_what_the_image_has(plan: Plan) -> Plan:
    """The plan without a malloc that only the preset asks for and the image doesn't have."""
    placement = plan.placement
    wish = placement.why.get("allocator", "")
    malloc = placement.allocator
    if malloc == "system" or not wish.startswith("preset") or malloc in allocator.available():
        return plan
    said = f"{malloc}, which the preset asks for, isn't in the image: the system's malloc is used"
    own = replace(
        placement,
        allocator="system",
        why={**placement.why, "allocator": f"machine: {malloc} isn't in the image ({wish})"},
        warnings=(*placement.warnings, said),
    )
    each = tuple(replace(instance, allocator="system") for instance in plan.instances)
    return replace(plan, placement=own, instances=each)


def _quantize(asked: argparse.Namespace, answers: IO[str], context: Context) -> None:
    from modelzoo_runner.execution import calibration

    calibration.run(next(_plans()), asked.out, context)
    send(answers, done=True)


def _freeze(asked: argparse.Namespace, answers: IO[str], context: Context) -> None:
    from modelzoo_runner.execution import freezing

    freezing.run(next(_plans()), asked.out)
    send(answers, done=True)


def _convert(asked: argparse.Namespace, answers: IO[str], context: Context) -> None:
    from modelzoo_runner.execution import converting

    converting.run(next(_plans()), asked.out)
    send(answers, done=True)


def _diagnose(asked: argparse.Namespace, answers: IO[str], context: Context) -> None:
    from modelzoo_runner.execution import doctor

    send(answers, diagnosis=doctor.here(next(_plans()), context).to_dict())


def _serve(asked: argparse.Namespace, answers: IO[str], context: Context) -> None:
    from modelzoo_runner.execution import job

    with job.warmed(next(_plans()), context) as warmed:
        send(
            answers,
            ready=True,
            protocol=protocol.VERSION,
            version=__version__,
            plan=to_dict(warmed.plan),
            observed=to_dict(warmed.observed),
            warnings=list(warmed.warnings),
        )
        # What is there now stays; nobody has to look for garbage in it before each request.
        gc.freeze()
        for line in _lines():
            timings = warmed.measure(**json.loads(line))
            send(answers, measured=to_dict(timings))
            if timings.interrupted:
                return


SUBCOMMANDS: Mapping[str, Subcommand] = {
    protocol.RUN: _run,
    protocol.SESSION: _session,
    protocol.KEPT: _run,
    protocol.INSTANCE: _instance,
    protocol.CONTAINED: _contained,
    protocol.QUANTIZE: _quantize,
    protocol.FREEZE: _freeze,
    protocol.CONVERT: _convert,
    protocol.DIAGNOSE: _diagnose,
    protocol.SERVE: _serve,
}


def _plans(idle: float | None = None) -> Iterator[Plan]:
    return map(protocol.read_plan, _lines(idle))


def _lines(idle: float | None = None) -> Iterator[str]:
    """The lines of standard input, until it is closed or none has come for `idle` seconds."""
    rest = b""
    # Not through `sys.stdin`: of a line that it has read ahead `select` knows nothing.
    while select.select([0], [], [], idle)[0] and (chunk := os.read(0, 1 << 16)):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from map(bytes.decode, lines)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())

"""The messages between a worker and the process that started it.

A worker is `python -m MODULE DESCRIPTOR SUBCOMMAND ...`. Plans and requests are lines of JSON on
its standard input; messages are lines of JSON on the descriptor, which may be standard output:
whatever else prints there goes to standard error then. A message has one of the keys `progress`,
`ready`, `result`, `measured`, `diagnosis`, `done`, `error`, `interrupted`; all but the first two
end the answer.
"""

from __future__ import annotations

import json
import threading
from typing import IO, Any

from modelzoo_runner._version import __version__
from modelzoo_runner.errors import WorkerError
from modelzoo_runner.values import codec
from modelzoo_runner.values.plan import Plan

MODULE = "modelzoo_runner.execution.worker"

FORK_SERVER = "modelzoo_runner.execution.fork_server"
"""The process that becomes a worker by fork whenever it is asked to."""

LONGEST_REQUEST = 1 << 16
"""Bytes of a request to that process; a plan for which there is no room is left out."""

NO_MORE = b"no more"
"""Tells that process to end with its last worker."""

RUN = "run"
"""Run plans that differ only in their `examples`, until standard input ends."""

KEPT = "kept"
"""The same, and end after `IDLE_SECONDS` without a plan: nobody looks after it meanwhile. For a
first plan without `examples` the graph is opened, and that is all."""

SESSION = "session"
"""Run plans of any kind that open their graph alike, one after the other, and end as `KEPT`."""

INSTANCE = "instance"
"""Be one of several: say `ready` when warm, and begin at the time (monotonic) on the next line."""

CONTAINED = "contained"
"""Run a plan in a container, and end with standard input."""

QUANTIZE = "quantize"
"""Write the plan's graph in int8 to the path that follows."""

FREEZE = "freeze"
"""Write the plan's model as a frozen graph to the path that follows."""

CONVERT = "convert"
"""Write the plan's graph in its runtime's format to the path that follows."""

DIAGNOSE = "diagnose"
"""Look at a plan's graph on a few of its images."""

SERVE = "serve"
"""Open a plan, warm up, say `ready`; then answer each request for steps or seconds of measuring."""

VERSION = 1
"""Of this protocol: raised when a worker of another version would be misunderstood."""

IDLE_SECONDS = 60.0
"""How long a kept worker waits for another plan, and its kind for another one to fork."""

OPENS_GRAPH = (RUN, SESSION, KEPT, INSTANCE, SERVE)
"""The subcommands that open a plan's graph as it is."""

Message = dict[str, Any]

_SENDING = threading.Lock()
"""A message is whole before the next one, which another thread may send."""


def send(answers: IO[str], **message: Any) -> None:
    """Write one message."""
    with _SENDING:
        answers.write(json.dumps(message) + "\n")
        answers.flush()


def plan_line(plan: Plan) -> str:
    """The plan as a worker reads it."""
    return json.dumps(codec.to_dict(plan))


def read_plan(line: str) -> Plan:
    """The plan of such a line.

    Raises:
        WorkerError: a plan of another version of this library.
    """
    try:
        return codec.from_dict(json.loads(line), Plan)
    except codec.CodecError as error:
        raise WorkerError(
            f"modelzoo_runner {__version__} doesn't know such a plan: {error}. Install the same "
            "version in both environments"
        ) from None

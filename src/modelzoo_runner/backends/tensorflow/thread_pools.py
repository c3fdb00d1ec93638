"""TensorFlow's thread pools, whose sizes can't be changed once they exist.

TensorFlow sizes its pools when the first session (or eager context) of a process is made, and
silently ignores later settings. This is state of the process, not of a run, so a module keeps it.

TensorFlow names its threads since 2.21 (by experiment: 2.16, 2.17, 2.19 and 2.20 don't). Before, a
thread is known as TensorFlow's if it started with the pools that this library made; and a session
that other code made isn't noticed, unless operations ran outside of sessions, too.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from modelzoo_runner.machine import binding


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The sizes of the pools: as asked for, and as counted in the process afterwards.

    `intra_found` and `inter_found` are counts of threads. An OpenMP build makes its intra-op
    threads elsewhere and later, so that `intra_found` is 0 there. Where threads have no names, all
    that aren't the inter-op threads asked for count as `intra_found`.
    """

    inter_threads: int
    intra_threads: int
    inter_found: int
    intra_found: int


_made_by_us: Pool | None = None

_threads: frozenset[int] = frozenset()
"""The ids of the threads that started with the pools made by us; intra-op threads bear the name of
the process."""

_GRAPH_RUNNERS = 1
"""Threads that TensorFlow starts beside the pools."""


def initialized() -> bool:
    """Whether TensorFlow has made its pools in this process."""
    tasks = binding.thread_names()
    if "tf_Compute" in tasks.values():
        return True
    if _made_by_us is not None:
        return not _threads.isdisjoint(tasks)
    return (
        _eager_context_is_made()
        and not _names_its_threads()
        and len(tasks) > threading.active_count()
    )


def lost_in_fork() -> bool:
    """Whether pools were made and their threads are gone, as in a process that was forked since.

    Whatever is handed to such pools is never done.
    """
    return not initialized() and (_made_by_us is not None or _eager_context_is_made())


def configured() -> Pool | None:
    """The pools, if this library made them; `None` before that and where other code did."""
    return _made_by_us


def make(*, inter_threads: int, intra_threads: int) -> Pool:
    """Make TensorFlow's pools with these sizes, or say which sizes they already have.

    Raises:
        RuntimeError: other code made them. Callers check `initialized` and `configured` first.
    """
    global _made_by_us, _threads
    if _made_by_us is not None:
        return _made_by_us
    if initialized():
        raise RuntimeError("TensorFlow's thread pools were made before")
    import tensorflow as tf

    # For the eager context, which runs the input pipeline, as well as for sessions.
    tf.config.threading.set_inter_op_parallelism_threads(inter_threads)
    tf.config.threading.set_intra_op_parallelism_threads(intra_threads)
    before = binding.thread_names()
    config = tf.compat.v1.ConfigProto(
        inter_op_parallelism_threads=inter_threads, intra_op_parallelism_threads=intra_threads
    )
    with tf.Graph().as_default(), tf.compat.v1.Session(config=config):
        after = binding.thread_names()
    new = {task: name for task, name in after.items() if task not in before}
    inter_found, intra_found = _counted(list(new.values()), inter_threads)
    _threads = frozenset(new)
    _made_by_us = Pool(
        inter_threads=inter_threads,
        intra_threads=intra_threads,
        inter_found=inter_found,
        intra_found=intra_found,
    )
    return _made_by_us


def _counted(names: Sequence[str], inter_threads: int) -> tuple[int, int]:
    """How many threads that started with the pools are inter-op and how many intra-op, by name.

    >>> _counted(["tf_graph_runner", "tf_Compute", "python", "python"], inter_threads=1)
    (1, 2)
    >>> _counted(["python", "python", "python", "python"], inter_threads=1)
    (1, 2)
    """
    inter = names.count("tf_Compute")
    if inter or not names:
        return inter, sum(not name.startswith("tf_") for name in names)
    pooled = len(names) - _GRAPH_RUNNERS
    inter = min(inter_threads, pooled)
    return inter, pooled - inter


def _eager_context_is_made() -> bool:
    """Whether TensorFlow remembers to have made what runs operations, its threads among it."""
    if "tensorflow" not in sys.modules:
        return False
    from tensorflow.python.eager import context

    eager = context.context_safe()
    return eager is not None and bool(eager._initialized)


def _names_its_threads() -> bool:
    import tensorflow as tf

    major, minor = tf.__version__.split(".")[:2]
    return (int(major), int(minor)) >= (2, 21)

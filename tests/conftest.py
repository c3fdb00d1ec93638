"""What the tests of every room share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says more of the machine than of what is tested.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# TensorFlow reads these once, at import, in this process and in every child a test starts.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# A shell starts what runs in its background with Ctrl-C ignored, nohup with SIGHUP ignored, and
# children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

SAMPLES = Path(
    os.environ.get("MODELZOO_RUNNER_SAMPLES") or Path(__file__).parents[2] / "shared" / "data"
)


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real graphs and labelled images, which is not part of the project."""
    if not SAMPLES.is_dir():
        pytest.skip(f"no real graphs and images here: {SAMPLES} is not a folder")
    return SAMPLES


@pytest.fixture(scope="session")
def same_pools() -> None:
    """For tests whose runs are to stay in this process: see `pools`."""


@pytest.fixture(scope="session", autouse=True)
def pools(request: pytest.FixtureRequest) -> None:
    """TensorFlow's thread pools, made by the library before any test can make others.

    The first use of TensorFlow in a process sizes them; the library starts a child rather than use
    pools that somebody else made. Only where a test asks for it: it loads TensorFlow.
    """
    if any("same_pools" in item.fixturenames for item in request.session.items):  # type: ignore[attr-defined]
        from modelzoo_runner.backends.tensorflow import thread_pools as pool
        from modelzoo_runner.machine import runtime_log

        with runtime_log.held_back():
            import tensorflow  # noqa: F401
        pool.make(inter_threads=1, intra_threads=len(os.sched_getaffinity(0)))


@pytest.fixture(scope="module", autouse=True)
def known_graphs(request: pytest.FixtureRequest) -> Iterator[None]:
    """The graphs that tests make are known, so that their runs stay in this process.

    Tests of where unknown graphs run ask the records.
    """
    from modelzoo_runner.execution import trust

    with pytest.MonkeyPatch.context() as patch:
        if "test_execution_trust.py" not in request.path.parts:
            patch.setattr(trust, "known", lambda plan: True)
            patch.setattr(trust, "remember", lambda plan: None)
        yield


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A runtime and a task that need no TensorFlow: see `fake_backend` and `fake_task`."""
    import fake_backend

    from modelzoo_runner import release
    from modelzoo_runner.backends import base as backends
    from modelzoo_runner.cli import run  # noqa: F401 - its options show the table as it is by then
    from modelzoo_runner.tasks import base as tasks
    from modelzoo_runner.values import preset

    release()
    monkeypatch.setattr(fake_backend, "_threads", None)
    monkeypatch.setitem(backends.BACKENDS, "fake", "fake_backend")
    monkeypatch.setitem(tasks.TASKS, "mean", "fake_task")
    monkeypatch.setitem(preset.ROLES, "mean", ("mean",))
    yield
    release()

"""The verbs, the converters and the quantizer in processes that somebody else has set up.

Each case is a fresh interpreter: what it does first is the case, what it does then is the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest
import tiny

from modelzoo_runner import models

WORK = """
import sys
from pathlib import Path

def work(folder=Path(sys.argv[1]), out=Path(sys.argv[2])):
    import numpy as np
    from modelzoo_runner import accuracy, benchmark, convert_coco, quantize
    from modelzoo_runner.execution import trust
    trust.known = lambda plan: True  # runs stay in this process
    here = dict(num_inter_threads=1, num_intra_threads=1, allocator="system")
    found = benchmark(folder / "graph.pb", steps=5, warmup_steps=1, **here)
    assert found.examples == 5, found
    scored = accuracy(folder / "detector.pb", data_location=folder / "val2017", **here)
    assert round(scored.scores["AP"], 6) == 1 and scored.examples == 4, scored.scores
    report = convert_coco(
        folder / "val2017", folder / "instances_val2017.json", out / "records"
    )
    assert (report.images, report.annotations) == (4, 4), report
    quantize(folder / "convolution.pb", [np.ones((2, 8, 8, 3), "f4")])
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tensorflow as tf

    path = tmp_path_factory.mktemp("any")
    tensors = models()["ssd-mobilenet"].graph["fp32"]
    tiny.classifier(path / "graph.pb")
    tiny.detector(path / "detector.pb", dict(tensors.outputs), input=tensors.input)
    tiny.coco(path)
    with tf.Graph().as_default() as graph:
        image = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], name="image")
        tf.nn.conv2d(image, tf.ones([3, 3, 3, 8]), 1, "SAME", name="scores")
    (path / "convolution.pb").write_bytes(graph.as_graph_def().SerializeToString())
    for each in (path, *path.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)
    return path


def run(
    folder: Path,
    out: Path,
    code: str,
    *,
    env: Mapping[str, str] | None = None,
    flags: tuple[str, ...] = (),
) -> str:
    """What a fresh interpreter prints that defines `work` and then does `code`."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", WORK + textwrap.dedent(code), folder, out],
        env=dict(os.environ if env is None else env),
        cwd=out,
        capture_output=True,
        timeout=600,
        check=False,
    )
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    return said


SLOW = pytest.mark.slow


CASES = {
    "v2 behavior off": """
        # Eager execution, too.
        import tensorflow as tf
        tf.compat.v1.disable_v2_behavior()
        work()
        """,
    "a graph is current": """
        import tensorflow as tf
        with tf.Graph().as_default(), tf.compat.v1.Session():
            work()
        """,
    "TensorFlow was used, with another precision in Keras": """
        import keras
        import tensorflow as tf
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        keras.backend.set_floatx("float64")
        assert float(tf.reduce_sum(tf.ones([100]))) == 100
        work()
        """,
    "a running event loop": """
        import asyncio
        async def main():
            work()
        asyncio.run(main())
        """,
    "a thread of an event loop": """
        import asyncio
        asyncio.run(asyncio.to_thread(work))
        """,
    "warnings are errors": """
        import warnings
        import tensorflow, keras
        warnings.simplefilter("error")
        work()
        """,
    "standard input closed, SIGCHLD ignored": """
        import os, signal
        os.close(0)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        work()
        """,
}


SELDOM = {"v2 behavior off", "a graph is current", "a running event loop"}
"""Those that the others nearly contain."""


@pytest.mark.parametrize(
    "case", [pytest.param(each, marks=[SLOW] * (each in SELDOM)) for each in CASES]
)
def test_what_was_done_before_changes_nothing(folder: Path, tmp_path: Path, case: str) -> None:
    assert "done" in run(folder, tmp_path, CASES[case])


@pytest.mark.parametrize("used", [pytest.param(False, marks=SLOW), True])
def test_after_fork(folder: Path, tmp_path: Path, used: bool) -> None:
    """With TensorFlow imported, or with its threads, which a fork doesn't copy.

    The verbs then use a child; quantizing, which is done in the process itself, says what to do.
    """
    code = f"""
        import os, shutil
        import tensorflow as tf
        from modelzoo_runner import RequestError
        if {used}:
            work()
        shutil.rmtree(Path(sys.argv[2]) / "records", ignore_errors=True)
        child = os.fork()
        if not child:
            try:
                work()
            except RequestError as error:
                assert {used} and "spawn" in str(error), error
                assert (Path(sys.argv[2]) / "records").exists(), "all before it was done"
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """
    assert "done" in run(folder, tmp_path, code, flags=("-W", "ignore"))


@pytest.mark.parametrize("method", [pytest.param("spawn", marks=SLOW), "forkserver"])
def test_in_a_worker_of_multiprocessing(folder: Path, tmp_path: Path, method: str) -> None:
    code = f"""
        if __name__ == "__main__":
            import multiprocessing
            context = multiprocessing.get_context("{method}")
            # Daemonic workers may have no children of multiprocessing's.
            with context.Pool(1) as pool:
                pool.apply(work, (Path(sys.argv[1]), Path(sys.argv[2])))
            print("done")
        """
    script = tmp_path / "script.py"
    script.write_text(WORK + textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, script, folder, tmp_path], capture_output=True, text=True, timeout=600
    )
    assert "done" in done.stdout, done.stderr[-3000:]


def test_two_threads_at_once(folder: Path, tmp_path: Path) -> None:
    """They would disturb each other: one of them may be refused in words, and none is wrong."""
    code = """
        import threading
        from modelzoo_runner import BindingError, benchmark
        found = []
        def measure():
            here = dict(num_inter_threads=1, num_intra_threads=1, allocator="system")
            try:
                found.append(benchmark(Path(sys.argv[1]) / "graph.pb", steps=5, **here).examples)
            except BindingError as error:
                assert "one after the other" in str(error), error
                found.append("refused")
        threads = [threading.Thread(target=measure) for _ in range(2)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(found) == 2 and set(found) <= {5, "refused"} and 5 in found, found
        print("done")
        """
    assert "done" in run(folder, tmp_path, code)


def bare(**variables: str) -> dict[str, str]:
    """An environment with next to nothing in it."""
    kept = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return {"PATH": "/usr/bin:/bin", **kept, **variables}


@pytest.mark.parametrize("flags", [pytest.param((), marks=SLOW), ("-X", "utf8=0", "-OO")])
def test_in_the_c_locale(folder: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    named = tmp_path / "Größe 図"
    named.mkdir()
    for each in folder.iterdir():
        (named / each.name).symlink_to(each)
    env = bare(LC_ALL="C", HOME=str(tmp_path), PYTHONCOERCECLOCALE="0")
    assert "done" in run(named, tmp_path, "work()", env=env, flags=flags)


@pytest.fixture
def nobody(tmp_path: Path) -> dict[str, str]:
    """An environment whose user no passwd file knows, as in many containers; without HOME."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import pwd\n"
        "def getpwuid(uid):\n"
        "    raise KeyError(f'getpwuid(): uid not found: {uid}')\n"
        "pwd.getpwuid = getpwuid\n"
    )
    path = os.pathsep.join(filter(None, (str(tmp_path / "site"), os.environ.get("PYTHONPATH"))))
    return bare(PYTHONPATH=path)


@pytest.mark.parametrize("home", [None, pytest.param("/nonexistent", marks=SLOW)])
def test_a_user_without_a_home(
    folder: Path, tmp_path: Path, nobody: dict[str, str], home: str | None
) -> None:
    """A graph of one's own needs no cache, and so no home."""
    env = nobody if home is None else {**nobody, "HOME": home}
    assert "done" in run(folder, tmp_path, "work()", env=env)


def test_a_cache_that_can_not_be_is_said_with_the_variable(
    folder: Path, tmp_path: Path, nobody: dict[str, str]
) -> None:
    code = """
        from modelzoo_runner import RunnerError, benchmark
        try:
            benchmark("mobilenet_v1", weights="random", steps=1)
        except RunnerError as error:
            assert "MODELZOO_RUNNER_CACHE" in str(error), error
            print("done")
        """
    assert "done" in run(folder, tmp_path, code, env=nobody)

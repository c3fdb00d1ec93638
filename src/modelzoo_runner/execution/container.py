"""Run a plan in a container: the worker of a child process, behind `docker run`.

The container gets the plan's CPUs, its variables and the files that it reads, and nothing else: no
network, no capability, nothing to write to but its own `/tmp`. A file is below `OUTSIDE` there, at
its own path: nothing of the image is covered, and every path that comes back is this machine's
again once `OUTSIDE` is cut off. The worker is the image's own library, of this version.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from modelzoo_runner._version import __version__
from modelzoo_runner.data import coco_find
from modelzoo_runner.errors import ContainerError, DataError, Interrupted, RunnerError, WorkerError
from modelzoo_runner.execution import launch, listen, protocol
from modelzoo_runner.execution.listen import Child
from modelzoo_runner.machine import cgroup
from modelzoo_runner.machine.cpulist import format_cpu_list
from modelzoo_runner.results.result import Result
from modelzoo_runner.storage import images
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values import atomic
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import GraphFile, Image, Placement, Plan

OUTSIDE = "/outside-of-the-container"

NOBODY = 65534
"""The user and the group of a container that root starts; anybody else's is as its user."""

LABEL = "modelzoo_runner"
"""By it a container can be found whose removal was prevented (`docker ps --filter label=...`)."""

CALLED = "the container that ran the plan"

TMP_SIZE = "1g"
PROCESSES = 16_384
"""How many processes and threads a container may have: far more than a run's, fewer than all."""

SECONDS_TO_END = 10.0
"""How long the docker command may take to end once its container is removed."""


def run(plan: Plan, context: Context) -> Result:
    """The result of the plan, run in a container of its image.

    Raises:
        Interrupted: Ctrl-C; holds what had been measured by then.
        ContainerError: there is no `docker` command, or the engine or the image can't run it.
        WorkerError: the container died, or took longer than `plan.timeout` seconds.
        RunnerError: what was raised in the container, as the same class.
    """
    image = plan.docker_image
    if image is None:
        raise ValueError("the plan names no docker_image")
    with _predictions(plan, image) as own, _started(own, image) as child:
        try:
            return _as_here(listen.to(child, context), plan)
        except Interrupted as interrupted:
            raise Interrupted(_as_here(interrupted.result, plan)) from None


def _as_here(result: Result, plan: Plan) -> Result:
    """The result with the plan's values of this machine, where those inside were others."""
    own = replace(
        result.plan,
        placement=replace(result.plan.placement, numa_nodes=plan.placement.numa_nodes),
        instances=plan.instances,
        isolation=plan.isolation,
        docker_image=plan.docker_image,
        timeout=plan.timeout,
        predictions=plan.predictions,
    )
    return replace(result, plan=own)


@contextlib.contextmanager
def _predictions(plan: Plan, image: Image) -> Iterator[Plan]:
    """The plan with its predictions in a folder that a container may write to.

    They are where they should be once the block ends.
    """
    if plan.predictions is None:
        yield plan
        return
    target = atomic.target("predictions", plan.predictions)
    with tempfile.TemporaryDirectory(prefix="modelzoo_runner-") as folder:
        if os.getuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        written = Path(folder) / target.name
        try:
            yield replace(plan, predictions=str(written))
        finally:
            if os.path.lexists(written):
                content = _read(written, image)
                with atomic.writing(target) as file:
                    file.write(content)


def _read(written: Path, image: Image) -> bytes:
    """The bytes of a file that a container wrote, which may have made anything of that name."""
    with contextlib.suppress(OSError):
        # Neither through a link to a file of this machine, nor waiting for who writes to a pipe.
        descriptor = os.open(written, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return file.read()
    raise ContainerError(f"docker_image={image.name!r}: the predictions it wrote are no file")


@dataclass
class Contained(Child):
    """The docker command, and behind it the worker in the container."""

    image: str = ""

    def here(self, text: str) -> str:
        """A text of the container with this machine's paths in it."""
        return text.replace(f"{OUTSIDE}/", "/")

    def there(self, plan: Plan) -> Plan:
        """The plan as the worker in the container gets it."""
        return as_inside(plan)

    def death(self) -> RunnerError:
        """How the container ended without an answer, and what to do about it."""
        code = self.process.wait()
        if code in (1, 2, 125, 126, 127):
            # What Python and its argparse, the engine and the system give as reasons.
            return ContainerError(
                f"docker_image={self.image!r}: a container of it can't be started, or its worker "
                f"can't (exit code {code}). An image has to have python and modelzoo_runner "
                f"{__version__}, as here: build it (docker build -t {self.image} . in this "
                f"library's source). {self.stderr_tail()}"
            )
        if code <= 128:
            return WorkerError(f"{self.name} ended with exit code {code}. {self.stderr_tail()}")
        how = f"was killed by {signal.Signals(code - 128).name}"
        if code - 128 == signal.SIGKILL:
            limit = cgroup.memory_limit()
            within = "" if limit is None else f" ({limit / 2**30:.1f} GiB allowed)"
            how += f", as the system does when memory runs out{within}. "
            how += listen.smaller_batch(self.plan)
        return WorkerError(f"{self.name} {how}. {self.stderr_tail()}")


@contextlib.contextmanager
def _started(plan: Plan, image: Image) -> Iterator[Contained]:
    """A container that has got the plan and begins with it; on leaving it is gone."""
    name = f"modelzoo_runner-{os.getpid()}-{os.urandom(4).hex()}"
    worker = ["-m", protocol.MODULE, "1", protocol.CONTAINED, "--library", __version__]
    command = [*_prefix(plan, name), "--entrypoint", "python", image.id or image.name, *worker]
    answers, answers_write = os.pipe()
    with tempfile.TemporaryFile() as said:
        try:
            process = launch.popen(command, said, stdout=answers_write)
        except OSError as error:
            os.close(answers)
            raise images.missing(image.name, error) from None
        finally:
            os.close(answers_write)
        child = Contained(
            plan=plan,
            process=process,
            answers=answers,
            said=said,
            name=CALLED,
            image=image.name,
        )
        with launch.attended(child):
            try:
                yield child
            finally:
                _remove(name, image, process)


def _remove(name: str, image: Image, process: subprocess.Popen[bytes]) -> None:
    """Remove the container, also one that the engine is about to make; it removes those that end.

    The docker command ends when its container is gone.
    """
    deadline = time.monotonic() + SECONDS_TO_END
    while process.poll() is None and time.monotonic() < deadline:
        with images.docker(image.name, "rm", "--force", name) as removing:
            removing.communicate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)


def _prefix(plan: Plan, name: str) -> list[str]:
    """The docker command with all that the container may, and gets."""
    placement = plan.placement
    user = (NOBODY, NOBODY) if os.getuid() == 0 else (os.getuid(), os.getgid())
    limits = {
        "cpuset-cpus": format_cpu_list(placement.cpus),
        "cpuset-mems": format_cpu_list(placement.numa_nodes),
        "memory": cgroup.memory_limit(),
        "memory-swap": cgroup.memory_limit(),
        "pids-limit": PROCESSES,
    }
    words = ["docker", "run", "--rm", "--interactive", "--pull=never", "--log-driver=none"]
    words += [f"--name={name}", f"--label={LABEL}", "--user={}:{}".format(*user)]
    words += ["--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    words += [f"--tmpfs=/tmp:mode=1777,size={TMP_SIZE}"]
    words += [f"--{limit}={value}" for limit, value in limits.items() if value]
    words += [f"--env={key}={value}" for key, value in {**placement.env, "HOME": "/tmp"}.items()]
    words += [f"--mount={_mount(path)},readonly" for path in needed(plan)]
    if plan.predictions is not None:
        words.append(f"--mount={_mount(Path(plan.predictions).parent)}")
    return words


def _mount(path: Path) -> str:
    """The file or folder of this machine as a mount, which is a line of CSV."""
    line = io.StringIO()
    fields = ["type=bind", f"source={path}", f"target={OUTSIDE}{path}"]
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def as_inside(plan: Plan) -> Plan:
    """What the worker inside is to do: the same with its own paths, in a process of its choice."""

    def moved(graph: GraphFile) -> GraphFile:
        return replace(graph, path=OUTSIDE + graph.path)

    def allowed(placement: Placement) -> Placement:
        # Its memory comes from the nodes of the container, which may set no policy itself.
        return replace(placement, numa_nodes=())

    return replace(
        plan,
        graph=moved(plan.graph),
        preprocess_graph=None if plan.preprocess_graph is None else moved(plan.preprocess_graph),
        data_location=plan.data_location and OUTSIDE + plan.data_location,
        annotations=plan.annotations and OUTSIDE + plan.annotations,
        predictions=plan.predictions and OUTSIDE + plan.predictions,
        placement=allowed(plan.placement),
        instances=tuple(map(allowed, plan.instances)),
        isolation="auto",
        docker_image=None,
        timeout=None,
    )


def needed(plan: Plan) -> tuple[Path, ...]:
    """The files and folders that the plan reads, none of them in another of them.

    What isn't there is left out: the run says so, in its own words.

    Raises:
        DataError: the data is links to what the container wouldn't have.
    """
    graphs = (plan.graph, plan.preprocess_graph)
    wanted = [Path(graph.path) for graph in graphs if graph is not None]
    if plan.annotations is not None:
        wanted.append(Path(plan.annotations))
    if plan.data_location is not None:
        location = Path(plan.data_location)
        wanted += _of_data(location, plan) if location.exists() else ()
    found: list[Path] = []
    for path in sorted({path for path in wanted if path.exists()}):
        if not any(path.is_relative_to(other) for other in found):
            found.append(path)
    return tuple(found)


def _of_data(location: Path, plan: Plan) -> Iterator[Path]:
    if not location.is_dir():
        yield location
        # One file may stand for a set of them.
        location = location.parent
        if location == location.parent:
            return  # the root of all files is more than a run needs
    yield location
    if tasks.find(plan.task).HAS_ANNOTATIONS:
        yield from coco_find.annotations_above(location)
    whole = location.resolve()
    for path in (*location.glob("*"), *location.glob("*/*")):
        if path.is_symlink() and not path.resolve().is_relative_to(whole):
            raise DataError(
                f"{path}: a link to {path.resolve()}, which is outside of the folder that the "
                "container gets. Give the folder that the files themselves are in"
            )

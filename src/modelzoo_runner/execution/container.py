"""Run a plan in a container: the worker of a child process, started by `docker run`.

The container gets the plan's CPUs, its variables and the files that it reads, and nothing else: no
network, no capabilities, and only `/tmp` can be written. Files are mounted below `OUTSIDE` at their
own paths, so they hide nothing of the image, and removing `OUTSIDE` from a path of the container
gives the path here. The worker is the image's own copy of this version of the library.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from modelzoo_runner._version import __version__
from modelzoo_runner.data import coco_find
from modelzoo_runner.errors import ContainerError, DataError, Interrupted, RunnerError
from modelzoo_runner.execution import images, launch, listen, protocol
from modelzoo_runner.execution.listen import Child
from modelzoo_runner.machine import cgroup
from modelzoo_runner.machine.cpulist import format_cpu_list
from modelzoo_runner.results import checks
from modelzoo_runner.results.result import Result
from modelzoo_runner.storage import disk
from modelzoo_runner.tasks import base as tasks
from modelzoo_runner.values import atomic
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Image, Plan

OUTSIDE = "/outside-of-the-container"

NOBODY = 65534
"""User and group of a container started by root; other users' containers run as themselves."""

LABEL = "modelzoo_runner"
"""Finds containers that couldn't be removed (`docker ps --filter label=modelzoo_runner`)."""

TMP_SIZE = "1g"
PROCESSES = 16_384
"""The limit on processes and threads: far more than a run needs."""

LARGEST_PREDICTIONS = 8 * 2**30
"""Bytes; COCO's 123,287 images with 100 boxes each are 1.5 GB."""

SECONDS_TO_END = 10.0
"""How long the docker command may take to end once its container is removed."""


def run(plan: Plan, context: Context) -> Result:
    """The result of the plan, run in a container of its image.

    Raises:
        Interrupted: Ctrl-C; holds what had been measured by then.
        ContainerError: there is no `docker` command, or it can't run the image.
        WorkerError: the container died, or took longer than `plan.timeout` seconds.
        RunnerError: what was raised in the container, as the same class.
    """
    image = plan.docker_image
    if image is None:
        raise ValueError("the plan names no docker_image")
    with _predictions(plan, image) as own, _started(own, image) as child:
        try:
            return _as_here(listen.to(child, context), plan, image)
        except Interrupted as interrupted:
            raise Interrupted(_as_here(interrupted.result, plan, image)) from None


def _as_here(result: Result, plan: Plan, image: Image) -> Result:
    """The result with this machine's values of the plan, and a warning about the image."""
    own = replace(
        result.plan,
        placement=replace(result.plan.placement, numa_nodes=plan.placement.numa_nodes),
        instances=plan.instances,
        isolation=plan.isolation,
        docker_image=plan.docker_image,
        timeout=plan.timeout,
        predictions=plan.predictions,
    )
    return replace(result, plan=own, warnings=(*checks.of_image(image), *result.warnings))


@contextlib.contextmanager
def _predictions(plan: Plan, image: Image) -> Iterator[Plan]:
    """The plan with its predictions in a folder that the container can write; moved afterwards."""
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
                with _opened(written, image) as content, atomic.writing(target) as file:
                    shutil.copyfileobj(content, file)


def _opened(written: Path, image: Image) -> BinaryIO:
    """A file written by the container, which may have made anything of that name."""
    with contextlib.suppress(OSError):
        # Neither through a link to a file of this machine, nor waiting for who writes to a pipe.
        file = disk.open_plain(written)
        if os.fstat(file.fileno()).st_size <= LARGEST_PREDICTIONS:
            return file
        file.close()
    raise ContainerError(
        f"docker_image={image.name!r}: the predictions it wrote are no file, or larger than "
        f"{LARGEST_PREDICTIONS:,} bytes"
    )


@dataclass
class Contained(Child):
    """The docker command, and the worker in the container that it started."""

    image: str = ""

    def here(self, text: str) -> str:
        """A text of the container with this machine's paths in it."""
        return text.replace(f"{OUTSIDE}/", "/")

    def there(self, plan: Plan) -> Plan:
        """The plan as the worker in the container gets it."""
        return as_inside(plan)

    def killed_by(self, code: int) -> signal.Signals | None:
        """The docker command ends with 128 + the signal that ended the worker."""
        return signal.Signals(code - 128) if code > 128 else None

    def peak(self) -> str:
        """Not known: the engine doesn't tell."""
        return ""

    def death(self) -> RunnerError:
        """How the container ended without an answer, and what to do about it."""
        code = self.process.wait()
        if code not in (1, 2, 125, 126, 127):
            return super().death()
        # What Python and its argparse, the engine and the system give as reasons.
        return ContainerError(
            f"docker_image={self.image!r}: a container of it can't be started, or its worker can't "
            f"(exit code {code}). An image needs python and modelzoo_runner {__version__}: "
            f"build it (docker build -t {self.image} . in this library's source). "
            f"{self.stderr_tail()}"
        )


@contextlib.contextmanager
def _started(plan: Plan, image: Image) -> Iterator[Contained]:
    """A container that was sent the plan; it is removed on leaving."""
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
            name="the container that ran the plan",
            image=image.name,
        )
        with launch.attended(child):
            try:
                yield child
            finally:
                _remove(name, image, process)


def _remove(name: str, image: Image, process: subprocess.Popen[bytes]) -> None:
    """Remove the container, also one that the engine is about to make; it removes those that end.

    The docker command ends with its container.
    """
    deadline = time.monotonic() + SECONDS_TO_END
    while process.poll() is None and time.monotonic() < deadline:
        with images.docker(image.name, "rm", "--force", name) as removing:
            removing.communicate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)


def _prefix(plan: Plan, name: str) -> list[str]:
    """The `docker run` command with all its options."""
    placement = plan.placement
    user = (NOBODY, NOBODY) if os.getuid() == 0 else (os.getuid(), os.getgid())
    memory = cgroup.memory_limit() or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = {
        "cpuset-cpus": format_cpu_list(placement.cpus),
        "cpuset-mems": format_cpu_list(placement.numa_nodes),
        "memory": memory,
        "memory-swap": memory,
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
    """A file or folder of this machine as the value of `--mount`, which is a line of CSV."""
    line = io.StringIO()
    fields = ["type=bind", f"source={path}", f"target={OUTSIDE}{path}"]
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def as_inside(plan: Plan) -> Plan:
    """The plan for the worker inside: with the paths there, in a process of its choice."""
    prepare = plan.preprocess_graph
    # The engine binds the memory of the container, which may set no policy itself.
    instances = [replace(each, numa_nodes=()) for each in (plan.placement, *plan.instances)]
    return replace(
        plan,
        graph=replace(plan.graph, path=OUTSIDE + plan.graph.path),
        preprocess_graph=prepare and replace(prepare, path=OUTSIDE + prepare.path),
        data_location=plan.data_location and OUTSIDE + plan.data_location,
        annotations=plan.annotations and OUTSIDE + plan.annotations,
        predictions=plan.predictions and OUTSIDE + plan.predictions,
        placement=instances[0],
        instances=tuple(instances[1:]),
        isolation="auto",
        docker_image=None,
        timeout=None,
    )


def needed(plan: Plan) -> tuple[Path, ...]:
    """The files and folders that the plan reads, none of them inside another.

    Missing ones are left out: the run itself reports them.

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

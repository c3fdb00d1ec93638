"""Docker's own engine for tests, where it is installed, with an image made of this machine.

No registry is asked: the image is this Python, what this library loads, and its source.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

IMAGE = "modelzoo-runner:made-of-this-machine"
SOURCE = Path(__file__).parents[2]
SECONDS_TO_START = 60.0

LOADED = """
import sys
from modelzoo_runner import benchmark, cli
from modelzoo_runner.execution import container, worker
benchmark(sys.argv[1], steps=1, isolation="none")
import google_crc32c, hotcoco, PIL.Image
from modelzoo_runner.machine import environment
print(*(set(environment.mapped_files())), sep="\\n")
print("--")
print(*{name.partition(".")[0] for name in sys.modules}, sep="\\n")
"""


def why_not() -> str | None:
    """Why no engine can be started here, or `None`."""
    if shutil.which("dockerd") is None:
        return "Docker's engine, dockerd, isn't installed"
    if os.getuid() != 0:
        return "Docker's engine needs root"
    return None


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of an engine that keeps all it has below `folder`, which has no network."""
    # A socket's path may be no longer than 107 bytes, and pytest's folders are deep.
    with tempfile.TemporaryDirectory(prefix="engine-") as short:
        address = f"unix://{short}/docker.sock"
        command = ["dockerd", "--host", address, "--pidfile", f"{short}/pid"]
        command += ["--data-root", str(folder / "data"), "--exec-root", f"{short}/exec"]
        command += ["--bridge=none", "--iptables=false", "--ip6tables=false"]
        with (folder / "log").open("wb") as log:
            engine = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                _wait(engine, Path(short) / "docker.sock", folder / "log")
                yield address
            finally:
                engine.terminate()
                engine.wait(60)


def _wait(engine: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not socket.exists():
        if engine.poll() is not None or time.monotonic() > deadline:
            # As in a container that may not make containers itself.
            pytest.skip(f"Docker's engine doesn't start here: {log.read_text()[-300:]}")
        time.sleep(0.05)


def docker(*arguments: str, stdin: IO[bytes] | None = None) -> str:
    """What the docker command prints."""
    done = subprocess.run(
        ["docker", *arguments], stdin=stdin, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def make_image(graph: Path, folder: Path) -> None:
    """Give the engine an image with all that running `graph` loads here."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(graph)], capture_output=True, text=True, check=True
    )
    mapped, modules = (part.splitlines() for part in done.stdout.split("--\n"))
    made = folder / "image" / "opt"
    for part in ("src", "presets"):
        shutil.copytree(SOURCE / part, made / part)
    (made / "bin").mkdir()
    # Whatever it is called here, this Python is `python` there.
    (made / "bin" / "python").symlink_to(os.path.realpath(sys._base_executable))  # type: ignore[attr-defined]
    (folder / "files").write_text("\n".join(_files(mapped, modules)))
    command = ["tar", "-c", "-C", str(folder / "image"), "opt", "-C", "/"]
    # Large, and loaded by nothing.
    stdlib = sysconfig.get_path("stdlib").lstrip("/")
    left_out = [f"{stdlib}/{each}" for each in ("site-packages", "dist-packages", "test")]
    command += [f"--exclude={each}" for each in ("tensorflow/include", *left_out)]
    command += ["-T", str(folder / "files")]
    # Where they are here may be below /tmp, which is another one in a container.
    packages = re.escape(sysconfig.get_path("platlib").lstrip("/"))
    command.insert(1, f"--transform=s|^{packages}|opt/packages|S")
    changes = ["ENV PATH=/opt/bin", "ENV PYTHONPATH=/opt/src:/opt/packages"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as archive:
        docker(
            "import", *(f"--change={each}" for each in changes), "-", IMAGE, stdin=archive.stdout
        )
    assert archive.returncode == 0


def _files(mapped: list[str], modules: list[str]) -> Iterator[str]:
    """What the image holds, as `tar` takes it: without the leading slash."""
    python = os.path.realpath(sys._base_executable)  # type: ignore[attr-defined]
    found = {Path(sysconfig.get_path("stdlib")), Path(python)}
    # The program that loads all others, by the name that is in them.
    for folder in map(Path, ("/lib", "/lib64")):
        found |= {folder} if folder.is_symlink() else set()
        found |= set(folder.resolve().glob("ld-linux*"))
    for file in map(Path, mapped):
        if ".so" in file.name:
            # Libraries are looked for by a name that is a link to them.
            found |= {each for each in file.parent.glob("*.so*") if each.resolve() == file}
    packages = Path(sysconfig.get_path("platlib"))
    for name in modules:
        found |= {*packages.glob(f"{name}.*"), *packages.glob(name)}
    found |= {*packages.glob("*.libs"), *packages.glob("*.dist-info")}
    # A folder brings all that is in it.
    return (
        str(each).lstrip("/")
        for each in sorted(found)
        if each.is_symlink() or not found.intersection(each.parents)
    )

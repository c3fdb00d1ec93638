"""Container images, by the `docker` command: find one on this machine, pull it if it is missing.

The command finds its engine by itself (DOCKER_HOST, contexts). What runs in a container is not
known here.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from modelzoo_runner.errors import ContainerError
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Image


def local(image: str, context: Context) -> Image:
    """The image of that name on this machine, pulled if it is missing.

    Args:
        image: its name, or its id.
        context: offline, it is never pulled; its progress is called with ("image layers", done,
            total) while it is.

    Raises:
        ContainerError: there is no `docker` command, no engine answers, or the image can't be had.
    """
    found = _inspect(image)
    if found is None:
        if context.offline:
            raise ContainerError(
                f"docker_image={image!r}: this machine has no such image, and offline=True forbids "
                f"to pull it. {_build(image)}"
            )
        _pull(image, context)
        found = _inspect(image)
    if found is None:
        raise ContainerError(f"docker_image={image!r}: was pulled, and isn't there")
    digests: list[str] = found.get("RepoDigests") or []
    return Image(name=image, id=found["Id"], digest=digests[0] if digests else None)


def docker(image: str, *arguments: str) -> subprocess.Popen[str]:
    """The running `docker` command, to be read from; Ctrl-C in a terminal doesn't reach it.

    Raises:
        ContainerError: there is none.
    """
    try:
        return subprocess.Popen(
            ["docker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise missing(image, error) from None


def missing(image: str, error: OSError) -> ContainerError:
    """The error that the `docker` command can't be run."""
    return ContainerError(
        f"docker_image={image!r}: the docker command can't be run ({error.strerror}): install "
        "Docker (Debian, Ubuntu: apt install docker.io)"
    )


def _inspect(image: str) -> dict[str, Any] | None:
    """What the engine knows of the image; `None` if it has no such image."""
    with docker(image, "image", "inspect", image) as inspecting:
        said, _ = inspecting.communicate()
    if inspecting.returncode == 0:
        (found,) = json.loads(said)
        return dict(found)
    with docker(image, "version", "--format", "{{.Server.Version}}") as asking:
        _, problem = asking.communicate()
    if asking.returncode != 0:
        where = os.environ.get("DOCKER_HOST")
        raise ContainerError(
            f"docker_image={image!r}: no container engine answers"
            f"{f' at DOCKER_HOST={where}' if where else ''}: {problem.strip()}. "
            "Start Docker, or name its socket in DOCKER_HOST"
        )
    return None


def _pull(image: str, context: Context) -> None:
    layers: dict[str, bool] = {}
    with docker(image, "pull", image) as pulling:
        try:
            for line in pulling.stdout or ():
                layer, _, status = line.strip().partition(": ")
                if status.startswith(("Pulling fs", "Already exists", "Pull complete")):
                    layers[layer] = not status.startswith("Pulling fs")
                    context.tell("image layers", sum(layers.values()), len(layers))
            _, problem = pulling.communicate()
        except BaseException:
            pulling.kill()
            raise
    if pulling.returncode != 0:
        raise ContainerError(
            f"docker_image={image!r}: this machine has no such image, and it can't be pulled: "
            f"{problem.strip()}. {_build(image)}"
        )


def _build(image: str) -> str:
    return f"Build it (docker build -t {image} . in this library's source), or name another one"

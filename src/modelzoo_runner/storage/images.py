"""A container image's name -> the image on this machine, pulled if it isn't there.

The engine is Docker, found as its own command finds it, by DOCKER_HOST. What is run in a container
is not known here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelzoo_runner.errors import ContainerError, MissingDependency
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.plan import Image

if TYPE_CHECKING:
    from docker import DockerClient

USUAL_SOCKET = "unix:///var/run/docker.sock"


@contextlib.contextmanager
def engine(image: str) -> Iterator[DockerClient]:
    """The container engine of this machine, which is to run something in `image`.

    What goes wrong with it in the block is raised as a `ContainerError`.

    Raises:
        MissingDependency: the engine's Python package isn't installed; the pip line.
        ContainerError: no engine answers, or it refuses what it is asked for.
    """
    try:
        import docker
    except ImportError:
        raise MissingDependency(
            f"docker_image={image!r}: docker isn't installed, which talks to the container engine: "
            "pip install 'modelzoo_runner[docker]'"
        ) from None
    from requests import RequestException

    try:
        client = docker.from_env()
    except docker.errors.DockerException as error:
        where = os.environ.get("DOCKER_HOST") or USUAL_SOCKET
        raise ContainerError(
            f"docker_image={image!r}: no container engine answers at {where}: {_cause(error)}. "
            "Start Docker, or name its socket in DOCKER_HOST"
        ) from None
    with contextlib.closing(client):
        try:
            yield client
        except (docker.errors.DockerException, RequestException) as error:
            said = getattr(error, "explanation", None) or error
            raise ContainerError(
                f"docker_image={image!r}: the container engine says: {said}"
            ) from None


def local(image: str, context: Context) -> Image:
    """The image of that name on this machine's engine, pulled if it isn't there.

    Args:
        image: its name, or its id.
        context: offline, it is never pulled; its progress is called with ("image bytes", done,
            total) while it is.

    Raises:
        MissingDependency, ContainerError: as `engine` does; or the image can't be had.
    """
    with engine(image) as client:
        from docker.errors import ImageNotFound

        try:
            found = client.images.get(image)
        except ImageNotFound:
            if context.offline:
                raise ContainerError(
                    f"docker_image={image!r}: the container engine has no such image, and "
                    f"offline=True forbids to pull it. {_build(image)}"
                ) from None
            _pull(client, image, context)
            found = client.images.get(image)
        digests: list[str] = found.attrs.get("RepoDigests") or []
        return Image(name=image, id=found.id, digest=digests[0] if digests else None)


def _pull(client: DockerClient, image: str, context: Context) -> None:
    import docker

    repository, tag = docker.utils.parse_repository_tag(image)
    layers: dict[str, tuple[int, int]] = {}
    try:
        for event in client.api.pull(repository, tag=tag or "latest", stream=True, decode=True):
            if "error" in event:
                raise docker.errors.APIError(event["error"], explanation=event["error"])
            size = event.get("progressDetail") or {}
            if event.get("status") == "Downloading" and "total" in size:
                layers[event["id"]] = (size["current"], size["total"])
                done, total = map(sum, zip(*layers.values(), strict=True))
                context.tell("image bytes", done, total)
    except docker.errors.APIError as error:
        raise ContainerError(
            f"docker_image={image!r}: the container engine has no such image and can't pull it: "
            f"{error.explanation or error}. {_build(image)}"
        ) from None


def _build(image: str) -> str:
    return f"Build it (docker build -t {image} . in this library's source), or name another one"


def _cause(error: BaseException) -> str:
    """The system's own words for why there is no connection, below all that was made of them."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error)

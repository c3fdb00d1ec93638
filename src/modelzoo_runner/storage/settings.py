"""How files are fetched: where they are kept, whether the network may be used, how patiently.

MODELZOO_RUNNER_CACHE     the folder fetched files are kept in
MODELZOO_RUNNER_OFFLINE   1: never touch the network
STORAGE_EMULATOR_HOST     a server that stands in for Google Cloud Storage, as Google's own
                          libraries take it: gs:// and https://storage.googleapis.com/ go there
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack
from urllib.parse import urlsplit

from modelzoo_runner.errors import RequestError

Progress = Callable[[str, int, int | None], None]
"""Called with a name, the bytes there so far and the bytes there will be, if known."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait, in seconds, and how often to try again.

    `attempts` is how many tries in a row may bring next to nothing. A server that sends less than
    `slowest` bytes per second over `slow_after` seconds counts as one that stopped.
    A `Retry-After` of more than `longest_wait` is not waited for.
    `stalled` is how long to wait for another process whose download has stopped growing.
    """

    attempts: int = 5
    first_wait: float = 0.5
    longest_wait: float = 120.0
    connect: float = 15.0
    read: float = 60.0
    slowest: int = 1024
    slow_after: float = 60.0
    stalled: float = 120.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that fetching needs to know beside the location.

    `endpoint` is a server that stands in for Google Cloud Storage. `largest` is the number of bytes
    after which a file whose size nobody stated is given up.
    """

    cache: Path
    offline: bool = False
    endpoint: str | None = None
    progress: Progress | None = None
    patience: Patience = Patience()
    largest: int = 16 * 2**30


class Options(TypedDict, total=False):
    """The options every function that fetches has.

    `offline`: don't touch the network. `progress`: told how far it is. `cache`: the folder fetched
    files are kept in. `endpoint`: a server that stands in for Google Cloud Storage. `patience`: how
    long to wait, and how often to try again.
    """

    offline: bool
    progress: Progress | None
    cache: Path | str | None
    endpoint: str | None
    patience: Patience | None


def decide(**options: Unpack[Options]) -> Settings:
    """The settings of a call: an option first, then the environment, then the default."""
    endpoint = options.get("endpoint") or os.environ.get("STORAGE_EMULATOR_HOST")
    return Settings(
        cache=cache_folder(options.get("cache")),
        offline=options.get("offline", False) or _switch("MODELZOO_RUNNER_OFFLINE"),
        endpoint=_base_url(endpoint),
        progress=options.get("progress"),
        patience=options.get("patience") or Patience(),
    )


def cache_folder(folder: Path | str | None = None) -> Path:
    """The folder that fetched files are kept in; it need not exist yet."""
    chosen = folder or os.environ.get("MODELZOO_RUNNER_CACHE")
    if chosen:
        try:
            return Path(chosen).expanduser().absolute()
        except RuntimeError:
            raise RequestError(f"{str(chosen)!r}: no home folder to put the cache in.") from None
    import platformdirs

    return platformdirs.user_cache_path("modelzoo_runner")


def _switch(name: str) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if value in ("", "0", "false", "no", "off"):
        return False
    if value in ("1", "true", "yes", "on"):
        return True
    raise RequestError(f"{name}={value!r}: should be 1 or 0.")


def _base_url(endpoint: str | None) -> str | None:
    if not endpoint:
        return None
    # Google's Go library takes host:port without a scheme, and so do its users.
    url = (endpoint if "://" in endpoint else f"http://{endpoint}").rstrip("/")
    try:
        parts = urlsplit(url)
        can_be = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        can_be = False
    if not can_be:
        raise RequestError(
            f"{endpoint!r} (endpoint, or STORAGE_EMULATOR_HOST): should be a server that stands in "
            "for Google Cloud Storage, as http://localhost:4443."
        )
    return url

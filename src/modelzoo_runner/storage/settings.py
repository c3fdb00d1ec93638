"""How files are fetched: where they are kept, whether the network may be used, how patiently.

MODELZOO_RUNNER_CACHE     the folder fetched files are kept in
MODELZOO_RUNNER_OFFLINE   1: never touch the network
STORAGE_EMULATOR_HOST     a server that stands in for Google Cloud Storage, as Google's own
                          libraries take it: gs:// and https://storage.googleapis.com/ go there
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlsplit

from modelzoo_runner.errors import RequestError
from modelzoo_runner.storage import disk
from modelzoo_runner.storage.retrying import RetryPolicy
from modelzoo_runner.values.context import Context
from modelzoo_runner.values.progress import Progress


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
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    largest: int = 16 * 2**30


class Options(TypedDict, total=False):
    """The options of every function that fetches.

    `context`: whether the network may be used, and who is told of progress. `cache`: the folder of
    fetched files. `endpoint`: a server used instead of Google Cloud Storage. `retry`: how long to
    wait, and how often to try again.
    """

    context: Context
    cache: Path | str | None
    endpoint: str | None
    retry: RetryPolicy | None


def resolve_settings(
    *,
    context: Context | None = None,
    cache: Path | str | None = None,
    endpoint: str | None = None,
    retry: RetryPolicy | None = None,
) -> Settings:
    """The settings of a call: an option first, then the environment, then the default."""
    context = context or Context()
    return Settings(
        cache=cache_folder(cache),
        offline=context.offline or _switch("MODELZOO_RUNNER_OFFLINE"),
        endpoint=_base_url(endpoint or os.environ.get("STORAGE_EMULATOR_HOST")),
        progress=context.callback,
        retry=retry or RetryPolicy(),
    )


def cache_folder(folder: Path | str | None = None) -> Path:
    """The folder that fetched files are kept in; it need not exist yet.

    Raises:
        RequestError: nobody says where, and there is no home folder; or other users could have
            written what is in it.
    """
    chosen = folder or os.environ.get("MODELZOO_RUNNER_CACHE")
    found = _named(chosen) if chosen else _default()
    disk.refuse_untrusted(found, named=bool(chosen))
    return found


def _named(folder: Path | str) -> Path:
    try:
        return Path(folder).expanduser().absolute()
    except RuntimeError:
        raise RequestError(f"{str(folder)!r}: no home folder to put the cache in.") from None


def _default() -> Path:
    import platformdirs

    try:
        return platformdirs.user_cache_path("modelzoo_runner")
    except RuntimeError:
        raise RequestError(
            "there is no home folder to put the cache in: HOME isn't set, and this user is in no "
            "passwd file. Set MODELZOO_RUNNER_CACHE to a folder"
        ) from None


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

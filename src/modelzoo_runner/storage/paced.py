"""Responses that have to come at a useful rate: their status line and headers, and their body.

A timeout of `requests` begins anew with each byte, so a server that sends one now and then would be
waited for without end.
"""

from __future__ import annotations

import http.client
import io
import time
from typing import TYPE_CHECKING, Any

from modelzoo_runner.storage.retrying import RetryPolicy

if TYPE_CHECKING:
    import requests


class _Line(io.RawIOBase):
    """What comes over a connection, as long as it comes at a useful rate.

    What counts is the time in which bytes are waited for, not what is done with them.
    """

    def __init__(self, line: io.RawIOBase, retry: RetryPolicy) -> None:
        self._line = line
        self._retry = retry
        self._waited, self._came = 0.0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        began = time.monotonic()
        size: int | None = self._line.readinto(buffer)
        self._waited += time.monotonic() - began
        self._came += size or 0
        if size and self._waited > self._retry.slow_after:
            if self._came < self._retry.slowest * self._waited:
                raise ConnectionError(f"only {self._came:,} bytes came in {self._waited:.0f} s")
            self._waited, self._came = 0.0, 0
        return size

    def close(self) -> None:
        self._line.close()
        super().close()


def pace(session: requests.Session, retry: RetryPolicy, *, connections: int = 10) -> None:
    """Have the responses of a session come at the rate of `retry`, or break off.

    Args:
        session: the session.
        retry: says how slow is too slow.
        connections: how many may be kept open.
    """
    from requests.adapters import HTTPAdapter

    class Response(http.client.HTTPResponse):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.fp = io.BufferedReader(_Line(self.fp.detach(), retry))

    class Adapter(HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
            pool: Any = super().get_connection_with_tls_context(*args, **options)
            kind = pool.ConnectionCls
            if kind.response_class is not Response:
                pool.ConnectionCls = type(kind.__name__, (kind,), {"response_class": Response})
            return pool

    for scheme in ("http://", "https://"):
        # With fewer, a connection is thrown away with a warning for each that comes back.
        session.mount(scheme, Adapter(pool_maxsize=connections))

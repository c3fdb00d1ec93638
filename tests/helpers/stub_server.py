"""A small server that does what real ones do on a bad day."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from requests.structures import CaseInsensitiveDict

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the answer of its path, and notes it."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        stub = self.server.stub
        with stub.lock:
            stub.seen.append((self.command, self.path, CaseInsensitiveDict(self.headers)))
            answers = stub.answers.get(self.path.partition("?")[0]) or [not_found]
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        length = int(self.headers.get("Content-Length", 0))
        self.body = self.rfile.read(length)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            answer(self)

    do_HEAD = do_GET  # noqa: N815 - the names http.server calls
    do_POST = do_GET  # noqa: N815
    do_CONNECT = do_GET  # noqa: N815

    def send(
        self, status: int, body: bytes = b"", *, length: int | None = None, **headers: str
    ) -> None:
        """A whole answer; `length` is what it says its length is."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if length is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stub: Stub

    def handle_error(self, *_: object) -> None:
        # A client that hangs up in the middle is what many tests are about.
        pass


@dataclass
class Stub:
    """`answers` maps a path to what is answered, in turn; the last one stays."""

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    seen: list[tuple[str, str, CaseInsensitiveDict[str]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self, path: str, *answers: Answer) -> str:
        self.answers[path] = list(answers)
        return self.url + path

    def count(self, path: str) -> int:
        return sum(1 for _, seen, _ in self.seen if seen.partition("?")[0] == path)


def not_found(handler: Handler) -> None:
    handler.send(404, b"<html><title>Not here</title></html>", Content_Type="text/html")


def file(content: bytes, *, etag: str | None = '"v1"', **headers: str) -> Answer:
    """A file, with ranges, as a good server sends it."""

    def answer(handler: Handler) -> None:
        more = dict(headers)
        if etag is not None:
            more["ETag"] = etag
        wanted = handler.headers.get("Range")
        if wanted is None or etag is None:
            handler.send(200, content, **more)
            return
        start = int(wanted.removeprefix("bytes=").partition("-")[0])
        if start >= len(content):
            handler.send(416, Content_Range=f"bytes */{len(content)}")
            return
        more["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.send(206, content[start:], **more)

    return answer


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    return lambda handler: handler.send(code, body, **headers)


def cut(content: bytes, after: int, *, etag: str | None = '"v1"') -> Answer:
    """Says it sends all of it, and hangs up."""
    headers = {} if etag is None else {"ETag": etag}
    return lambda handler: handler.send(200, content[:after], length=len(content), **headers)


@contextlib.contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[Stub]:
    server = _Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    stub = server.stub = Stub(url=f"{scheme}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

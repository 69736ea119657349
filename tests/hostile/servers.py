"""Servers that attack their client: answers that are cut, endless, silent or elsewhere."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

CONTENT = b"weights" * 1000
_OK = b"HTTP/1.1 200 OK\r\n"
_LENGTH = b"Content-Length: %d\r\n\r\n" % len(CONTENT)
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n" + b"%x\r\n" % len(CONTENT) + CONTENT + b"\r\n"
_MOVED = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n"

# What follows a request before the connection closes.
ANSWERS: dict[str, bytes] = {
    "whole": _OK + _LENGTH + CONTENT,
    "whole in chunks": _OK + _CHUNKED + b"0\r\n\r\n",
    "cut": _OK + _LENGTH + CONTENT[:-1],
    "cut chunks": _OK + _CHUNKED,
    "nothing after the header": _OK + _LENGTH,
    "no length": _OK + b"\r\n" + CONTENT,
    "a length that is no number": _OK + b"Content-Length: many\r\n\r\n" + CONTENT,
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH\r\n",
    "nothing": b"",
    "a local file": _MOVED % b"file:///etc/passwd",
    "ftp": _MOVED % b"ftp://127.0.0.1/file",
    "itself": _MOVED % b"/file.pth",
    "endless header": _OK + b"A: b\r\n" * 10_000,
}


def answer(kind: str) -> Callable[[socket.socket], None]:
    """A server of one of `ANSWERS`."""

    def serve(client: socket.socket) -> None:
        client.recv(10_000)
        client.sendall(ANSWERS[kind])

    return serve


def be_silent(client: socket.socket) -> None:
    """Keep the client waiting for a minute."""
    client.recv(10_000)
    client.settimeout(60)
    with contextlib.suppress(OSError):
        client.recv(1)  # until it goes away


def stall(client: socket.socket) -> None:
    """Send half of the file, then nothing."""
    client.recv(10_000)
    client.sendall(_OK + _LENGTH + CONTENT[:1000])
    be_silent(client)


def drip(client: socket.socket) -> None:
    """Send a byte now and then."""
    client.recv(10_000)
    client.sendall(_OK + _LENGTH)
    for _ in range(600):
        client.sendall(b"w")
        time.sleep(0.1)


@contextlib.contextmanager
def running(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve on this machine; yields the URL of a file."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def loop() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, contextlib.suppress(OSError):
                    serve(client)

        threading.Thread(target=loop, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/file.pth"
        listener.shutdown(socket.SHUT_RDWR)

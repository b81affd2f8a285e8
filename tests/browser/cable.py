"""A cable between the browser and the server that can be pulled: a SOCKS proxy on loopback, in threads."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_REFUSED: Final = b"\x05\x01\x00\x01\x00\x00\x00\x00\x00\x00"
_GRANTED: Final = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"


class Cable:
    """What goes through while it is plugged in; `asked` are the hosts and ports that were wanted."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._plugged = True
        self.asked: set[tuple[str, int]] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"socks5://127.0.0.1:{self._listener.getsockname()[1]}"

    def pull(self) -> None:
        """Cut what is open, and let nothing through."""
        with self._lock:
            self._plugged = False
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def plug(self) -> None:
        """Let through again."""
        with self._lock:
            self._plugged = True

    def close(self) -> None:
        """End it."""
        self.pull()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError):
            host, port = _greeted(client)
            self.asked.add((host, port))
            with self._lock:
                plugged = self._plugged
            if not plugged:
                client.sendall(_REFUSED)
                return
            with socket.create_connection((host, port)) as server:
                client.sendall(_GRANTED)
                self._relay(client, server)

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        with self._lock:
            self._open |= {client, server}
            if not self._plugged:
                return
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join()
        with self._lock:
            self._open -= {client, server}


def _greeted(client: socket.socket) -> tuple[str, int]:
    """Where a client wants to go: without a password, by address or by name."""
    _exactly(client, _exactly(client, 2)[1])
    client.sendall(b"\x05\x00")
    kind = _exactly(client, 4)[3]
    if kind == 1:
        host = socket.inet_ntoa(_exactly(client, 4))
    elif kind == 3:
        host = _exactly(client, _exactly(client, 1)[0]).decode("ascii")
    else:
        host = socket.inet_ntop(socket.AF_INET6, _exactly(client, 16))
    return host, int.from_bytes(_exactly(client, 2), "big")


def _exactly(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = client.recv(size - len(found))
        if not part:
            raise OSError
        found += part
    return found


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Hand on until one of them ends, then end the other one."""
    with contextlib.suppress(OSError):
        while part := source.recv(1 << 16):
            target.sendall(part)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def cable() -> Iterator[Cable]:
    """One that is plugged in."""
    made = Cable()
    try:
        yield made
    finally:
        made.close()

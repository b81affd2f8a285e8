"""Starts `rt` for tests in a fork of a process that has it loaded: a tenth of a second less each time.

RT_TEST_EXEC=1 starts a new interpreter each time instead.
"""

import atexit
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

_SERVER = Path(__file__).with_name("zygote_server.py")
_ROOT = Path(__file__).resolve().parents[2]
_OWN = ("LANG", "LC_ALL", "PYTHON")  # what an interpreter reads once, at its start


class Zygote:
    """The loaded process of one worker of the tests."""

    def __init__(self) -> None:
        listener = socket.socket(socket.AF_UNIX)
        self._address = f"\0rt-tests-{os.getpid()}"  # a name without a file
        listener.bind(self._address)
        listener.listen(64)
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_SERVER), str(listener.fileno())],
            stdin=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8"},
            pass_fds=[listener.fileno()],
        )
        listener.close()
        atexit.register(self.close)

    def run(
        self, argv: Sequence[str | bytes], cwd: Path, env: Mapping[str, str], stdin: bytes, timeout_s: float
    ) -> tuple[int, bytes, bytes]:
        """Exit status, stdout and stderr. Raises TimeoutExpired."""
        request = {"argv": [os.fsdecode(each) for each in argv], "cwd": str(cwd), "env": dict(env)}
        text = json.dumps(request).encode()
        given, out, err = (os.memfd_create(name, os.MFD_CLOEXEC) for name in ("stdin", "stdout", "stderr"))
        try:
            os.write(given, stdin)
            os.lseek(given, 0, os.SEEK_SET)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(timeout_s)
                connection.connect(self._address)
                socket.send_fds(connection, [len(text).to_bytes(8, "big")], [given, out, err])
                connection.sendall(text)
                status = connection.recv(4)
            return int.from_bytes(status, "big", signed=True), _whole(out), _whole(err)
        except TimeoutError:
            raise subprocess.TimeoutExpired(list(argv), timeout_s, _whole(out), _whole(err)) from None
        finally:
            for each in (given, out, err):
                os.close(each)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None, "a pipe was asked for"
        self._process.stdin.close()
        self._process.wait(10)


def _whole(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read()


@cache
def zygote() -> Zygote:
    """The one of this process."""
    return Zygote()


def fits(env: Mapping[str, str]) -> bool:
    """Whether a loaded interpreter is the same as a new one in this environment."""
    if os.environ.get("RT_TEST_EXEC"):
        return False
    plain = {"LANG": "C.UTF-8", "PYTHONPATH": str(_ROOT)}
    return all(plain.get(name) == value for name, value in env.items() if name.startswith(_OWN))

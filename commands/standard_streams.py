"""What rt says beside its answers must never stop its work: a note that cannot be written is not written."""

import io
import os
import sys


class _Forgiving(io.FileIO):
    """Takes everything, and loses what the disk, the pipe or the terminal behind it does not take."""

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]  # any buffer
        """Write, or do not."""
        try:
            written = super().write(data)
        except OSError:
            return len(data)
        return len(data) if written is None else written


def secure() -> None:
    """Give each standard stream a descriptor that is nobody else's, and let stderr lose what it cannot write."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next file that is opened, such as the log, would take its place
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # for the life of the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
    raw = _Forgiving(2, "w", closefd=False)
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=True, write_through=True
    )

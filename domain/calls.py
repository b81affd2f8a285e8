"""What a call starts, as it is stored: never the value of a variable, only its name."""

from typing import Literal

import msgspec


class CallInput(msgspec.Struct, frozen=True, kw_only=True):
    """A process to start. Variables are named here and resolved at the spawn: no value of one reaches the log."""

    argv: tuple[str, ...]
    cwd: str
    adapter: str
    inherit_env: tuple[str, ...] | Literal["all"]
    adapter_env: tuple[str, ...]
    payload_file: bool
    hold_stdin: bool = False  # its stdin stays open, and ends first when the call is to end: the far side notices


class HttpInput(msgspec.Struct, frozen=True, kw_only=True):
    """A request to send."""

    method: str
    url: str
    headers: dict[str, str]
    body: str
    private: bool
    bytes_max: int
    total_us: int

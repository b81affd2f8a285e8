"""What a call starts, as it is stored: never the value of a variable, only its name."""

from typing import Literal

import msgspec

from domain.payload import Text


class CallInput(msgspec.Struct, frozen=True, kw_only=True):
    """A process to start. Variables are named here and resolved at the spawn: no value of one reaches the log."""

    argv: tuple[str, ...]
    cwd: str
    adapter: str
    inherit_env: tuple[str, ...] | Literal["all"]
    adapter_env: tuple[str, ...]
    payload_file: bool
    stdin: Text | None = None  # what it reads
    prompt_file: str = ""  # a private file that holds the prompt
    last_message_file: str = ""  # a private file that it writes its answer to
    resolved_env: tuple[str, ...] = ()  # the names that its env file and its own variables set
    hold_stdin: bool = False  # its stdin stays open, and ends first when the call is to end: the far side notices


_LATER = ("stdin", "prompt_file", "last_message_file", "resolved_env", "key_env", "whole", "stream")


def encoded(call: msgspec.Struct) -> bytes:
    """What is asked of the world as the log keeps it.

    A field that came later is left out where it says nothing: the calls of older logs keep their bytes.
    """
    fields = msgspec.to_builtins(call)
    return msgspec.json.encode({name: value for name, value in fields.items() if value or name not in _LATER})


class MemoryInput(msgspec.Struct, frozen=True, kw_only=True):
    """Something to remember, to look up or to forget."""

    do: Literal["remember", "recall", "forget"]
    scope: Literal["workspace", "agent", "thread", "user"]
    owner: str
    key: str = ""
    text: str = ""
    query: str = ""


class HttpInput(msgspec.Struct, frozen=True, kw_only=True):
    """A request to send."""

    method: str
    url: str
    headers: dict[str, str]
    body: str
    private: bool
    bytes_max: int
    total_us: int
    key_env: str = ""  # the variable whose value is sent as a bearer token
    whole: bool = False  # the answer is kept whole, for it is what the run is about
    stream: Literal["", "ollama", "openai"] = ""  # how it comes piece by piece, where it does

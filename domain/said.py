"""What a one-shot run answered, whoever answered."""

from typing import NamedTuple

from domain.cli_answers import Usage


class Said(NamedTuple):
    """With a cause it failed; `wait_us` is how long a server asks to wait."""

    text: str
    cause: str = ""
    permanent: bool = False
    usage: Usage | None = None
    wait_us: int = 0

"""Answers that were given under an Idempotency-Key, for clients that ask again because they heard nothing.

What must hold beyond the life of a server, that one key makes one task, message or answer, the log itself keeps.
"""

import asyncio
from collections import OrderedDict

from commands.api.route import Answer
from domain.bounds import HTTP_KEYS_MAX

Name = tuple[str, str, str, str]  # who, the route, its parameters, the key


class Known:
    """A request that was begun; its answer once there is one."""

    def __init__(self, about: bytes) -> None:
        self.about = about
        self.lock = asyncio.Lock()
        self.answer: Answer | None = None


class Keys:
    """The latest answers by key."""

    def __init__(self) -> None:
        self._known: OrderedDict[Name, Known] = OrderedDict()

    def get(self, name: Name) -> Known | None:
        """The request that came under this key."""
        return self._known.get(name)

    def begin(self, name: Name, about: bytes) -> Known:
        """The first one of its key."""
        made = self._known[name] = Known(about)
        while len(self._known) > HTTP_KEYS_MAX:
            self._known.popitem(last=False)
        return made

    def forget(self, name: Name) -> None:
        """It failed: it may be tried again."""
        self._known.pop(name, None)

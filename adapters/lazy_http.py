"""The HTTP client, imported when the first request is sent: most runs send none, and the import is not free."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from domain.ports import Request, Response

if TYPE_CHECKING:
    from adapters.http import HttpxHttp


class LazyHttp:
    """See domain.ports.Http."""

    def __init__(self) -> None:
        self._http: HttpxHttp | None = None

    async def send(self, request: Request, part: Callable[[bytes], None] | None = None) -> Response:
        """See domain.ports.Http."""
        if self._http is None:
            from adapters.http import HttpxHttp

            self._http = HttpxHttp()
        return await self._http.send(request, part)

    async def close(self) -> None:
        """Give back the connections."""
        if self._http is not None:
            await self._http.close()

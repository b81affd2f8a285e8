"""Follow a run from another program: an async iterator over its items, from a position on.

    async for item in follow("7f3a2c"):
        print(item["position"], item["kind"])

It starts `rt watch` as a child, so that nothing of rt is imported here; what it gives comes from the log.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

_LINE_BYTES_MAX = 16 << 20


class FollowError(Exception):
    """`rt watch` refused; the message is what it said."""


async def follow(run: str, *, home: str | None = None, after: int = 0) -> AsyncIterator[dict[str, Any]]:
    """Items of a run in the order of the log, beyond the position `after`, until the run has ended.

    Each has `position`, `kind` (content, reasoning, output, step, tool-call, tool-result, decision, approval, state,
    event), `topic` and `data`; output, content and reasoning have `text`. Raises FollowError.
    """
    where = ["--home", home] if home else []
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "rt_runtime",
        "watch",
        run,
        "--json",
        "--after",
        str(after),
        *where,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES_MAX,
    )
    assert child.stdout is not None, "a pipe was asked for"
    assert child.stderr is not None, "a pipe was asked for"
    try:
        async for line in child.stdout:
            yield json.loads(line)
        said = (await child.stderr.read()).decode("utf-8", "replace").strip()
        if await child.wait():
            raise FollowError(said)
    finally:
        if child.returncode is None:
            child.terminate()
            await child.wait()

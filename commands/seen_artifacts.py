"""Which artifacts the log knows of: what runs left beneath the managed folder, as it was looked at when they ended."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from domain import errors
from domain.bounds import ARTIFACT_LOOKS_MAX, ARTIFACTS_LISTED_MAX
from domain.events import Text
from domain.json_text import UNREADABLE
from domain.managed_path import After, Seen
from domain.ports import RunView

if TYPE_CHECKING:
    from projections.catch_up import Database

_LOOKS: Final = f"""SELECT * FROM (
  SELECT position, stream AS run, task, data->>'$.after.sha256' AS sha256, (data->>'$.after.size')::BIGINT AS size
  FROM events WHERE topic LIKE 'run.evidence_gathered.v%' ORDER BY position DESC LIMIT {ARTIFACT_LOOKS_MAX}
) ORDER BY position"""  # noqa: S608  # our own words


def looks(database: "Database") -> list[dict[str, Any]]:
    """Where the log has a look at artifacts, the oldest first."""
    from projections.status import rows

    return rows(database, _LOOKS)


def listed(log: RunView, found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each artifact as it was seen last, by path: its digest, size, and the run after which it was looked at.

    What was gone at its last look is not listed, and neither is what only erased looks know.
    """
    seen: dict[str, dict[str, Any]] = {}
    for look in found:
        for path, at in _artifacts(log, look).items():
            seen.pop(path, None)
            if at.kind == "file":
                about = {"path": path, "sha256": at.sha256, "size": at.size}
                seen[path] = about | {"run": look["run"], "position": look["position"]}
    return sorted(list(seen.values())[-ARTIFACTS_LISTED_MAX:], key=lambda each: str(each["path"]))


def _artifacts(log: RunView, look: dict[str, Any]) -> Mapping[str, Seen]:
    try:
        text = log.blob(look["task"], Text(sha256=look["sha256"], size=look["size"]))
        return msgspec.json.decode(text, type=After).artifacts
    except (errors.BlobNotFound, *UNREADABLE):
        return {}

"""What the kind of a task means, as data: rules for its answer, the artifacts that it declares, what counts as success.

Code never branches on the name of a kind; a kind that needs rules of its own gets an entry here.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, get_args

import msgspec

Phase = Literal["plan", "execute", "verify"]
Role = Literal[
    "proposal_artifact", "implementation_artifact", "verification_artifact", "required_artifact", "artifact_path"
]
Success = Literal["evidence", "answer"]  # declared artifacts must be there; the answer itself is the result

PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
_ROLES: Final[Mapping[str, Role]] = {
    "proposal_artifact": "proposal_artifact",
    "implementation_artifact": "implementation_artifact",
    "verification_artifact": "verification_artifact",
    "required_artifacts": "required_artifact",
    "artifact_paths": "artifact_path",
    "output_path": "artifact_path",
    "checklist_path": "artifact_path",
}  # key of the payload -> what its paths are to the task
DECLARED_KEYS: Final = tuple(_ROLES)
_WRITES: Final[Mapping[Phase, Role]] = {
    "plan": "proposal_artifact",
    "execute": "implementation_artifact",
    "verify": "verification_artifact",
}
_EMPTY_LISTS = "Leave file_changes and artifact_paths empty unless this run really wrote such files."


class TaskType(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all tasks of a kind."""

    kind: str
    output_rules: tuple[str, ...] = ()
    declared_keys: tuple[str, ...] = DECLARED_KEYS
    success: Success = "evidence"


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A managed artifact that a payload names. `output`: this run has to write it; else it is only read."""

    role: Role
    path: str
    output: bool


TYPES: Final[Mapping[str, TaskType]] = {
    each.kind: each
    for each in (
        TaskType(
            kind="github-story",
            output_rules=(
                "The story goes into operator_summary, and nowhere else.",
                _EMPTY_LISTS,
                "Paths of the repository belong into file_changes or into the summary, never into artifact_paths.",
            ),
            success="answer",
        ),
        TaskType(
            kind="discord-reply",
            output_rules=("The text of the reply goes into operator_summary, as it is to be sent.", _EMPTY_LISTS),
            success="answer",
        ),
    )
}


def task_type(kind: str) -> TaskType:
    """What holds for this kind; for one without an entry, what holds for all."""
    return TYPES.get(kind) or TaskType(kind=kind)


def phase(payload: Mapping[str, Any]) -> str:
    """The phase of a goal loop that the payload names, of whatever name; "" for none."""
    named = payload.get("phase")
    return named.strip() if isinstance(named, str) else ""


def declared(payload: Mapping[str, Any], keys: tuple[str, ...] = DECLARED_KEYS) -> tuple[Declared, ...]:
    """The managed artifacts that the payload declares, unique by role and path, in the order of the keys.

    A known phase says which of its three artifacts is written now, and the other two are only read, wherever else
    they are named. Everything else is written unless `inputs` marks it. What is no path is passed over.
    """
    writes = next((role for name, role in _WRITES.items() if name == phase(payload)), None)
    given = {(_ROLES[key], path): None for key in keys for path in _paths(payload.get(key))}
    mine = {path for role, path in given if role == writes}
    reads = {path for role, path in given if writes and role in _WRITES.values()} | set(_paths(payload.get("inputs")))
    return tuple(Declared(role=role, path=path, output=path not in reads - mine) for role, path in given)


def _paths(value: object) -> Iterator[str]:
    """The paths in a string, a list, or a list of objects that have one."""
    for item in value if isinstance(value, list | tuple) else [value]:
        path = item.get("path") if isinstance(item, dict) else item
        if isinstance(path, str) and path.strip():
            yield path

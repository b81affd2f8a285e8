"""What of a completed outcome is true: its claims against what was there before the run and after it.

That a file exists proves nothing: it has to differ from what was there before, or at least to be as young as the run.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec

from domain.bounds import ECHO_PROMPT_CHARS_MAX, PATH_BYTES_MAX
from domain.managed_path import (
    After,
    BadPath,
    Before,
    Files,
    Place,
    Proof,
    Result,
    WorkspaceFiles,
    below,
    managed,
    places,
)
from domain.outcome import BLOCKED_PHRASES, Outcome, from_text, mentioned
from domain.task_types import DECLARED_KEYS, declared, phase

ECHO_GRAM_CHARS: Final = 40  # shorter runs in common with the prompt are how people speak of a task
ECHO_RUN_CHARS: Final = 300  # a run of this length is copied, not quoted
ECHO_COVERED_CHARS: Final = 120  # shorter summaries may be a quotation altogether
ECHO_COVERED_PERCENT: Final = 80
HEAD_CHARS: Final = 4_000  # of an input that is looked at before launch

_FINE = frozenset({"", "ok", "completed", "success", "succeeded", "done"})  # machine statuses
_KEYS = tuple(key for key in DECLARED_KEYS if key != "artifact_paths")
_NOTES = (" - ", " \N{EN DASH} ", " \N{EM DASH} ")
_ARROWS = (" -> ", " \N{RIGHTWARDS ARROW} ")

# what a plan says that came from a refused attempt, and not from planning
ELEVATION_PHRASES: tuple[str, ...] = (
    *("need elevated permissions", "needs elevated permissions", "requires elevated permissions"),
    *("elevated permissions are required", "need escalated permissions", "needs escalated permissions"),
    *("requires escalated permissions", "escalated permissions are required", "please grant permission"),
    *("please grant me permission", "please approve the command", "approve the permission request"),
)
_INPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "execute": ("proposal_artifact",),
    "verify": ("proposal_artifact", "implementation_artifact"),
}  # phase -> keys
_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]', re.DOTALL)
_MARKDOWN = str.maketrans("", "", "#*_`>")
_SAID_CHARS = 200

Change = Literal["created", "modified", "deleted", "renamed", "changed"]
_CHANGES: dict[str, Change] = {**{each: each for each in get_args(Change)}, "updated": "modified"}
What = Literal[
    "prompt_echo",
    "machine_status",
    "blocked_language",
    "declared_artifact",
    "stray_artifact",
    "artifact_paths",
    "artifact_path",
    "file_change",
]


class _Foreign(NamedTuple):
    """What gives away that an artifact is of another phase."""

    kinds: tuple[str, ...]
    phases: frozenset[str]
    headings: frozenset[str]
    may_be_blocked: bool = False  # a report may say that its work was blocked; a plan is of no use then


_VERIFY = frozenset({"verify", "verify-plan", "verify-execute"})
_FOREIGN = {
    "proposal_artifact": _Foreign(
        kinds=("goal-verify", "goal-execute"),
        phases=_VERIFY | {"execute"},
        headings=frozenset({"verify", "verification", "execute"}),
    ),
    "implementation_artifact": _Foreign(
        kinds=("goal-verify",), phases=_VERIFY, headings=frozenset({"verify", "verification"}), may_be_blocked=True
    ),
}


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What an outcome says of one file. `whole`: the entry with what was taken for a note, in case it is none."""

    path: str
    change: Change
    old: str = ""  # of a rename
    whole: str = ""


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of a run: the managed root, and where workspace paths may lie, the working directory first."""

    artifact_root: str
    roots: tuple[str, ...]  # absolute: the working directory, the repository's root, allowed others


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be looked at, and below what of it is a folder."""

    artifacts: tuple[str, ...]  # managed paths
    workspace_paths: tuple[Place, ...]


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was checked. `failed` is an issue, `unverifiable` a warning and no pass."""

    what: What
    result: Result
    path: str = ""
    why: str = ""
    sha256: str = ""  # of what was there


class _Scene(NamedTuple):
    """All that a check may look at."""

    where: Where
    files: WorkspaceFiles
    artifacts: Files
    runtime_made: frozenset[str]

    def place(self, *paths: str) -> str | None:
        """The path that a claim means: the first at which something is or was, else where the last one would be."""
        lying = [[place.path for place in places(path, self.where.roots)] for path in paths]
        known = (path for each in lying for path in each if self.files.is_known(path))
        return next(known, lying[-1][0] if lying[-1] else None)


def claims(file_changes: Iterable[str]) -> tuple[Claim, ...]:
    """What the entries of `file_changes` say."""
    return tuple(_claim(entry.strip()) for entry in file_changes if entry.strip())


def _claim(entry: str) -> Claim:
    word, _, rest = entry.partition(" ")
    change = _CHANGES.get(word.lower().rstrip(":")) if rest.strip() else None
    whole = rest.strip() if change else entry
    path = _before(whole, _NOTES)
    if change == "renamed":
        old = _before(path, _ARROWS)
        new = next((path[len(old) + len(arrow) :] for arrow in _ARROWS if path.startswith(old + arrow)), "")
        return Claim(path=_bare(new or old), change=change, old=_bare(old) if new else "")
    return Claim(path=_bare(path), change=change or "changed", whole="" if whole == path else _bare(whole))


def _before(text: str, marks: tuple[str, ...]) -> str:
    """What stands before the first of these marks."""
    return text[: min((at for mark in marks if (at := text.find(mark)) > 0), default=len(text))]


def _bare(path: str) -> str:
    """Without the quotes or backticks that prose puts around a path."""
    path = path.strip()
    return path[1:-1] if len(path) > 2 and path[0] == path[-1] and path[0] in "`'\"" else path  # noqa: PLR2004  # a pair


def wanted(payload: Mapping[str, Any], outcome: Outcome | None, where: Where) -> Wanted:
    """What has to be looked at: before the launch what is declared, after it also what the outcome claims."""
    needed = [each.path for each in declared(payload, _KEYS)]
    listed = outcome.artifact_paths if outcome else ()
    names = dict.fromkeys(name for path in (*needed, *listed) if (name := _managed(path, where)))
    claimed = claims(outcome.file_changes if outcome else ())
    paths = (path for claim in claimed for path in (claim.whole, claim.path, claim.old))
    lying = (place for path in paths for place in places(path, where.roots))
    strays = (Place(where.roots[0], name) for path in needed if (name := _managed(path, where)))
    return Wanted(artifacts=tuple(names), workspace_paths=tuple(dict.fromkeys((*lying, *strays))))


def _managed(path: str, where: Where) -> str:
    try:
        return managed(path, where.artifact_root)
    except BadPath:
        return ""


def verify(  # noqa: PLR0913  # all that there is to compare
    outcome: Outcome,
    payload: Mapping[str, Any],
    prompt: str,
    before: Before,
    after: After,
    *,
    started_us: int,
    where: Where,
    runtime_made: frozenset[str] = frozenset(),
) -> tuple[Check, ...]:
    """What was checked of a completed outcome; nothing is checked of any other. `runtime_made` are managed paths."""
    if outcome.status != "completed":
        return ()
    files = WorkspaceFiles(before, after, started_us)
    artifacts = Files(before.artifacts, after.artifacts, started_us, "unverifiable")
    scene = _Scene(where, files, artifacts, runtime_made)
    return (
        _echo(outcome.operator_summary, prompt),
        *_language(outcome),
        *_artifacts(scene, outcome, payload),
        *(_file_change(scene, claim) for claim in claims(outcome.file_changes)),
    )


def _echo(summary: str, prompt: str) -> Check:
    """Whether a summary repeats its prompt, by the runs of characters that both have."""
    half = ECHO_PROMPT_CHARS_MAX // 2
    given = " ".join((prompt if len(prompt) <= 2 * half else f"{prompt[:half]}\0{prompt[-half:]}").split())
    said, size = " ".join(summary.split()), ECHO_GRAM_CHARS
    grams = {given[at : at + size] for at in range(len(given) - size + 1)}
    longest = covered = run = end = 0
    for at in range(len(said) - size + 1):
        if said[at : at + size] not in grams:
            run = 0
            continue
        run, covered, end = run + 1, covered + at + size - max(at, end), at + size
        longest = max(longest, run + size - 1)
    mostly = covered >= ECHO_COVERED_CHARS and 100 * covered >= ECHO_COVERED_PERCENT * len(said)
    if longest < ECHO_RUN_CHARS and not mostly:
        return Check(what="prompt_echo", result="passed")
    why = f"{covered} of its {len(said)} characters stand in the prompt, {longest} of them in a row"
    return Check(what="prompt_echo", result="failed", why=why)


def _language(outcome: Outcome) -> Iterator[Check]:
    fine = outcome.machine_status.strip().lower() in _FINE
    why = "" if fine else f"the machine status is {outcome.machine_status[:100]!r}"
    yield Check(what="machine_status", result="passed" if fine else "failed", why=why)
    is_prose = outcome.status_source == "text"  # a document with a valid status may quote what it likes
    refused = from_text(outcome.operator_summary, BLOCKED_PHRASES) if is_prose else outcome
    why = "; ".join(refused.warnings) if refused.status == "blocked" else ""
    yield Check(what="blocked_language", result="failed" if why else "passed", why=why)


def _artifacts(scene: _Scene, outcome: Outcome, payload: Mapping[str, Any]) -> Iterator[Check]:
    needed: dict[str, bool] = {}
    for each in declared(payload, _KEYS):
        needed[each.path] = needed.get(each.path, False) or each.output
    for path, output in needed.items():
        yield _artifact(scene, "declared_artifact", path, output=output)
        yield from _stray(scene, path) if output else ()
    if any(needed.values()):
        why = "" if outcome.artifact_paths else "artifacts are declared, and artifact_paths is empty"
        yield Check(what="artifact_paths", result="failed" if why else "passed", why=why)
    inputs = {_managed(path, scene.where) for path, output in needed.items() if not output}
    for path in dict.fromkeys(outcome.artifact_paths):
        yield _artifact(scene, "artifact_path", path, output=_managed(path, scene.where) not in inputs)


def _artifact(scene: _Scene, what: What, path: str, *, output: bool) -> Check:
    try:
        name = managed(path, scene.where.artifact_root)
    except BadPath as problem:
        return Check(what=what, path=path[:_SAID_CHARS], result="failed", why=f"the path {problem.why}")
    now = scene.artifacts.after.get(name)
    if now is not None and now.kind in ("missing", "refused"):
        proof = Proof("failed", now.why or "does not exist")
    elif now is not None and not output:
        proof = Proof("passed", "is an input", now.sha256)
    elif name in scene.runtime_made:
        proof = Proof("failed", "was written by the runtime itself")
    else:
        proof = scene.artifacts.made(name)
    return Check(what=what, path=name, result=proof.result, why=proof.why, sha256=proof.sha256)


def _stray(scene: _Scene, path: str) -> Iterator[Check]:
    """Whether a declared artifact was written into the working directory, where nobody looks for it."""
    where, name = scene.where, _managed(path, scene.where)
    found = Place(where.roots[0], name).path
    now = scene.files.after.get(found)
    if not name or now is None or not now.exists or below(where.artifact_root, where.roots[0]) == "":
        return
    is_new = scene.files.made(found).result == "passed"
    why = "was written into the working directory as well" if is_new else "lay in the working directory before"
    yield Check(what="stray_artifact", path=name, result="failed" if is_new else "passed", why=why, sha256=now.sha256)


def _file_change(scene: _Scene, claim: Claim) -> Check:
    path, old = scene.place(claim.whole, claim.path), scene.place(claim.old)
    if path is None:
        proof = Proof("unverifiable", "lies in no folder of this run")
    elif "/" not in claim.path and not scene.files.is_known(path):
        proof = Proof("unverifiable", "names no file at the root of the workspace")
    elif claim.change == "deleted":
        proof = scene.files.gone(path)
    elif claim.change == "renamed":
        proof = scene.files.moved(old, path) if old else Proof("unverifiable", "its old path is not known")
    else:
        proof = scene.files.made(path)
    return Check(
        what="file_change", path=claim.path[:PATH_BYTES_MAX], result=proof.result, why=proof.why, sha256=proof.sha256
    )


def inputs(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of the artifacts without which a task of this phase is not launched."""
    return _INPUTS.get(phase(payload), ())


def input_issues(
    payload: Mapping[str, Any], texts: Mapping[str, str | None], *, artifact_root: str = ""
) -> tuple[str, ...]:
    """Why a task may not be launched: an input that is missing, or that is not what its name says.

    `texts` go by managed path.
    """
    issues: list[str] = []
    for key in inputs(payload):
        name, why = _input(payload, key, artifact_root)
        text = texts.get(name)
        if name and text is None:
            why = "does not exist"
        elif text is not None:
            why = _pollution(_FOREIGN[key], text[:HEAD_CHARS])
        issues += [f"{key} {name} {why}" if name else why] if why else []
    return tuple(issues)


def _input(payload: Mapping[str, Any], key: str, artifact_root: str) -> tuple[str, str]:
    """The managed path of an input, or what is wrong with it."""
    path = payload.get(key)
    if not isinstance(path, str) or not path.strip():
        return "", f"payload.{key} is missing"
    try:
        return managed(path, artifact_root), ""
    except BadPath as problem:
        return "", f"payload.{key}: the path {problem.why}"


def _pollution(foreign: _Foreign, text: str) -> str:
    """Why a text is not what it is taken for; "" when it may be. What it says of its maker counts before headings."""
    fields = _front_matter(text) or _json_head(text)
    kind, stage = fields.get("kind", ""), fields.get("phase", "")
    if kind.lower().startswith(foreign.kinds) or stage.lower() in foreign.phases:
        return f"was made by {kind or stage}"[:_SAID_CHARS]
    lines = [line for part in text.split("```")[::2] for line in part.splitlines()]
    if not foreign.may_be_blocked and (fields.get("status", "").lower() == "blocked" or any(map(_says_blocked, lines))):
        return "says that it is blocked"
    if kind or stage:
        return ""
    heading = next((_bared(line) for line in lines if line.startswith("#")), "")
    if "".join(takewhile(str.isalpha, heading)) in foreign.headings:
        return f"begins with the heading {heading!r}"[:_SAID_CHARS]
    named = (line.partition(":")[2].strip() for line in map(_bared, lines) if line.startswith("kind:"))
    if any(each.startswith(foreign.kinds) for each in named):
        return "names a foreign kind"
    phrase = "" if foreign.may_be_blocked else mentioned(text, ELEVATION_PHRASES)
    return f"says: {phrase}" if phrase else ""


def _front_matter(text: str) -> dict[str, str]:
    first, *lines = text.lstrip().splitlines() or [""]
    if first.rstrip() != "---":
        return {}
    pairs = (line.partition(":") for line in takewhile(lambda line: line.rstrip() != "---", lines))
    return {key.strip().lower(): value.strip().strip("'\"") for key, _, value in pairs}


def _json_head(text: str) -> dict[str, str]:
    """The strings of the object with which a text begins, also where it is cut; not those of what is inside of it."""
    text = text.lstrip()
    text = text.partition("\n")[2].lstrip() if text.startswith("```") else text
    found: dict[str, str] = {}
    depth, key, last = 0, "", ""
    for mark in _MARK.findall(text if text.startswith("{") else ""):
        depth += (mark in "{[") - (mark in "}]")
        if not depth:
            break
        if mark[0] == '"' and depth == 1:
            last = mark[1:-1]
            if key:
                found.setdefault(key.lower(), last)
        key = last if mark == ":" else ""
    return found


def _bared(line: str) -> str:
    """A line in lower case and without the marks of Markdown."""
    return line.translate(_MARKDOWN).strip(" -").lower()


def _says_blocked(line: str) -> bool:
    words = _bared(line).rstrip(".!").replace(":", " ").split()
    return "**" in line and (words == ["blocked"] or words[:2] == ["status", "blocked"])

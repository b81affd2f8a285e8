"""A completed outcome is held against evidence from before and after its run (VE-1 to VE-5, VE-7, VE-8)."""

import json
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import prompt as prompts
from domain.managed_path import MISSING, After, Before, Place, Result, Seen, Workspace
from domain.outcome import Outcome
from domain.verification import (
    ECHO_COVERED_CHARS,
    ECHO_RUN_CHARS,
    HEAD_CHARS,
    Check,
    Claim,
    Where,
    claims,
    input_issues,
    inputs,
    verify,
    wanted,
)

STARTED_US = 1_700_000_000_123_456
OLD_US, YOUNG_US = STARTED_US - 10**9 + 1, STARTED_US + 5
WHERE = Where(artifact_root="/srv/artifacts", roots=("/w/sub", "/w"))
PROMPT = "Task kind: goal-execute\nSubject: mend the parser\n" + "".join(
    f"Rule {n}: mind the {n}th thing. " for n in range(80)
)
FOLDER = Seen(exists=True, kind="folder", mtime_us=OLD_US)
LINK = Seen(exists=True, kind="refused", why="is a symbolic link")


def seen(content: str = "x", mtime_us: int = OLD_US) -> Seen:
    return Seen(exists=True, kind="file", sha256=f"sha-{content}", size=len(content), mtime_us=mtime_us)


def young(content: str = "x") -> Seen:
    return seen(content, YOUNG_US)


def state(*status: str, sha: str = "c1", **fields: Any) -> Workspace:  # noqa: ANN401  # fields of a workspace
    return Workspace(kind="git", root="/w/sub", repo_root="/w", sha=sha, dirty=bool(status), status=status, **fields)


def outcome(**fields: Any) -> Outcome:  # noqa: ANN401  # fields of an outcome
    return Outcome(**({"status": "completed", "operator_summary": "Done.", "status_source": "json"} | fields))


def checked(
    said: Outcome,
    before: Before | None = None,
    after: After | None = None,
    payload: Mapping[str, Any] | None = None,
    **given_: Any,  # noqa: ANN401  # keywords of verify
) -> tuple[Check, ...]:
    where = given_.pop("where", WHERE)
    text = given_.pop("prompt", PROMPT)
    return verify(
        said, payload or {}, text, before or Before(), after or After(), started_us=STARTED_US, where=where, **given_
    )


def change(
    entry: str,
    before: Mapping[str, Seen] | None = None,
    after: Mapping[str, Seen] | None = None,
    *,
    git: tuple[Workspace | None, Workspace | None] = (None, None),
    is_complete: bool = False,
) -> Check:
    """What is made of one entry of file_changes."""
    found = checked(
        outcome(file_changes=(entry,)),
        Before(files=before or {}, workspace=git[0], is_complete=is_complete),
        After(files=after or {}, workspace=git[1]),
    )
    return found[-1]


def named(found: tuple[Check, ...], what: str) -> list[Check]:
    return [check for check in found if check.what == what]


# claims


@pytest.mark.parametrize(
    ("entry", "claim"),
    [
        ("src/a.py", Claim(path="src/a.py", change="changed")),
        ("created src/a.py", Claim(path="src/a.py", change="created")),
        ("Modified: src/a.py", Claim(path="src/a.py", change="modified")),
        ("updated src/a.py", Claim(path="src/a.py", change="modified")),
        ("deleted src/a.py", Claim(path="src/a.py", change="deleted")),
        ("renamed src/a.py -> src/b.py", Claim(path="src/b.py", change="renamed", old="src/a.py")),
        ("renamed src/a.py → src/b.py - tidier", Claim(path="src/b.py", change="renamed", old="src/a.py")),
        ("renamed src/b.py", Claim(path="src/b.py", change="renamed")),
        ("src/a.py - now faster", Claim(path="src/a.py", change="changed", whole="src/a.py - now faster")),
        ("created `src/a.py` — new", Claim(path="src/a.py", change="created", whole="`src/a.py` — new")),
        ("created", Claim(path="created", change="changed")),
        ("created-by/a.py", Claim(path="created-by/a.py", change="changed")),
        ("docs/my file.md", Claim(path="docs/my file.md", change="changed")),
        ("a-b - c/d", Claim(path="a-b", change="changed", whole="a-b - c/d")),
    ],
)
def test_an_entry_says_what_happened_to_which_path(entry: str, claim: Claim) -> None:
    assert claims((entry,)) == (claim,)


def test_blank_entries_claim_nothing() -> None:
    assert claims(("", "  ", "a")) == (Claim(path="a", change="changed"),)


# what has to be looked at


def test_what_is_wanted_before_the_launch_is_what_the_payload_declares() -> None:
    payload = {"output_path": "/srv/artifacts/reports/a.md", "required_artifacts": ["plans/b.md", "../c.md"]}
    found = wanted(payload, None, WHERE)
    assert set(found.artifacts) == {"reports/a.md", "plans/b.md"}
    assert set(found.workspace_paths) == {Place("/w/sub", "reports/a.md"), Place("/w/sub", "plans/b.md")}


def test_ve1_what_is_wanted_after_the_run_is_looked_for_in_the_working_directory_and_then_the_repository() -> None:
    said = outcome(file_changes=("renamed a/b.py -> a/c.py", "/w/d.py", "/etc/passwd"), artifact_paths=("e.md",))
    found = wanted({}, said, WHERE)
    assert found.artifacts == ("e.md",)
    assert found.workspace_paths == (
        Place("/w/sub", "a/c.py"),
        Place("/w", "a/c.py"),
        Place("/w/sub", "a/b.py"),
        Place("/w", "a/b.py"),
        Place("/w", "d.py"),
    )


def test_a_path_with_a_dash_is_looked_for_whole_too() -> None:
    found = wanted({}, outcome(file_changes=("docs/a - b.md",)), WHERE)
    assert Place("/w/sub", "docs/a - b.md") in found.workspace_paths
    assert change("docs/a - b.md", {}, {"/w/sub/docs/a - b.md": young(), "/w/sub/docs/a": MISSING}).result == "passed"
    assert change("docs/a - new", {}, {"/w/sub/docs/a - new": MISSING, "/w/sub/docs/a": young()}).result == "passed"


# changes in the workspace

A = "/w/sub/src/a.py"


@pytest.mark.parametrize(
    ("entry", "before", "after", "result"),
    [
        pytest.param("created src/a.py", {A: MISSING}, {A: seen()}, "passed", id="VE-2 created"),
        pytest.param("created src/a.py", {}, {A: young()}, "passed", id="VE-2 created, nothing known before"),
        pytest.param("created src/a.py", {A: MISSING}, {A: MISSING}, "failed", id="VE-2 not created"),
        pytest.param("created src/a.py", {A: seen()}, {A: seen()}, "failed", id="VE-2 was there, untouched"),
        pytest.param("created src/a.py", {}, {A: seen()}, "failed", id="VE-2 older than the run"),
        pytest.param("modified src/a.py", {A: seen()}, {A: seen("y")}, "passed", id="VE-2 modified"),
        pytest.param("modified src/a.py", {A: seen()}, {A: seen()}, "failed", id="VE-2 untouched"),
        pytest.param("modified src/a.py", {A: seen()}, {A: young()}, "failed", id="VE-2 only touched"),
        pytest.param("src/a.py", {A: seen()}, {A: young("y")}, "passed", id="VE-2 no word for the change"),
        pytest.param("src/a.py", {A: seen()}, {A: MISSING}, "failed", id="issue 7: is not there"),
        pytest.param("src/a.py", {A: LINK}, {A: seen()}, "failed", id="VE-2 old, and nobody knows what was there"),
        pytest.param("src/a.py", {A: LINK}, {A: young()}, "passed", id="VE-2 young, and nobody knows what was there"),
        pytest.param("deleted src/a.py", {A: seen()}, {A: MISSING}, "passed", id="VE-3 deleted"),
        pytest.param("deleted src/a.py", {}, {A: MISSING}, "passed", id="VE-3 absent, nothing known before"),
        pytest.param("deleted src/a.py", {A: seen()}, {A: seen()}, "failed", id="VE-3 still there"),
        pytest.param("deleted src/a.py", {A: seen()}, {A: LINK}, "failed", id="VE-3 something else is there"),
        pytest.param("deleted src/a.py", {A: MISSING}, {A: MISSING}, "failed", id="VE-3 never was there"),
        pytest.param("modified src/a.py", {A: seen()}, {A: LINK}, "unverifiable", id="VE-9 a link is not followed"),
        pytest.param("modified src/a.py", {}, {}, "unverifiable", id="not looked at"),
    ],
)
def test_a_claim_rests_on_a_difference(
    entry: str, before: dict[str, Seen], after: dict[str, Seen], result: Result
) -> None:
    found = change(entry, before, after)
    assert (found.what, found.path, found.result) == ("file_change", "src/a.py", result)
    assert found.why


B = "/w/sub/src/b.py"


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        pytest.param({A: seen(), B: MISSING}, {A: MISSING, B: seen()}, "passed", id="both known"),
        pytest.param({A: seen()}, {A: MISSING, B: seen()}, "passed", id="the new one has the old one's content"),
        pytest.param({}, {A: MISSING, B: young()}, "passed", id="a young file in the place of one that is gone"),
        pytest.param({}, {A: MISSING, B: seen()}, "unverifiable", id="an old file: nothing shows when it came"),
        pytest.param({A: seen(), B: MISSING}, {A: seen(), B: seen()}, "failed", id="copied: the old one is there"),
        pytest.param({A: seen(), B: MISSING}, {A: MISSING, B: MISSING}, "failed", id="deleted: no new one"),
        pytest.param({A: seen(), B: seen("y")}, {A: MISSING, B: seen("y")}, "failed", id="the new one is untouched"),
    ],
)
def test_ve3_a_rename_has_an_old_path_that_is_gone_and_a_new_one_that_came(
    before: dict[str, Seen], after: dict[str, Seen], result: Result
) -> None:
    assert change("renamed src/a.py -> src/b.py", before, after).result == result


def test_ve3_a_rename_without_its_old_path_proves_nothing() -> None:
    assert change("renamed src/b.py", {B: MISSING}, {B: young()}).result == "unverifiable"


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        pytest.param({A: seen()}, {A: seen("y")}, "passed", id="a file below it differs"),
        pytest.param({A: seen()}, {A: MISSING}, "passed", id="a file below it is gone"),
        pytest.param({}, {A: young()}, "passed", id="a file below it is young"),
        pytest.param({A: seen()}, {A: seen()}, "failed", id="nothing below it differs"),
        pytest.param({}, {}, "failed", id="an empty old folder"),
        pytest.param({}, {"/w/sub/src-old/a.py": young()}, "failed", id="a neighbor with the same beginning"),
    ],
)
def test_ve3_a_folder_is_accepted_when_anything_below_it_changed(
    before: dict[str, Seen], after: dict[str, Seen], result: Result
) -> None:
    folder = {"/w/sub/src": FOLDER}
    assert change("updated src/", before | folder, after | folder).result == result


def test_ve3_a_new_folder_is_a_change_though_it_is_empty() -> None:
    assert change("created src/", {"/w/sub/src": MISSING}, {"/w/sub/src": FOLDER}).result == "passed"


def test_ve1_a_relative_path_is_found_at_the_repositorys_root_when_it_is_not_in_the_working_directory() -> None:
    assert change("src/a.py", {}, {A: MISSING, "/w/src/a.py": young()}).result == "passed"
    assert change("src/a.py", {A: seen()}, {A: seen(), "/w/src/a.py": young()}).result == "failed"


def test_ve1_a_file_deleted_in_the_working_directory_is_not_mistaken_for_its_namesake() -> None:
    root_file = {"/w/src/a.py": seen()}
    assert change("deleted src/a.py", {A: seen()} | root_file, {A: MISSING} | root_file).result == "passed"
    assert change("deleted src/a.py", root_file, {A: MISSING} | root_file).result == "failed"


@pytest.mark.parametrize("path", ["/etc/passwd", "/work/a.py", "../x/a.py", "src/\0a.py", "src\\a.py"])
def test_ve1_what_lies_outside_of_the_workspace_is_unverifiable(path: str) -> None:
    assert change(f"modified {path}").result == "unverifiable"


def test_ve1_an_absolute_path_inside_an_allowed_root_is_looked_at() -> None:
    where = Where(artifact_root="/srv/artifacts", roots=("/w/sub", "/w", "/opt/site"))
    after = After(files={"/opt/site/a.py": young()})
    assert checked(outcome(file_changes=("/opt/site/a.py",)), after=after, where=where)[-1].result == "passed"


@pytest.mark.parametrize(
    ("entry", "before", "after", "result"),
    [
        ("refactored the parser", {}, {"/w/sub/refactored the parser": MISSING}, "unverifiable"),
        ("README.md", {}, {"/w/sub/README.md": MISSING}, "unverifiable"),
        ("README.md", {}, {"/w/sub/README.md": young()}, "passed"),
        ("README.md", {}, {"/w/sub/README.md": seen()}, "failed"),
        ("deleted README.md", {"/w/sub/README.md": seen()}, {"/w/sub/README.md": MISSING}, "passed"),
        ("deleted README.md", {}, {"/w/sub/README.md": MISSING}, "unverifiable"),
    ],
)
def test_an_entry_without_a_slash_counts_only_when_it_names_a_file_at_the_root(
    entry: str, before: dict[str, Seen], after: dict[str, Seen], result: Result
) -> None:
    assert change(entry, before, after).result == result


# git as a witness, where no digest from before is known


@pytest.mark.parametrize(
    ("entry", "now", "git_before", "git_after", "result"),
    [
        pytest.param("src/a.py", seen(), state(), state(" M sub/src/a.py"), "passed", id="dirty since"),
        pytest.param("created src/a.py", seen(), state(), state("?? sub/src/a.py"), "passed", id="untracked, old time"),
        pytest.param("src/a.py", young(), state(), state(), "unverifiable", id="touched, or ignored by git"),
        pytest.param("src/a.py", seen(), state(), state(), "failed", id="clean as before"),
        pytest.param("src/a.py", young(), state(), state(sha="c2"), "passed", id="committed in the run"),
        pytest.param(
            "src/a.py", seen(), state("?? sub/src/a.py"), state("?? sub/src/a.py"), "failed", id="dirty before"
        ),
        pytest.param(
            "src/a.py", young(), state(), state("?? x", is_cut=True), "passed", id="a cut status is no witness"
        ),
        pytest.param("src/a.py", seen(), state(), state(" M sub/src/a.py.orig"), "failed", id="another path"),
        pytest.param("deleted src/a.py", MISSING, state(), state(" D sub/src/a.py"), "passed", id="VE-3 deleted"),
        pytest.param(
            "deleted src/a.py", MISSING, state("?? sub/src/a.py"), state(), "passed", id="VE-3 untracked, gone"
        ),
        pytest.param("deleted src/a.py", MISSING, state(), state(), "unverifiable", id="VE-3 git knew of no such file"),
        pytest.param("updated src", FOLDER, state(), state(" M sub/src/a.py"), "passed", id="VE-3 a folder"),
        pytest.param("updated src", FOLDER, state(), state(" M sub/srcs/a.py"), "failed", id="VE-3 another folder"),
    ],
)
def test_ve2_git_bears_witness(
    entry: str, now: Seen, git_before: Workspace, git_after: Workspace, result: Result
) -> None:
    path = "/w/sub/src" if now is FOLDER else A
    assert change(entry, {}, {path: now}, git=(git_before, git_after)).result == result


def test_ve2_a_dirty_workspace_with_the_same_digest_has_not_changed() -> None:
    states = {
        name: state("?? sub/src/a.py", diff_sha256=digest)
        for name, digest in (("one", "d1"), ("same", "d1"), ("two", "d2"))
    }
    after = {A: young()}
    assert change("src/a.py", {}, after, git=(states["one"], states["same"])).result == "unverifiable"
    assert change("src/a.py", {}, after, git=(states["one"], states["two"])).result == "passed"


def test_ve2_a_digest_counts_more_than_git_and_git_more_than_a_time() -> None:
    """Staging changes what git says and not what a file holds; a listing has no digests to compare."""
    listed = msgspec.structs.replace(seen(), sha256="")
    dirty = (state(), state("A  sub/src/a.py"))
    assert change("src/a.py", {A: seen()}, {A: seen()}, git=dirty).result == "failed"
    assert change("src/a.py", {A: listed}, {A: seen()}, git=dirty).result == "passed"
    assert change("src/a.py", {A: listed}, {A: young()}, git=(state(), state())).result == "unverifiable"
    assert change("src/a.py", {A: listed}, {A: young("yy")}, git=(state(), state())).result == "passed"


def test_ve3_what_git_does_not_track_in_a_folder_counts_by_what_was_seen() -> None:
    clean, old, new = (state(), state()), FOLDER, msgspec.structs.replace(FOLDER, mtime_us=YOUNG_US)
    folder = "/w/sub/src"
    assert change("created src/", {folder: MISSING}, {folder: old}, git=clean).result == "passed"
    assert change("updated src/", {folder: old, A: seen()}, {folder: old, A: seen("y")}, git=clean).result == "passed"
    assert change("updated src/", {}, {folder: new, A: young()}, git=clean).result == "unverifiable"


def test_ve3_git_knows_that_a_bare_name_was_a_file() -> None:
    found = change("deleted a.md", {}, {"/w/sub/a.md": MISSING}, git=(state(), state(" D sub/a.md")))
    assert found.result == "passed"


@pytest.mark.parametrize("before", [None, Workspace(kind="no-repo", root="/w/sub"), Workspace(kind="unknown")])
@pytest.mark.parametrize("sha", ["c1", ""])
def test_ve2_without_git_a_young_time_is_all_there_is(before: Workspace | None, sha: str) -> None:
    """A repository that is made in the run is no witness of what was there before it."""
    git = (before, state("?? sub/src/a.py", sha=sha))
    assert change("src/a.py", {}, {A: young()}, git=git).result == "passed"
    assert change("src/a.py", {}, {A: seen()}, git=git).result == "failed"


def test_ve2_a_complete_listing_tells_what_was_not_there() -> None:
    no_repo = (Workspace(kind="no-repo", root="/w/sub"), None)
    for entry, now in (("created src/a.py", seen()), ("deleted src/a.py", MISSING)):
        found = change(entry, {"/w/sub/b": seen()}, {A: now}, git=no_repo, is_complete=True)
        assert found.result == ("passed" if now.exists else "failed")
    hook = "/w/sub/.git/hooks/x"  # listings leave out what is git's own
    assert change("created .git/hooks/x", {}, {hook: seen()}, git=no_repo, is_complete=True).result == "failed"


# artifacts

REPORT = {"output_path": "reports/a.md"}
SAID = outcome(artifact_paths=("reports/a.md",))


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        pytest.param(MISSING, seen(), "passed", id="VE-4 written in this run"),
        pytest.param(seen(), seen("y"), "passed", id="VE-4 changed in this run"),
        pytest.param(seen(), seen(), "failed", id="VE-4 left over from another run"),
        pytest.param(seen(), young(), "unverifiable", id="VE-4 written again, the same"),
        pytest.param(MISSING, MISSING, "failed", id="issue 4: does not exist"),
        pytest.param(MISSING, LINK, "failed", id="VE-9 a link is no artifact"),
    ],
)
@pytest.mark.parametrize("key", ["output_path", "checklist_path", "verification_artifact", "required_artifacts"])
def test_ve4_a_declared_artifact_is_written_in_this_run(key: str, before: Seen, after: Seen, result: Result) -> None:
    payload = {key: ["reports/a.md"] if key == "required_artifacts" else "/srv/artifacts/reports/a.md"}
    found = checked(SAID, Before(artifacts={"reports/a.md": before}), After(artifacts={"reports/a.md": after}), payload)
    for what in ("declared_artifact", "artifact_path"):
        assert [(check.path, check.result) for check in named(found, what)] == [("reports/a.md", result)]


def test_ve4_an_input_only_has_to_be_there() -> None:
    before, after = Before(artifacts={"plans/p.md": seen()}), After(artifacts={"plans/p.md": seen()})
    said = outcome(artifact_paths=("plans/p.md",))
    for payload in (
        {"required_artifacts": ["plans/p.md"], "inputs": ["plans/p.md"]},
        {"phase": "execute", "proposal_artifact": "plans/p.md"},
    ):
        found = checked(said, before, after, payload)
        assert [check.result for check in found if "artifact" in check.what] == ["passed", "passed"]
    gone = checked(said, before, After(artifacts={"plans/p.md": MISSING}), {"inputs": ["plans/p.md"], **REPORT})
    assert named(gone, "artifact_path")[0].result == "failed"


def test_ar1_a_report_that_the_runtime_made_proves_nothing() -> None:
    before, after = Before(artifacts={"reports/a.md": MISSING}), After(artifacts={"reports/a.md": young()})
    found = checked(SAID, before, after, REPORT, runtime_made=frozenset({"reports/a.md"}))
    assert [check.result for check in named(found, "declared_artifact")] == ["failed"]
    assert [check.result for check in named(found, "artifact_path")] == ["failed"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../a.md", "the path goes upwards"),
        ("/etc/passwd", "the path is outside of the artifact folder"),
        ("a\\b", "the path holds a backslash"),
        ("reports/none.md", "does not exist"),
    ],
)
def test_issue_6_an_artifact_path_names_a_managed_file(path: str, why: str) -> None:
    found = checked(outcome(artifact_paths=(path,)), after=After(artifacts={"reports/none.md": MISSING}))
    assert [(check.result, check.why) for check in named(found, "artifact_path")] == [("failed", why)]


@pytest.mark.parametrize(
    "path", ["state/artifacts/reports/a.md", "deploy/x/state/artifacts/reports/a.md", "/srv/artifacts/reports/a.md"]
)
def test_issue_6_an_artifact_path_is_normalised(path: str) -> None:
    found = checked(outcome(artifact_paths=(path,)), after=After(artifacts={"reports/a.md": young()}))
    assert [(check.path, check.result) for check in named(found, "artifact_path")] == [("reports/a.md", "passed")]


def test_issue_5_declared_artifacts_have_to_be_listed() -> None:
    after = After(artifacts={"reports/a.md": young()})
    assert named(checked(outcome(), after=after, payload=REPORT), "artifact_paths")[0].result == "failed"
    assert named(checked(SAID, after=after, payload=REPORT), "artifact_paths")[0].result == "passed"
    assert named(checked(outcome(), after=after), "artifact_paths") == []
    inputs_only = {"output_path": "reports/a.md", "inputs": ["reports/a.md"]}
    assert named(checked(outcome(), after=after, payload=inputs_only), "artifact_paths") == []


STRAY = "/w/sub/reports/a.md"


@pytest.mark.parametrize(
    ("before", "after", "results"),
    [
        pytest.param({STRAY: MISSING}, {STRAY: young()}, ["failed"], id="written into the working directory"),
        pytest.param({STRAY: seen()}, {STRAY: seen()}, ["passed"], id="lay there before"),
        pytest.param({}, {STRAY: MISSING}, [], id="is not there"),
    ],
)
def test_issue_4_an_artifact_is_not_written_into_the_working_directory(
    before: dict[str, Seen], after: dict[str, Seen], results: list[str]
) -> None:
    artifacts = {"reports/a.md": young()}
    found = checked(SAID, Before(files=before), After(files=after, artifacts=artifacts), REPORT)
    assert [check.result for check in named(found, "stray_artifact")] == results


def test_issue_4_the_working_directory_may_be_the_artifact_folder() -> None:
    where = Where(artifact_root="/w/sub/", roots=("/w/sub",))
    after = After(files={STRAY: young()}, artifacts={"reports/a.md": young()})
    assert named(checked(SAID, after=after, payload=REPORT, where=where), "stray_artifact") == []


# words


@pytest.mark.parametrize(
    "summary",
    [
        "Mended the parser and its tests.",
        "Task kind: goal-execute. Subject: mend the parser. All of it is done, and the tests pass.",
        'The line "Rule 3: mind the 3th thing." was wrong; it is gone now, and so are its tests.',
        "",
        PROMPT[: ECHO_COVERED_CHARS - 1],
    ],
)
def test_ve5_quoting_a_label_is_no_echo(summary: str) -> None:
    assert checked(outcome(operator_summary=summary))[0].result == "passed"


@pytest.mark.parametrize(
    "summary",
    [
        PROMPT[:4000],
        PROMPT[200:340],
        "\n".join(PROMPT[400:700].split(" ")),
        "I was told this: " + PROMPT[100 : 100 + ECHO_RUN_CHARS + 40] + " So I did. " + "And more. " * 200,
    ],
    ids=["all of it", "a short piece and nothing else", "with other blanks", "a long run inside of prose"],
)
def test_ve5_a_long_run_in_common_with_the_prompt_is_an_echo(summary: str) -> None:
    found = checked(outcome(operator_summary=summary))[0]
    assert (found.what, found.result) == ("prompt_echo", "failed")
    assert "stand in the prompt" in found.why


def test_ve5_the_contract_of_a_real_prompt_is_recognised() -> None:
    contract = prompts.contract()
    assert checked(outcome(operator_summary=contract[:2000]), prompt="Task: x\n" + contract)[0].result == "failed"
    assert checked(outcome(operator_summary=contract.splitlines()[0]), prompt=contract)[0].result == "passed"


@pytest.mark.parametrize("text", ["a" * 4000, "ab" * 2000, "x y " * 1000, "\0" * 4000])
def test_ve5_an_echo_is_looked_for_within_a_second(text: str) -> None:
    began_s = time.process_time()
    assert checked(outcome(operator_summary=text), prompt=text[:50] * 100_000)[0].result == "failed"
    assert time.process_time() - began_s < 1.0


@pytest.mark.parametrize(
    ("machine_status", "result"),
    [("", "passed"), ("ok", "passed"), ("OK", "passed"), ("success", "passed"), ("partial", "failed"), ("x", "failed")],
)
def test_issue_2_a_completed_outcome_has_a_machine_status_that_is_fine(machine_status: str, result: Result) -> None:
    assert named(checked(outcome(machine_status=machine_status)), "machine_status")[0].result == result


@pytest.mark.parametrize(
    ("source", "summary", "result"),
    [
        ("text", "I do not have permission to write there.", "failed"),
        ("text", 'The log said "I do not have permission"; that is mended.', "passed"),
        ("json", "I do not have permission to write there, so I wrote elsewhere.", "passed"),
    ],
)
def test_issue_3_a_refusal_in_words_counts_only_where_words_are_all_there_is(
    source: str, summary: str, result: Result
) -> None:
    """OU-5."""
    found = checked(outcome(status_source=source, operator_summary=summary))
    assert named(found, "blocked_language")[0].result == result


@pytest.mark.parametrize("status", ["blocked", "retryable_failure", "permanent_failure"])
def test_nothing_is_checked_of_an_outcome_that_is_not_completed(status: str) -> None:
    assert checked(outcome(status=status, file_changes=("src/a.py",)), payload=REPORT) == ()


def test_ve8_every_check_is_told_with_its_path_and_digest() -> None:
    before = Before(artifacts={"reports/a.md": MISSING}, files={A: seen()})
    after = After(artifacts={"reports/a.md": young("new")}, files={A: seen("y")})
    said = outcome(artifact_paths=("reports/a.md",), file_changes=("modified src/a.py", "/etc/passwd"))
    found = checked(said, before, after, REPORT)
    assert [(check.what, check.path, check.result, check.sha256) for check in found] == [
        ("prompt_echo", "", "passed", ""),
        ("machine_status", "", "passed", ""),
        ("blocked_language", "", "passed", ""),
        ("declared_artifact", "reports/a.md", "passed", "sha-new"),
        ("artifact_paths", "", "passed", ""),
        ("artifact_path", "reports/a.md", "passed", "sha-new"),
        ("file_change", "src/a.py", "passed", "sha-y"),
        ("file_change", "/etc/passwd", "unverifiable", ""),
    ]
    assert msgspec.json.decode(msgspec.json.encode(found), type=tuple[Check, ...]) == found


def test_a_thousand_claims_over_a_large_workspace_are_checked_within_a_second() -> None:
    files = {f"/w/sub/d{n % 50}/f{n}.py": seen() for n in range(20_000)}
    git = state(*(f" M sub/d/f{n}.py" for n in range(2_000)))
    said = outcome(file_changes=tuple(f"updated d{n % 50}" for n in range(1_000)))
    folders = {f"/w/sub/d{n}": FOLDER for n in range(50)}
    began_s = time.process_time()
    found = checked(said, Before(files=files, workspace=git), After(files=files | folders, workspace=git))
    assert time.process_time() - began_s < 1.0
    assert {check.result for check in named(found, "file_change")} == {"failed"}


SEEN = st.sampled_from([MISSING, seen(), seen("y"), young(), young("y"), FOLDER, LINK])
PATHS = st.sampled_from([A, B, "/w/src/a.py", "/w/sub/src", "/w/sub/README.md"])
FILES = st.dictionaries(PATHS, SEEN, max_size=4)
ENTRIES = st.lists(
    st.sampled_from(["src/a.py", "created src/a.py", "deleted src/b.py", "renamed src/a.py -> src/b.py", "src", "/w"])
    | st.text(max_size=12)
    | st.text(alphabet="/.-> ab`\0", max_size=12),
    max_size=4,
)
STATES = st.none() | st.sampled_from(
    [state(), state(" M sub/src/a.py"), state("?? x", sha="c2"), Workspace(kind="unknown")]
)


@given(entries=ENTRIES, before=FILES, after=FILES, git_before=STATES, git_after=STATES)
def test_ve2_whatever_is_claimed_nothing_passes_without_a_difference(
    entries: list[str],
    before: dict[str, Seen],
    after: dict[str, Seen],
    git_before: Workspace | None,
    git_after: Workspace | None,
) -> None:
    said = outcome(file_changes=tuple(entries))
    found = checked(said, Before(files=before, workspace=git_before), After(files=after, workspace=git_after))
    assert len(named(found, "file_change")) == len([entry for entry in entries if entry.strip()])
    same = checked(said, Before(files=after, workspace=git_after), After(files=after, workspace=git_after))
    assert "passed" not in {check.result for check in named(same, "file_change")}


# before the launch

PLAN = "plans/a-plan.md"
EXECUTE = {"phase": "execute", "proposal_artifact": PLAN}
CLEAN = "# Plan: mend the parser\n\n1. Verify the input.\n2. Execute the tests.\n"


def issues(text: str | None, payload: Mapping[str, Any] = EXECUTE) -> tuple[str, ...]:
    return input_issues(payload, {PLAN: text})


@pytest.mark.parametrize("phase", ["", "plan", "research", None, 7])
def test_only_execute_and_verify_have_inputs(phase: object) -> None:
    assert input_issues({"phase": phase, "proposal_artifact": PLAN}, {}) == ()


def test_each_phase_names_its_inputs() -> None:
    assert inputs({"phase": "execute"}) == ("proposal_artifact",)
    assert inputs({"phase": "verify"}) == ("proposal_artifact", "implementation_artifact")


def test_an_input_has_to_be_named_and_there() -> None:
    assert issues(None) == (f"proposal_artifact {PLAN} does not exist",)
    assert issues("", {"phase": "execute"}) == ("payload.proposal_artifact is missing",)
    assert issues("", {"phase": "execute", "proposal_artifact": "../a"}) == (
        "payload.proposal_artifact: the path goes upwards",
    )
    both = {"phase": "verify", "proposal_artifact": PLAN, "implementation_artifact": "reports/e.md"}
    assert issues(CLEAN, both) == ("implementation_artifact reports/e.md does not exist",)


def test_an_input_may_be_named_by_an_absolute_path() -> None:
    payload = {"phase": "execute", "proposal_artifact": f"/srv/artifacts/{PLAN}"}
    assert input_issues(payload, {PLAN: CLEAN}, artifact_root="/srv/artifacts") == ()


def outcome_with_follow_up() -> str:
    follow_up = {"kind": "goal-execute", "source": "s", "payload": {"phase": "execute"}}
    return json.dumps({"status": "completed", "summary": "a plan", "follow_up_tasks": [follow_up]})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(CLEAN, id="a plan that speaks of verifying and executing"),
        pytest.param("", id="an empty one"),
        pytest.param("Verify everything first.\n", id="prose, no heading"),
        pytest.param("# Executive summary\n", id="another word with the same beginning"),
        pytest.param("# Plan\n\n## Verification\n", id="not the first heading"),
        pytest.param("---\nkind: goal-plan\nphase: plan\n---\n# Execute the migration\n", id="VE-7 front matter"),
        pytest.param('{"kind": "goal-plan", "phase": "plan", "title": "Verify"}', id="VE-7 a JSON head"),
        pytest.param(outcome_with_follow_up(), id="VE-7 a follow-up of kind goal-execute in JSON"),
        pytest.param("# Plan\n\n```json\n" + outcome_with_follow_up() + "\n```\n", id="VE-7 the same, fenced"),
        pytest.param("```json\n" + outcome_with_follow_up() + "\n```\n", id="VE-7 the same, fenced, at the head"),
        pytest.param("# Plan\n\n```\n# Verify\nkind: goal-execute\n```\n", id="an example in a fence"),
        pytest.param("x" * HEAD_CHARS + "\n# Verify\n**Status:** blocked", id="behind the first 4,000 characters"),
        pytest.param("# Plan\n\nUnblock what is **blocked by** others.\n", id="a bold word of another sense"),
    ],
)
def test_ve7_a_clean_plan_is_let_through(text: str) -> None:
    assert issues(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("# Verify the parser\n", id="a heading: verify"),
        pytest.param("intro\n\n## **Verification** report\n", id="a heading: verification"),
        pytest.param("# Execute: iteration 1\n", id="a heading: execute"),
        pytest.param("# Report\n\n- **Kind:** goal-verify-plan\n", id="a kind: goal-verify-plan"),
        pytest.param("# Report\nKind: `goal-execute`\n", id="a kind: goal-execute"),
        pytest.param("---\nkind: goal-execute\n---\n# Plan\n", id="VE-7 front matter: kind"),
        pytest.param("---\nphase: 'verify-execute'\n---\n# Plan\n", id="VE-7 front matter: phase"),
        pytest.param('{"phase": "execute", "title": "a plan"}', id="VE-7 JSON: execute"),
        pytest.param('\n{"title": "a \\"plan\\"", "phase" : "verify-plan"}', id="VE-7 JSON: verify-plan"),
        pytest.param('```json\n{"a": {"phase": "x"}, "phase": "verify-execute"}\n```', id="VE-7 JSON: verify-execute"),
        pytest.param('{"phase": "execute", "log": "' + "x" * HEAD_CHARS, id="VE-7 JSON that is cut"),
        pytest.param("# Plan\n\n**Status:** blocked\n", id="a bold blocked status"),
        pytest.param("# Plan\n\n- **Status: Blocked** on access\n", id="a bold blocked status with a reason"),
        pytest.param("---\nkind: goal-plan\nstatus: blocked\n---\n", id="VE-7 a blocked status in the front matter"),
        pytest.param("# Plan\n\nThis requires elevated permissions.\n", id="a permission that is asked for"),
    ],
)
def test_ve7_a_polluted_plan_is_an_issue(text: str) -> None:
    found = issues(text)
    assert len(found) == 1
    assert found[0].startswith(f"proposal_artifact {PLAN} ")


@pytest.mark.parametrize(
    ("text", "is_clean"),
    [
        ("# Execute: iteration 1\n**Status:** blocked\n", True),
        ("---\nkind: goal-execute\nphase: execute\n---\n# Verification of the build\n", True),
        ("# Verify: iteration 1\n", False),
        ("# Report\nKind: goal-verify-execute\n", False),
        ('{"phase": "verify-execute"}', False),
    ],
)
def test_ve7_a_report_of_an_execution_is_not_one_of_a_verification(text: str, is_clean: bool) -> None:  # noqa: FBT001
    payload = {"phase": "verify", "proposal_artifact": PLAN, "implementation_artifact": "reports/e.md"}
    assert (input_issues(payload, {PLAN: CLEAN, "reports/e.md": text}) == ()) is is_clean


@given(text=st.text(max_size=200) | st.text(alphabet='{}[]":,\\-#*\n kindphase', max_size=60))
def test_any_text_can_be_looked_at(text: str) -> None:
    assert len(issues(text)) <= 1


@pytest.mark.parametrize("text", ['{"' * HEAD_CHARS, '{"\\' * HEAD_CHARS, '"' * HEAD_CHARS, "{" + '"a\\"' * HEAD_CHARS])
def test_ve9_hostile_text_is_looked_at_quickly(text: str) -> None:
    began_s = time.process_time()
    issues(text)
    assert time.process_time() - began_s < 0.5

"""A real git tells the state of a workspace and runs nothing of the repository's; failure is a value (BN-2, 3, 6)."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import git_state
from adapters.artifacts import snapshot, survey, write_atomic
from adapters.git_state import workspace
from domain.managed_path import After, Before, Workspace
from domain.outcome import Outcome
from domain.verification import Where, verify, wanted

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Someone"),
    **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "someone@example.org"),
}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with one commit: two files and a folder."""
    made = tmp_path / "repo"
    (made / "sub").mkdir(parents=True)
    git(made, "init", "--quiet", "--initial-branch=main")
    (made / "a.txt").write_text("a\n")
    (made / "sub" / "b.txt").write_text("b\n")
    git(made, "add", ".")
    git(made, "commit", "--quiet", "--message=first")
    return made


def test_a_clean_workspace_is_told_by_its_commit(repo: Path) -> None:
    assert workspace(str(repo)) == Workspace(
        kind="git",
        root=str(repo),
        repo_root=str(repo),
        sha=git(repo, "rev-parse", "HEAD"),
        dirty=False,
    )


def test_a_folder_of_a_repository_knows_the_repositorys_root(repo: Path) -> None:
    found = workspace(str(repo / "sub"))
    assert (found.kind, found.root, found.repo_root) == ("git", str(repo / "sub"), str(repo))


def test_a_workspace_behind_a_link_is_told_by_its_real_path(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(repo)
    found = workspace(str(tmp_path / "link"))
    assert (found.kind, found.root, found.repo_root) == ("git", str(repo), str(repo))


def test_each_changed_path_is_listed_from_the_repositorys_root(repo: Path) -> None:
    (repo / "a.txt").write_text("changed\n")
    (repo / "sub" / "b.txt").unlink()
    (repo / "staged.txt").write_text("s\n")
    git(repo, "add", "staged.txt")
    (repo / "new folder").mkdir()
    (repo / "new folder" / "größe\n-> x.txt").write_text("n\n")
    found = workspace(str(repo / "sub"))
    assert found.dirty is True
    assert sorted(found.status) == [" D sub/b.txt", " M a.txt", "?? new folder/größe\n-> x.txt", "A  staged.txt"]
    assert (found.is_cut, found.why) == (False, "")
    assert len(found.diff_sha256) == 64


def test_a_rename_is_listed_as_a_path_that_went_and_one_that_came(repo: Path) -> None:
    git(repo, "mv", "a.txt", "c.txt")
    assert sorted(workspace(str(repo)).status) == ["A  c.txt", "D  a.txt"]


def test_a_conflict_is_listed(repo: Path) -> None:
    git(repo, "checkout", "--quiet", "-b", "other")
    (repo / "a.txt").write_text("other\n")
    git(repo, "commit", "--quiet", "--all", "--message=other")
    git(repo, "checkout", "--quiet", "main")
    (repo / "a.txt").write_text("main\n")
    git(repo, "commit", "--quiet", "--all", "--message=main")
    subprocess.run(["git", "merge", "--quiet", "other"], cwd=repo, env=ENVIRONMENT, check=False, capture_output=True)
    assert workspace(str(repo)).status == ("UU a.txt",)


def test_a_file_that_was_only_touched_is_clean(repo: Path) -> None:
    os.utime(repo / "a.txt", (1, 1))
    assert workspace(str(repo)).dirty is False


def test_before_its_first_commit_a_repository_has_no_sha(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a.txt").touch()
    found = workspace(str(tmp_path))
    assert (found.kind, found.sha, found.dirty, found.status) == ("git", "", True, ("?? a.txt",))


def edit(repo: Path) -> None:
    (repo / "a.txt").write_text("2\n")


def stage(repo: Path) -> None:
    git(repo, "add", "a.txt")


def edit_untracked(repo: Path) -> None:
    (repo / "new.txt").write_text("2\n")


def make_executable(repo: Path) -> None:
    (repo / "a.txt").chmod(0o755)


def turn_link(repo: Path) -> None:
    (repo / "link").unlink()
    (repo / "link").symlink_to("sub")


@pytest.mark.parametrize("step", [edit, stage, edit_untracked, make_executable, turn_link])
def test_bn3_the_digest_of_a_dirty_workspace_changes_with_what_is_in_it(
    repo: Path, step: Callable[[Path], None]
) -> None:
    (repo / "a.txt").write_text("1\n")
    (repo / "new.txt").write_text("1\n")
    (repo / "link").symlink_to("a.txt")
    first, again = workspace(str(repo)), workspace(str(repo))
    step(repo)
    then = workspace(str(repo))
    assert first.diff_sha256 == again.diff_sha256 != ""
    assert then.diff_sha256 not in ("", first.diff_sha256)


def test_bn3_the_digest_does_not_depend_on_where_and_when(repo: Path, tmp_path: Path) -> None:
    edit(repo)
    there = tmp_path / "there"
    git(tmp_path, "clone", "--quiet", str(repo), str(there))
    edit(there)
    assert workspace(str(there)).diff_sha256 == workspace(str(repo)).diff_sha256 != ""


def test_what_goes_over_a_bound_is_cut_and_said_so(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        (repo / f"{number}.txt").write_text("x")
    monkeypatch.setattr(git_state, "GIT_STATUS_LINES_MAX", 4)
    assert (len(workspace(str(repo)).status), workspace(str(repo)).is_cut) == (4, False)
    monkeypatch.setattr(git_state, "GIT_STATUS_LINES_MAX", 3)
    found = workspace(str(repo))
    assert (len(found.status), found.is_cut, found.dirty, found.diff_sha256) == (3, True, True, "")
    assert found.why == "there are too many changes"


def test_more_output_than_is_read_is_cut_and_still_dirty(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(100):
        (repo / f"{number}.txt").touch()
    monkeypatch.setattr(git_state, "GIT_OUTPUT_BYTES_MAX", 300)
    found = workspace(str(repo))
    assert (found.kind, found.is_cut, found.dirty, found.diff_sha256) == ("git", True, True, "")
    assert 0 < len(found.status) < 100
    assert all(line.endswith(".txt") for line in found.status)


def test_changed_files_that_are_too_large_have_no_digest(repo: Path) -> None:
    with (repo / "sparse").open("wb") as file:
        file.truncate(1 << 42)
    found = workspace(str(repo))
    assert (found.kind, found.dirty, found.status, found.diff_sha256) == ("git", True, ("?? sparse",), "")
    assert "too large" in found.why


# what is not known


def test_bn2_a_folder_without_a_repository_says_so_and_not_that_it_is_clean(tmp_path: Path) -> None:
    assert workspace(str(tmp_path)) == Workspace(kind="no-repo", root=str(tmp_path))


def damage(repo: Path) -> Path:
    (repo / ".git" / "HEAD").unlink()
    return repo


def damage_index(repo: Path) -> Path:
    (repo / ".git" / "index").write_bytes(b"no index")
    return repo


def point_elsewhere(repo: Path) -> Path:
    (repo.parent / "elsewhere").mkdir()
    git(repo, "config", "core.worktree", str(repo.parent / "elsewhere"))
    return repo


def inside_of_git(repo: Path) -> Path:
    return repo / ".git"


def bare(repo: Path) -> Path:
    made = repo.parent / "bare"
    git(repo, "clone", "--quiet", "--bare", str(repo), str(made))
    return made


def missing(repo: Path) -> Path:
    return repo / "none"


def a_file(repo: Path) -> Path:
    return repo / "a.txt"


def bad_config(repo: Path) -> Path:
    (repo / ".git" / "config").write_text("[core\n")
    return repo


def filter_that_stays_on(repo: Path) -> Path:
    with (repo / ".git" / "config").open("a") as config:
        config.write('[filter "a=b"]\n\tclean = false\n')
    return repo


@pytest.mark.parametrize(
    "make",
    [damage, damage_index, point_elsewhere, inside_of_git, bare, missing, a_file, bad_config, filter_that_stays_on],
)
def test_bn6_what_git_cannot_tell_is_unknown_with_a_reason(repo: Path, make: Callable[[Path], Path]) -> None:
    found = workspace(str(make(repo)))
    assert (found.kind, found.dirty, found.sha, found.status) == ("unknown", None, "", ())
    assert found.why


@pytest.mark.parametrize("folder", ["", ".", "repo", "/a\0b", "/nonexistent", "/\udcff"])
def test_bn6_a_folder_that_cannot_be_is_unknown(repo: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.parent)
    found = workspace(folder)
    assert found.kind == "unknown"
    assert found.why.encode()
    assert found.root.encode("utf-8", "strict") is not None


def test_bn6_without_git_the_state_is_unknown(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = executable(repo / "git", f"touch {shlex.quote(str(tmp_path / 'canary'))}")
    assert canary.exists()
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", str(tmp_path / "none")]))
    monkeypatch.chdir(repo)
    found = workspace(str(repo))
    assert (found.kind, found.why) == ("unknown", "git is not installed")
    assert not (tmp_path / "canary").exists()


def executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_bn6_a_git_that_does_not_answer_is_given_up_with_all_it_started(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    wait = f"import os, signal; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); signal.pause()"
    executable(tmp_path / "bin" / "git", f"{shlex.join([sys.executable, '-c', wait])} & wait")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    began_s = time.monotonic()
    found = workspace(str(repo), timeout_s=1.0)
    assert (found.kind, found.why) == ("unknown", "git did not answer in time")
    assert time.monotonic() - began_s < 5.0
    pid = int((tmp_path / "pid").read_text())
    deadline_s = time.monotonic() + 5.0
    while is_running(pid) and time.monotonic() < deadline_s:  # its adoptive parent reaps it
        os.sched_yield()
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in ("Z", "X")


def test_bn6_no_time_at_all_is_unknown(repo: Path) -> None:
    assert workspace(str(repo), timeout_s=0.0).why == "git did not answer in time"


# an outcome, held against what is really there


def test_ve2_what_an_agent_did_passes_and_what_it_only_says_does_not(repo: Path, tmp_path: Path) -> None:
    (repo / "same.txt").write_text("untracked before the run\n")
    artifacts = tmp_path / "artifacts"
    write_atomic(str(artifacts), "reports/old.md", b"from another run")
    where = Where(artifact_root=str(artifacts), roots=(str(repo / "sub"), str(repo)))
    payload = {"required_artifacts": ["reports/new.md", "reports/old.md"]}
    said = Outcome(
        status="completed",
        operator_summary="Done.",
        status_source="json",
        file_changes=(
            *(
                "modified sub/b.txt - faster",
                "created made.py",
                "renamed ./a.txt -> sub/moved.txt",
                "deleted ./none.py",
            ),
            *("updated same.txt", f"created {repo}/lie.py", "created /etc/passwd", "updated the tests"),
        ),
        artifact_paths=("state/artifacts/reports/new.md", str(artifacts / "reports" / "old.md")),
    )
    before_wanted = wanted(payload, None, where)
    before = Before(
        artifacts=snapshot(where.artifact_root, before_wanted.artifacts),
        files=survey(before_wanted.workspace_paths),
        workspace=workspace(where.roots[0]),
    )
    for path in repo.rglob("*.txt"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    started_us = time.time_ns() // 1000

    (repo / "sub" / "b.txt").write_text("faster\n")
    (repo / "sub" / "made.py").touch()
    (repo / "a.txt").rename(repo / "sub" / "moved.txt")
    write_atomic(str(artifacts), "reports/new.md", b"from this run")

    after_wanted = wanted(payload, said, where)
    after = After(
        artifacts=snapshot(where.artifact_root, after_wanted.artifacts),
        files=survey(after_wanted.workspace_paths),
        workspace=workspace(where.roots[0]),
    )
    checks = verify(said, payload, "Do it.", before, after, started_us=started_us, where=where)
    assert [(check.path.removeprefix(f"{repo}/"), check.result) for check in checks if check.path] == [
        ("reports/new.md", "passed"),
        ("reports/old.md", "failed"),
        ("reports/new.md", "passed"),
        ("reports/old.md", "failed"),
        ("sub/b.txt", "passed"),
        ("made.py", "passed"),
        ("sub/moved.txt", "passed"),
        ("./none.py", "unverifiable"),
        ("same.txt", "failed"),
        ("lie.py", "failed"),
        ("/etc/passwd", "unverifiable"),
        ("the tests", "unverifiable"),
    ]


# what belongs to the repository is not carried out


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that exists once a program of the repository has run."""
    return tmp_path / "canary"


def hostile(repo: Path, canary: Path) -> None:
    """Everything that a repository can set to have a program run while its state is asked for."""
    touch = str(executable(repo.parent / "touch-canary", f"touch {shlex.quote(str(canary))}; cat"))
    for name in ("post-index-change", "pre-commit", "post-checkout", "fsmonitor-watchman", "reference-transaction"):
        executable(repo / ".git" / "hooks" / name, f"touch {shlex.quote(str(canary))}")
    for key, value in {
        "core.fsmonitor": touch,
        "core.hooksPath": str(repo / ".git" / "hooks"),
        "core.pager": touch,
        "core.sshCommand": touch,
        "core.editor": touch,
        "credential.helper": touch,
        "diff.external": touch,
        "diff.evil.textconv": touch,
        "diff.evil.command": touch,
        "filter.evil.clean": touch,
        "filter.evil.smudge": touch,
        "filter.evil.required": "true",
        "filter.Spoken Evil.process": touch,
        "alias.status": f"!{touch}",
        "pager.status": "true",
        "status.submoduleSummary": "true",
        "diff.submodule": "log",
        "interactive.diffFilter": touch,
        "gpg.program": touch,
        "uploadpack.packObjectsHook": touch,
        "remote.origin.url": f"ext::{touch}",
        "remote.origin.promisor": "true",
        "protocol.ext.allow": "always",
        "submodule.recurse": "true",
    }.items():
        git(repo, "config", key, value)
    (repo / ".gitattributes").write_text("*.txt diff=evil filter=evil\n*.md filter=Spoken\\ Evil\n")
    (repo / "a.txt").write_text("changed\n")
    (repo / "new.txt").write_text("new\n")
    os.utime(repo / "sub" / "b.txt", (1, 1))  # git has to read it to know that it is as it was


def test_bn6_nothing_that_a_hostile_repository_sets_is_run(repo: Path, canary: Path) -> None:
    hostile(repo, canary)
    found = workspace(str(repo))
    assert not canary.exists()
    assert sorted(found.status) == [" M a.txt", "?? .gitattributes", "?? new.txt"]
    assert len(found.diff_sha256) == 64


def test_the_hostile_repository_is_one(repo: Path, canary: Path) -> None:
    """Asked without care, it does run its programs: the test above can fail."""
    hostile(repo, canary)
    subprocess.run(["git", "status"], cwd=repo, env=ENVIRONMENT, check=False, capture_output=True)
    assert canary.exists()


@pytest.mark.parametrize("key", ["core.fsmonitor", "filter.evil.clean", "filter.evil.process"])
def test_each_of_the_dangerous_settings_is_off_by_itself(repo: Path, canary: Path, key: str) -> None:
    touch = str(executable(repo.parent / "touch-canary", f"touch {shlex.quote(str(canary))}; cat"))
    git(repo, "config", key, touch)
    (repo / ".gitattributes").write_text("*.txt filter=evil\n")
    os.utime(repo / "a.txt", (1, 1))
    assert workspace(str(repo)).status == ("?? .gitattributes",)
    assert not canary.exists()
    subprocess.run(["git", "status"], cwd=repo, env=ENVIRONMENT, check=False, capture_output=True)
    assert canary.exists()


def test_a_submodule_is_not_entered(repo: Path, canary: Path) -> None:
    """Its own configuration would count inside of it."""
    inner = repo / "inner"
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repo), "inner")
    git(repo, "commit", "--quiet", "--all", "--message=inner")
    touch = str(executable(repo.parent / "touch-canary", f"touch {shlex.quote(str(canary))}; cat"))
    git(inner, "config", "core.fsmonitor", touch)
    git(inner, "config", "filter.evil.clean", touch)
    (repo / ".git" / "modules" / "inner" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "modules" / "inner" / "info" / "attributes").write_text("*.txt filter=evil\n")
    (inner / "a.txt").write_text("changed\n")
    canary.unlink(missing_ok=True)
    assert workspace(str(repo)).kind == "git"
    assert not canary.exists()


def test_a_repository_cannot_name_a_file_that_hides_its_changes(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "ignore").write_text("*\n")
    git(repo, "config", "core.excludesFile", str(tmp_path / "ignore"))
    (repo / "new.txt").touch()
    assert workspace(str(repo)).status == ("?? new.txt",)


def test_our_own_settings_and_environment_do_not_count(
    repo: Path, tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    touch = str(executable(tmp_path / "touch-canary", f"touch {shlex.quote(str(canary))}"))
    (home / ".gitconfig").write_text(f"[core]\n\tfsmonitor = {touch}\n\texcludesFile = {home / 'ignore'}\n")
    (home / "ignore").write_text("*\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    (repo / "new.txt").touch()
    assert workspace(str(repo)).status == ("?? new.txt",)
    assert not canary.exists()
    assert not (tmp_path / "trace").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_repository_of_another_owner_is_told_all_the_same(repo: Path) -> None:
    for path in (repo, repo / ".git", repo / ".git" / "config"):
        os.chown(path, 65_534, 65_534)
    assert workspace(str(repo)).kind == "git"


def test_asking_writes_nothing_into_the_repository(repo: Path) -> None:
    os.utime(repo / "a.txt", (1, 1))  # a reason for git to refresh its index
    before = {path: path.stat().st_mtime_ns for path in (repo / ".git").rglob("*")}
    assert workspace(str(repo)).dirty is False
    assert {path: path.stat().st_mtime_ns for path in (repo / ".git").rglob("*")} == before


def test_a_fifo_in_the_workspace_does_not_hang(repo: Path) -> None:
    os.mkfifo(repo / "fifo")
    (repo / "a.txt").unlink()
    os.mkfifo(repo / "a.txt")
    began_s = time.monotonic()
    assert workspace(str(repo)).dirty is True
    assert time.monotonic() - began_s < 5.0

"""`rt bisect`: the commit that changed a decision is found, and revisions that cannot say are passed over."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.commands.place import ROOT, Place

FOLDERS = ("rt_runtime", "domain", "adapters", "commands", "projections", "replays")
RULES = """
[controllers.watcher]
kind = "rules"
rules = [
  {{id = "start", when = "start", then = "tool"}},
  {{id = "end", when = "exit", then = "finish", message = "{message}"}},
]
[profiles.p]
controller = "watcher"
"""


def git(folder: Path, *argv: str) -> str:
    own = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *own, *argv], cwd=folder, capture_output=True, check=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, subject: str) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", subject)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def history(place: Place) -> tuple[Place, dict[str, str]]:
    """A repository whose configuration changes a decision in its fifth commit, and is broken in its third."""
    git(place.folder, "init", "-q", "-b", "main")
    (place.folder / ".gitignore").write_text(".rt/\nrt.toml.lock\n")
    place.config(RULES.format(message="over"))
    shas = {"first": commit(place.folder, "begin")}
    place.ok("do", "--agent", "p", "--", "true")
    (place.folder / "notes").write_text("1\n")
    shas["second"] = commit(place.folder, "write notes")
    (place.folder / "rt.toml").write_text("[broken\n")
    shas["third"] = commit(place.folder, "break it")
    place.config(RULES.format(message="over"))
    shas["fourth"] = commit(place.folder, "mend it")
    place.config(RULES.format(message="at last"))
    shas["fifth"] = commit(place.folder, "say it otherwise")
    for number in range(3):
        (place.folder / "notes").write_text(f"{number}\n")
        shas[f"later {number}"] = commit(place.folder, f"later {number}")
    return place, shas


def bisected(place: Place, *argv: str) -> dict[str, Any]:
    return place.json("bisect", "@last", "--config-file", "rt.toml", *argv)


def test_the_commit_that_changed_the_configuration_is_found(history: tuple[Place, dict[str, str]]) -> None:
    place, shas = history
    found = bisected(place, "--good", shas["first"])
    assert (found["commit"]["sha"], found["commit"]["subject"]) == (shas["fifth"], "say it otherwise")
    assert found["difference"]["event"] == "run.finished"
    text = place.ok("bisect", "@last", "--config-file", "rt.toml", "--good", shas["first"]).text
    assert "say it otherwise" in text
    assert git(place.folder, "worktree", "list").count("\n") == 0, "nothing of it stays"


def test_revisions_that_cannot_say_are_passed_over(history: tuple[Place, dict[str, str]]) -> None:
    place, shas = history
    found = bisected(place, "--good", shas["second"], "--bad", shas["fifth"])
    assert found["commit"]["sha"] == shas["fifth"]
    done = place.rt("bisect", "@last", "--config-file", "rt.toml", "--good", shas["third"])
    assert done.code == 2
    assert "cannot replay" in done.errors


def test_the_commit_that_changed_the_code_is_found(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With the code of rt in the repository, as where it is developed."""
    place.rt("do", "--", "sh", "-c", "exit 3")
    tree = tmp_path_factory.mktemp("code")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    git(tree, "init", "-q", "-b", "main")
    good = commit(tree, "as it is")
    (tree / "README").write_text("x\n")
    commit(tree, "words")
    core = tree / "domain" / "one_shot.py"
    text = core.read_text()
    core.write_text(text.replace('f"exit:{code}"', 'f"code:{code}"'))
    assert core.read_text() != text
    wanted = commit(tree, "another name for causes")
    commit(tree, "more words")
    found = place.json("bisect", "@last", "--repo", str(tree), "--good", good)
    assert found["commit"]["sha"] == wanted
    assert (found["difference"]["event"], found["difference"]["field"]) == ("run.finished", "cause")
    assert (found["difference"]["recorded"], found["difference"]["today"]) == ("exit:3", "code:3")


def test_what_cannot_be_searched_is_said(
    history: tuple[Place, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place, shas = history
    for argv, says in (
        (("--good", shas["first"], "--bad", shas["second"]), "the same"),
        (("--good", shas["fifth"], "--bad", shas["first"]), "must come after"),
        (("--good", "nowhere"), "git says"),
        (("--good", "--bad=x"), "revision"),
        (("--good", shas["first"], "--repo", str(tmp_path_factory.mktemp("none"))), "git says"),
    ):
        done = place.rt("bisect", "@last", "--config-file", "rt.toml", *argv)
        assert done.code == 2, argv
        assert says in done.errors, done

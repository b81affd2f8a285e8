"""An artifact's path has one normal form beneath its root or none, and what was seen twice proves a change (AR-2)."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.bounds import NAME_BYTES_MAX, PATH_BYTES_MAX
from domain.managed_path import MISSING, MTIME_LAG_US, BadPath, Place, Seen, below, components, managed, places, written

ROOT = "/srv/rt/state/artifacts"
STARTED_US = 1_700_000_000_123_456


def refused(path: str, root: str = ROOT) -> str:
    """Why it is refused."""
    with pytest.raises(BadPath) as found:
        managed(path, root)
    return found.value.why


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("plans/a.md", "plans/a.md"),
        ("a.md", "a.md"),
        ("./plans//a.md/", "plans/a.md"),
        ("state/artifacts/plans/a.md", "plans/a.md"),
        ("/state/artifacts/plans/a.md", "plans/a.md"),
        ("deploy/blue/state/artifacts/plans/a.md", "plans/a.md"),
        ("/deploy/blue/state/artifacts/plans/a.md", "plans/a.md"),
        (f"{ROOT}/plans/a.md", "plans/a.md"),
        (f"/{ROOT}/./plans/a.md", "plans/a.md"),
        # prefixes are whole names
        ("state/artifacts-old/a.md", "state/artifacts-old/a.md"),
        ("statement/artifacts/a.md", "statement/artifacts/a.md"),
        ("deploy/state/artifacts/a.md", "deploy/state/artifacts/a.md"),
        ("plans/state/artifacts/a.md", "plans/state/artifacts/a.md"),
        # names that only look bad
        ("plans/...", "plans/..."),
        ("plans/..a", "plans/..a"),
        ("plans/a b - c.md", "plans/a b - c.md"),
        ("plans/größe.md", "plans/größe.md"),
        ("n" * NAME_BYTES_MAX, "n" * NAME_BYTES_MAX),
    ],
)
def test_ar2_a_path_has_one_normal_form(path: str, name: str) -> None:
    assert managed(path, ROOT) == name
    assert managed(name, ROOT) == name


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "is empty"),
        (" ", "holds a name of blanks"),
        ("plans/ /a.md", "holds a name of blanks"),
        (".", "names the artifact folder itself"),
        ("/", "is outside of the artifact folder"),
        ("state/artifacts", "names the artifact folder itself"),
        ("state/artifacts/state/artifacts/a.md", "names the artifact folder inside of itself"),
        (ROOT, "names the artifact folder itself"),
        (f"{ROOT}/state/artifacts/a.md", "names the artifact folder inside of itself"),
        ("..", "goes upwards"),
        ("../a.md", "goes upwards"),
        ("plans/../../a.md", "goes upwards"),
        ("plans/../a.md", "goes upwards"),
        (f"{ROOT}/../a.md", "goes upwards"),
        ("state/artifacts/../../etc/passwd", "goes upwards"),
        ("/etc/passwd", "is outside of the artifact folder"),
        ("/plans/a.md", "is outside of the artifact folder"),
        (f"{ROOT}-old/a.md", "is outside of the artifact folder"),
        ("/srv/rt/state", "is outside of the artifact folder"),
        ("plans\\a.md", "holds a backslash"),
        ("..\\a.md", "holds a backslash"),
        ("plans/a\0.md", "holds a control character"),
        ("plans/a\n.md", "holds a control character"),
        ("plans/a\x7f.md", "holds a control character"),
        ("plans/a\x85.md", "holds a control character"),
        ("plans/a\u2028.md", "holds a control character"),
        ("plans/dm.a\u202e", "holds a control character"),
        ("plans/a\ud800.md", "holds a control character"),
        ("n" * (NAME_BYTES_MAX + 1), f"holds a name of more than {NAME_BYTES_MAX} bytes"),
        ("ß" * (NAME_BYTES_MAX // 2 + 1), f"holds a name of more than {NAME_BYTES_MAX} bytes"),
        ("a/" * (PATH_BYTES_MAX // 2) + "b", f"is longer than {PATH_BYTES_MAX} bytes"),
        ("ß/" * (PATH_BYTES_MAX // 3 + 1), f"is longer than {PATH_BYTES_MAX} bytes"),
    ],
)
def test_ar2_a_bad_path_is_refused_with_the_reason(path: str, why: str) -> None:
    assert refused(path) == why


def test_ar2_a_path_at_the_limit_is_accepted() -> None:
    path = "a/" * ((PATH_BYTES_MAX - 2) // 2) + "bb"
    assert len(path) == PATH_BYTES_MAX
    assert managed(path, ROOT) == path


@pytest.mark.parametrize("root", ["", "state/artifacts", "/srv/../srv/rt/state/artifacts"])
def test_ar2_a_root_that_is_not_absolute_and_plain_holds_no_absolute_path(root: str) -> None:
    assert refused("/srv/rt/state/artifacts/a.md", root) == "is outside of the artifact folder"


PIECES = (
    *("..", ".", "...", "", "/", "//", "\\", "\0", "\n", "\u202e", "\ud800", "%2e%2e", "~", "~root", "C:", "*", " "),
    *("etc", "passwd", "state", "artifacts", "state/artifacts", "deploy", "deploy/x/state/artifacts", "srv", "rt"),
    *(ROOT, ROOT[1:], f"{ROOT}-old", f"{ROOT}/..", "plans", "a.md", "/proc/self/fd/0", "/dev/stdin", "é", "n" * 300),
)


def holds(path: str, root: str = ROOT) -> None:
    """What a path may become: a normal form that stays beneath its root and never changes again; or BadPath."""
    try:
        name = managed(path, root)
    except BadPath:
        return
    assert not name.startswith("/")
    assert all(part not in ("", ".", "..") for part in name.split("/"))
    assert not set(name) & {"\0", "\\", "\n"}
    assert len(name.encode()) <= PATH_BYTES_MAX
    assert managed(name, root) == name
    assert managed(f"{root}/{name}", root) == name
    given_names = [part for part in path.split("/") if part not in ("", ".")]
    assert given_names[-len(name.split("/")) :] == name.split("/")  # the end of what was given, and nothing else


@settings(max_examples=1_000, deadline=None)
@given(seed=st.integers(min_value=0))
def test_ar2_no_hostile_path_leaves_its_root(seed: int) -> None:
    """1,000 times 100 paths, put together from what attacks are made of."""
    draw = random.Random(seed)
    for _ in range(100):
        parts = draw.choices(PIECES, k=draw.randint(1, 7))
        holds(draw.choice(("", "/", "./")) + draw.choice(("/", "/", "")).join(parts))


@settings(max_examples=1_000, deadline=None)
@given(path=st.text(max_size=40) | st.text(alphabet="./\\\0ab~", max_size=20))
def test_ar2_no_text_at_all_leaves_its_root(path: str) -> None:
    holds(path)
    holds(f"{ROOT}/{path}")


def test_a_very_long_path_is_refused_at_once() -> None:
    began_s = time.process_time()
    assert "longer" in refused("a/" * 5_000_000)
    assert time.process_time() - began_s < 0.1


def test_components_keep_an_absolute_path_apart_from_a_relative_one() -> None:
    """They say what the names are; who asks looks at the slash."""
    assert components("/a//b/./c/") == components("a/b/c") == ("a", "b", "c")


# places


def test_ve1_a_relative_path_may_lie_below_each_root_in_their_order() -> None:
    assert places("src/./a.py", ("/w/sub", "/w", "/w")) == (Place("/w/sub", "src/a.py"), Place("/w", "src/a.py"))


def test_ve1_an_absolute_path_lies_below_the_deepest_root_that_holds_it() -> None:
    assert places("/w/sub/a.py", ("/w", "/w/sub")) == (Place("/w/sub", "a.py"),)
    assert places("/w/sub/a.py", ("/w", "/"))[0].path == "/w/sub/a.py"


@pytest.mark.parametrize("path", ["/etc/passwd", "/work/a.py", "/w", "../a.py", "a\0", "", ".", "/w/../etc/passwd"])
def test_ve1_what_lies_in_no_root_has_no_place(path: str) -> None:
    assert places(path, ("/w",)) == ()


@pytest.mark.parametrize(
    ("path", "root", "relative"),
    [("/w/a", "/w", "a"), ("/w", "/w/", ""), ("/work", "/w", None), ("/w/a", "w", None), ("/a/b", "/", "a/b")],
)
def test_a_path_is_below_a_root_by_whole_names(path: str, root: str, relative: str | None) -> None:
    assert below(path, root) == relative


# what was seen


def seen(content: str = "x", mtime_us: int = STARTED_US - 10**9 + 1, *, read: bool = True) -> Seen:
    digest = f"sha-{content}" if read else ""
    return Seen(exists=True, kind="file", sha256=digest, size=len(content), mtime_us=mtime_us)


OLD, YOUNG = STARTED_US - 10**9 + 1, STARTED_US + 5
FOLDER = Seen(exists=True, kind="folder", mtime_us=OLD)
REFUSED = Seen(exists=True, kind="refused", why="is a FIFO")


@pytest.mark.parametrize(
    ("was", "now", "result"),
    [
        pytest.param(MISSING, seen(), "passed", id="created, with an old time"),
        pytest.param(seen("x"), seen("y"), "passed", id="another content of the same size and time"),
        pytest.param(seen("x", read=False), seen("xx"), "passed", id="another size"),
        pytest.param(FOLDER, seen(), "passed", id="a folder became a file"),
        pytest.param(seen("x", read=False), seen("x", YOUNG), "passed", id="a young time, no digest to compare"),
        pytest.param(None, seen("x", YOUNG), "passed", id="unknown before, young"),
        pytest.param(seen(), seen(), "failed", id="untouched"),
        pytest.param(seen(), seen("x", YOUNG), "failed", id="touched"),
        pytest.param(seen("x", read=False), seen("x", OLD + 7), "failed", id="another old time"),
        pytest.param(None, seen(), "failed", id="unknown before, old"),
        pytest.param(seen(), MISSING, "failed", id="gone"),
        pytest.param(MISSING, REFUSED, "unverifiable", id="not looked into"),
    ],
)
def test_ve2_a_difference_proves_that_a_file_was_written_and_existence_does_not(
    was: Seen | None, now: Seen, result: str
) -> None:
    assert written(was, now, STARTED_US).result == result


def test_ve4_writing_the_same_content_again_counts_for_what_the_caller_says() -> None:
    assert written(seen(), seen("x", YOUNG), STARTED_US, same="unverifiable").result == "unverifiable"
    assert written(seen(), seen(), STARTED_US, same="unverifiable").result == "failed"


@pytest.mark.parametrize(
    ("mtime_us", "result"),
    [
        (STARTED_US - MTIME_LAG_US, "passed"),
        (STARTED_US - MTIME_LAG_US - 1, "failed"),
        (STARTED_US - STARTED_US % 1_000_000, "passed"),  # a file system that knows whole seconds only
        (STARTED_US - STARTED_US % 1_000_000 - 1_000_000, "failed"),
    ],
)
def test_a_time_counts_as_young_as_far_as_file_systems_are_exact(mtime_us: int, result: str) -> None:
    assert written(None, seen("x", mtime_us), STARTED_US).result == result

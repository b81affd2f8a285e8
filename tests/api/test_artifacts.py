"""Artifacts over HTTP: files beneath one folder, byte for byte, and nothing from anywhere else."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest

from domain.bounds import HTTP_ARTIFACT_BYTES_MAX, HTTP_PAGE_BYTES_MAX
from tests.api.expected import SECURITY
from tests.api.refusals import check_refusal
from tests.api.serving import WITHIN_S, Served, served, until
from tests.api.wire import Wire, named

CANARY: Final = "canary-from-outside-7731"
DIGITS: Final = bytes(range(256)) * 4
FILE: Final = "/api/v1/artifacts/file"
TEXT: Final = ("/api/v1/artifacts/text", "/api/artifact")
LIST: Final = ("/api/v1/artifacts", "/api/artifacts", "/artifacts")
ALL: Final = (FILE, *TEXT, *LIST)
HOSTILE: Final = (
    "..", "../secret", "reports/../../secret", "../../../../../../etc/passwd", "/etc/passwd", "//etc/passwd", "~/x",
    "reports/..", "./../secret", "a\\..\\..\\x", "..\\secret", "reports/a.txt\0", "\0", "a\nb", "reports/\x1b[31m",
    "reports/\u202etxt.a", "x" * 300, "a/" * 400 + "a", "reports/a.txt/", "reports/a.txt/b", "none", "reports/none",
    "link/..", " ", "reports/ /a.txt", "file:///etc/passwd", "http://evil.example/", "%2e%2e/secret", "..%2fsecret",
    "....//secret", "reports//..//..//secret", "C:\\windows", "\\\\host\\share", "CON", ".rt/tokens.json",
    "../tokens.json", "../log.db", "/proc/self/environ", "/dev/stdin", "reports/\u2028x", "\ufeffreports/a.txt",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("artifacts") / "home"
    with served(folder) as found:
        fill(folder)
        yield found


def fill(folder: Path) -> None:
    """Files, folders, and everything that is neither, inside; a secret, outside."""
    (folder / "secret").write_text(CANARY)
    (folder / "outside").mkdir()
    (folder / "outside" / "secret").write_text(CANARY)
    root = folder / ".rt" / "artifacts"
    (root / "reports" / "deep").mkdir(parents=True)
    (root / "reports" / "a.txt").write_text("hello\nworld\n")
    (root / "reports" / "bytes").write_bytes(DIGITS)
    (root / "reports" / "empty").touch()
    (root / "reports" / "b ä <b>.html").write_text("<script>alert(1)</script>")
    (root / "big").write_bytes(b"y" * (HTTP_PAGE_BYTES_MAX + 1))
    (root / "link").symlink_to(folder / "secret")
    (root / "linked").symlink_to(folder / "outside")
    (root / "reports" / "up").symlink_to("../..")
    (root / "reports" / "inside").symlink_to("a.txt")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nowhere")
    (root / "device").symlink_to("/dev/zero")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(root)  # such names are short
        try:
            made.bind("socket")
        finally:
            os.chdir(here)
    with suppress(PermissionError):
        os.mknod(root / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))


@pytest.fixture
def client(place: Served) -> Iterator[httpx.Client]:
    with place.client("read") as found:
        yield found


# lists and texts


@pytest.mark.parametrize("path", LIST)
def test_a_folder_is_listed_with_folders_first_and_what_is_no_file_is_told_as_such(
    client: httpx.Client, path: str
) -> None:
    top = client.get(path).json()
    assert (top["path"], top["type"]) == ("", "directory")
    kinds = {each["name"]: each["type"] for each in top["entries"]}
    assert kinds["reports"] == "directory"
    assert kinds["big"] == "file"
    assert {kinds[name] for name in ("link", "linked", "loop", "dangling", "fifo", "socket")} == {"other"}
    assert [each["type"] for each in top["entries"]] == sorted(
        (each["type"] for each in top["entries"]), key=lambda kind: kind != "directory"
    )
    inner = client.get(path, params={"path": "reports"}).json()
    named_as = {each["name"]: each for each in inner["entries"]}
    assert inner["entries"][0]["name"] == "deep"
    assert (named_as["a.txt"]["path"], named_as["a.txt"]["size"]) == ("reports/a.txt", 12)
    assert named_as["a.txt"]["updated_at"].endswith("Z")
    assert client.get(path, params={"path": "reports/deep"}).json()["entries"] == []


@pytest.mark.parametrize("path", LIST)
def test_a_file_is_told_with_its_size(client: httpx.Client, path: str) -> None:
    found = client.get(path, params={"path": "reports/a.txt"}).json()
    assert (found["path"], found["type"], found["size"]) == ("reports/a.txt", "file", 12)


def test_a_home_without_artifacts_lists_none(own: Served) -> None:
    with own.client("read") as client:
        assert client.get("/api/v1/artifacts").json()["entries"] == []


@pytest.mark.parametrize("path", TEXT)
def test_a_text_comes_as_json_and_says_when_it_is_cut(client: httpx.Client, path: str) -> None:
    found = client.get(path, params={"path": "reports/a.txt"}).json()
    assert (found["content"], found["size"], found["cut"]) == ("hello\nworld\n", 12, False)
    big = client.get(path, params={"path": "big"}).json()
    assert (len(big["content"]), big["size"], big["cut"]) == (HTTP_PAGE_BYTES_MAX, HTTP_PAGE_BYTES_MAX + 1, True)
    odd = client.get(path, params={"path": "reports/bytes"}).json()
    assert odd["content"] == DIGITS.decode("utf-8", "replace")
    assert client.get(path, params={"path": "reports/empty"}).json()["content"] == ""


# files


def test_a_file_comes_as_it_is_and_never_as_a_page(client: httpx.Client) -> None:
    for name in ("reports/a.txt", "reports/bytes", "reports/empty", "reports/b ä <b>.html", "big"):
        answer = client.get(FILE, params={"path": name})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/octet-stream"
        last = quote(name.rpartition("/")[2], safe="")
        assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{last}"
        wanted = SECURITY | {"accept-ranges": "bytes", "cache-control": "no-store"}
        wanted["content-security-policy"] += ", sandbox"  # two policies, which both hold
        assert answer.headers.items() >= wanted.items()
        assert int(answer.headers["content-length"]) == len(answer.content)
    assert client.get(FILE, params={"path": "reports/bytes"}).content == DIGITS


@pytest.mark.parametrize(
    ("given", "begin", "end"),
    [
        ("bytes=0-0", 0, 1), ("bytes=0-", 0, 1024), ("bytes=10-19", 10, 20), ("bytes=1000-", 1000, 1024),
        ("bytes=1023-1023", 1023, 1024), ("bytes=1000-99999", 1000, 1024), ("bytes=-1", 1023, 1024),
        ("bytes=-24", 1000, 1024), ("bytes=-99999", 0, 1024), ("bytes=0-1023", 0, 1024),
    ],
)  # fmt: skip
def test_a_range_is_exactly_those_bytes(client: httpx.Client, given: str, begin: int, end: int) -> None:
    answer = client.get(FILE, params={"path": "reports/bytes"}, headers={"range": given})
    assert (answer.status_code, answer.content) == (206, DIGITS[begin:end])
    assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/1024"
    head = client.head(FILE, params={"path": "reports/bytes"}, headers={"range": given})
    assert (head.status_code, head.content, head.headers["content-length"]) == (206, b"", str(end - begin))


@pytest.mark.parametrize("given", ["bytes=1024-", "bytes=9999-99999", "bytes=-0"])
def test_a_range_that_the_file_does_not_have_is_refused_with_its_size(client: httpx.Client, given: str) -> None:
    answer = client.get(FILE, params={"path": "reports/bytes"}, headers={"range": given})
    assert (answer.status_code, answer.json()["code"]) == (416, "http.range")
    assert answer.headers["content-range"] == "bytes */1024"


@pytest.mark.parametrize(
    "given", ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=0-1,5-6", "bytes=1.5-2", "x" * 500]
)
def test_a_range_of_another_form_is_passed_over(client: httpx.Client, given: str) -> None:
    answer = client.get(FILE, params={"path": "reports/bytes"}, headers={"range": given})
    assert (answer.status_code, answer.content) == (200, DIGITS)


@pytest.mark.parametrize(("more", "status"), [(-1, 206), (0, 206), (1, 413)])
def test_a_file_is_at_most_so_large(place: Served, client: httpx.Client, more: int, status: int) -> None:
    path = place.folder / ".rt" / "artifacts" / "large"
    with path.open("wb") as file:
        file.truncate(HTTP_ARTIFACT_BYTES_MAX + more)  # a hole: nothing is written
    answer = client.get(FILE, params={"path": "large"}, headers={"range": "bytes=0-9"})
    assert answer.status_code == status


def test_a_client_that_goes_away_in_the_middle_leaves_the_server_well(place: Served, client: httpx.Client) -> None:
    path = place.folder / ".rt" / "artifacts" / "long"
    with path.open("wb") as file:
        file.truncate(HTTP_ARTIFACT_BYTES_MAX)
    for _ in range(3):
        with Wire(place.port) as wire:
            wire.send(f"GET {FILE}?path=long HTTP/1.1\r\n".encode())
            headers = named(place.port, place.token("read"))
            wire.send("".join(f"{name}: {value}\r\n" for name, value in headers).encode() + b"\r\n")
            assert wire.head().status == 200
    assert client.get(FILE, params={"path": "reports/bytes"}).content == DIGITS


# what is not for anybody


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    "name",
    [
        "link", "linked/secret", "linked/", "linked", "reports/up/secret", "reports/up/../secret", "reports/inside",
        "reports/up", "loop", "dangling", "device", "fifo", "socket", "zero",
    ],
)  # fmt: skip
def test_nothing_is_followed_and_nothing_that_is_no_file_is_opened(
    place: Served, client: httpx.Client, path: str, name: str
) -> None:
    """Soon: a FIFO without a writer would hang for ever."""
    answer = client.get(path, params={"path": name})
    assert check_refusal(answer, place)["code"] in ("artifact.not_found", "rt.invalid")
    assert CANARY not in answer.text


@pytest.mark.parametrize("path", ALL)
def test_no_path_of_any_form_leads_outside(place: Served, client: httpx.Client, path: str) -> None:
    for name in HOSTILE:
        answer = client.get(path, params={"path": name})
        assert CANARY.encode() not in answer.content
        assert b"root:" not in answer.content
        if answer.status_code != 200:
            check_refusal(answer, place)
        else:
            assert name.strip("/") in ("reports/a.txt", "etc/passwd"), name


@pytest.mark.parametrize("path", ALL)
@pytest.mark.parametrize(
    "raw", ["..%2f..%2fsecret", "%2e%2e/secret", "..%5csecret", "reports/a.txt%00", "%ff", "%ed%a0%80", "%c0%ae%c0%ae"]
)
def test_no_spelling_of_a_path_leads_outside(place: Served, path: str, raw: str) -> None:
    with Wire(place.port) as wire:
        reply = wire.ask("GET", f"{path}?path={raw}", named(place.port, place.token("read")))
    assert 400 <= reply.status < 500
    assert CANARY.encode() not in reply.body


def test_an_absolute_path_is_no_artifact(place: Served, client: httpx.Client) -> None:
    """Also one that leads to an artifact: what is asked for is beneath the folder, by its name there."""
    whole = str(place.folder / ".rt" / "artifacts" / "reports" / "a.txt")
    assert client.get(FILE, params={"path": whole}).status_code in (404, 422)


SWAPPING: Final = """
import ctypes, os, sys
root, outside = sys.argv[1:]
os.chdir(root)
os.mkdir("swapped")
for name in ("swap", "swapped/secret"):
    with open(name, "w") as file: file.write("inside")
os.symlink(outside + "/secret", "link")
os.symlink(outside, "linked")
libc, here, exchange = ctypes.CDLL(None, use_errno=True), -100, 2
while True:
    for one, other in ((b"swap", b"link"), (b"swapped", b"linked")):
        if libc.renameat2(here, one, here, other, exchange): sys.exit(os.strerror(ctypes.get_errno()))
"""


@contextmanager
def swapping(place: Served) -> Iterator["subprocess.Popen[bytes]"]:
    """A child that exchanges a file and a folder with links to the outside, all the time and in no time."""
    root = place.folder / ".rt" / "artifacts" / "race"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    child = subprocess.Popen([sys.executable, "-c", SWAPPING, str(root), str(place.folder / "outside")])
    try:
        yield child
    finally:
        child.kill()
        child.wait(WITHIN_S)


@pytest.mark.parametrize("path", [FILE, *TEXT])
def test_a_file_that_becomes_a_link_in_the_middle_delivers_nothing_from_outside(
    place: Served, client: httpx.Client, path: str
) -> None:
    seen: dict[Any, int] = {}
    with swapping(place) as child:
        until((place.folder / ".rt" / "artifacts" / "race" / "linked").exists, "it has begun")
        ends_s = time.monotonic() + 2
        while time.monotonic() < ends_s or 200 not in seen:
            for name in ("race/swap", "race/swapped/secret", "race/linked/secret"):
                answer = client.get(path, params={"path": name})
                assert CANARY.encode() not in answer.content
                assert answer.status_code in (200, 404)
                seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
            assert time.monotonic() < ends_s + WITHIN_S
        assert child.poll() is None, "it swapped to the end"
    assert {200, 404} <= set(seen), "both were met"


def test_a_folder_that_becomes_a_link_in_the_middle_lists_nothing_from_outside(
    place: Served, client: httpx.Client
) -> None:
    (place.folder / "outside" / CANARY).touch()
    with swapping(place):
        until((place.folder / ".rt" / "artifacts" / "race" / "linked").exists, "it has begun")
        ends_s = time.monotonic() + 1
        while time.monotonic() < ends_s:
            answer = client.get("/api/v1/artifacts", params={"path": "race/swapped"})
            assert answer.status_code in (200, 404)
            assert CANARY not in answer.text

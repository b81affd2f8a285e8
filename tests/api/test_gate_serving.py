"""How a server starts and is refused: one a home, nothing in the clear by mistake, and nothing lost by a kill."""

import datetime as dt
import ipaddress
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.api.expected import SECURITY
from tests.api.serving import WITHIN_S, Served, environment, run, served, until
from tests.api.wire import Wire, named

SOON_S = 20.0  # "a few seconds" on a slow machine
TLS = ("--tls-cert", "../cert.pem", "--tls-key", "../key.pem")


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for this machine, signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("certified")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder


@pytest.fixture(scope="module")
def secure(certified: Path) -> Iterator[Served]:
    with served(certified / "home", *TLS) as found:
        yield found


@pytest.fixture
def trusting(secure: Served, certified: Path) -> Iterator[httpx.Client]:
    """A client that knows the certificate."""
    context = ssl.create_default_context(cafile=str(certified / "cert.pem"))
    with httpx.Client(base_url=secure.url, verify=context, timeout=WITHIN_S, trust_env=False) as client:
        yield client


def refused(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """How a server was refused: its exit status, the error's code, and all that it said; it took a few seconds."""
    folder.mkdir(exist_ok=True)
    started_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "rt_runtime", "serve", "--json", *arguments],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=WITHIN_S, check=False,
    )  # fmt: skip
    assert time.monotonic() - started_s < SOON_S
    assert "Traceback" not in done.stderr
    error = json.loads(next(line for line in done.stderr.splitlines() if line.startswith("{")))["error"]
    return done.returncode, error["code"], f"{error['message']}\n{error['hint']}"


# one server a home


def test_a_second_server_of_a_home_is_refused_and_names_the_first_one(shared: Served) -> None:
    code, error, said = refused(shared.folder, "--port", "0")
    assert (code, error) == (5, "serve.running")
    assert f"process {shared.process.pid} on {shared.url}" in said
    with shared.client() as client:
        assert client.get("/api/v1/health").status_code == 200


def test_a_port_that_is_taken_is_named_with_another_one_and_the_home_stays_free(tmp_path: Path) -> None:
    run(tmp_path, "init")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, error, said = refused(tmp_path, "--port", str(port))
        assert (code, error) == (5, "serve.port_taken")
        assert f"127.0.0.1 port {port}" in said
        assert f"rt serve --port {port + 1}" in said
        with served(tmp_path) as found, found.client() as client:
            assert client.get("/api/v1/health").status_code == 200


@pytest.mark.parametrize("port", ["-1", "65536", "x", ""])
def test_a_port_that_is_none_is_a_wrong_command_line(tmp_path: Path, port: str) -> None:
    assert run(tmp_path, "serve", f"--port={port}", check=False).returncode == 2


def test_the_last_port_can_be_taken_too(tmp_path: Path) -> None:
    """There is no port behind it that could be proposed."""
    run(tmp_path, "init")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 65_535))
        except OSError:
            pass  # somebody else has it: as good
        else:
            taken.listen()
        code, error, said = refused(tmp_path, "--port", "65535")
    assert (code, error) == (5, "serve.port_taken")
    assert "65536" not in said


# beyond this machine


@pytest.mark.parametrize(
    "arguments",
    [
        ["--lan"], ["--host", "0.0.0.0"], ["--host", "::"], ["--host", "192.0.2.1"], ["--host", "127.0.0.2"],  # noqa: S104  # refused
        ["--host", "rt.example"], ["--host", ""], ["--host", "localhost.evil.example"],
    ],
)  # fmt: skip
def test_beyond_this_machine_nothing_is_served_in_the_clear_by_mistake(tmp_path: Path, arguments: list[str]) -> None:
    code, error, said = refused(tmp_path, "--port", "0", *arguments)
    assert (code, error) == (2, "rt.invalid")
    assert "--tls-cert" in said
    assert "--plain-http" in said
    assert not (tmp_path / ".rt" / "serve.lock").exists(), "it was refused before it began"


def test_who_says_that_everybody_may_read_along_is_believed_and_the_page_is_told(tmp_path: Path) -> None:
    """On an address that only this machine reaches, and that rt does not count as such."""
    with served(tmp_path / "home", "--host", "127.0.0.2", "--plain-http") as at:
        assert at.url == f"http://127.0.0.2:{at.port}"
        with at.client("read") as client:
            assert client.get("/api/v1/session").json()["plain_lan"] is True


@pytest.mark.parametrize(
    "arguments",
    [
        ["--tls-cert", "../cert.pem"],
        ["--tls-key", "../key.pem"],
        ["--tls-cert", "../none.pem", "--tls-key", "../key.pem"],
        ["--tls-cert", "../key.pem", "--tls-key", "../key.pem"],
        ["--tls-cert", "../cert.pem", "--tls-key", "../cert.pem"],
        ["--tls-cert", ".", "--tls-key", "."],
    ],
)
def test_a_certificate_without_its_key_or_that_is_none_is_wrong_input(certified: Path, arguments: list[str]) -> None:
    code, error, said = refused(certified / "other", "--port", "0", *arguments)
    assert (code, error) == (2, "rt.invalid")
    assert "--tls-cert" in said


def test_with_a_certificate_the_cookie_is_for_tls_alone_and_browsers_are_told(
    secure: Served, trusting: httpx.Client
) -> None:
    assert secure.url == f"https://127.0.0.1:{secure.port}"
    assert secure.link.startswith(f"{secure.url}/#code=")
    site = {"origin": secure.url, "sec-fetch-site": "same-origin"}
    opened = trusting.post("/api/v1/session", json={"code": secure.code}, headers=site)
    [cookie] = opened.headers.get_list("set-cookie")
    assert {"HttpOnly", "Secure", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    for path in ("/", "/api/v1/status", "/nothing"):
        headers = trusting.get(path).headers
        assert headers["strict-transport-security"] == "max-age=31536000"
        assert headers.items() >= SECURITY.items()
    assert trusting.delete("/api/v1/session").status_code == 200


def test_over_tls_a_page_that_came_in_the_clear_is_another_site(secure: Served, trusting: httpx.Client) -> None:
    headers = {"origin": f"http://127.0.0.1:{secure.port}"}
    refusal = trusting.post("/api/v1/session", json={"code": "x"}, headers=headers)
    assert (refusal.status_code, refusal.json()["code"]) == (403, "http.origin")


def test_whoever_speaks_in_the_clear_to_tls_hears_nothing_and_the_server_goes_on(
    secure: Served, trusting: httpx.Client
) -> None:
    with Wire(secure.port) as wire:
        wire.send(b"GET /api/v1/health HTTP/1.1\r\n\r\n")
        assert wire.is_closed()
    with Wire(secure.port) as wire:
        wire.send(b"\x16\x03\x01\x00\x05hello")
        assert wire.is_closed()
    assert trusting.get("/api/v1/health").json() == {"ok": True}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_tls_that_is_broken_is_not_spoken(secure: Served, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", secure.port), WITHIN_S) as plain, pytest.raises(OSError):  # noqa: PT011  # of whatever sort
        context.wrap_socket(plain).close()


# names


def test_another_name_is_answered_where_it_was_asked_for_and_nowhere_else(tmp_path: Path) -> None:
    with served(tmp_path / "home", "--allow-host", "Desk.example") as at, Wire(at.port) as wire:
        shown = named(at.port, at.token("read"))[1:]
        for host, status in (("desk.example", 200), ("DESK.EXAMPLE", 200), ("127.0.0.1", 200), ("x.desk.example", 421)):
            reply = wire.ask("GET", "/api/v1/status", [("Host", f"{host}:{at.port}"), *shown])
            assert (host, reply.status) == (host, status)


def test_behind_a_proxy_that_passes_the_name_on_requests_and_pages_are_answered(tmp_path: Path) -> None:
    """Browsers leave out the port of https in both Host and Origin."""
    with served(tmp_path / "home", "--behind-proxy", "--allow-host", "rt.example") as at, Wire(at.port) as wire:
        shown = [("Host", "rt.example"), ("Authorization", f"Bearer {at.token('operate')}")]
        assert wire.ask("GET", "/api/v1/status", shown).status == 200
        page = [("Origin", "https://rt.example"), ("Sec-Fetch-Site", "same-origin")]
        body = b'{"paused":true}'
        content = [*shown, *page, ("Content-Type", "application/json")]
        assert wire.ask("POST", "/api/v1/dispatcher", content, body).status == 200
        foreign = [*shown, ("Origin", "http://rt.example"), ("Content-Type", "application/json")]
        assert wire.ask("POST", "/api/v1/dispatcher", foreign, body).status == 403


def test_behind_a_proxy_the_cookie_is_for_tls_alone(tmp_path: Path) -> None:
    with served(tmp_path / "home", "--behind-proxy") as at, at.client() as client:
        opened = client.post("/api/v1/session", json={"code": at.code})
        assert "Secure" in opened.headers["set-cookie"].split("; ")


# ends


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_server_that_is_told_to_end_ends_its_streams_and_says_by_what(tmp_path: Path, number: signal.Signals) -> None:
    with served(tmp_path / "home") as at, at.client("read") as client, client.stream("GET", "/api/v1/stream") as stream:
        parts = stream.iter_raw()
        assert next(parts)
        at.process.send_signal(number)
        assert sum(len(part) for part in parts) < 1_000, "it ends"
        assert at.process.wait(WITHIN_S) == 128 + number
        assert "Traceback" not in (at.folder / "serve.err").read_text()


def test_after_a_kill_the_next_server_has_the_home_the_port_and_all_that_was_acknowledged(tmp_path: Path) -> None:
    with served(tmp_path / "home") as first:
        with first.client("operate") as client, first.client() as browser:
            browser.post("/api/v1/session", json={"code": first.code}).raise_for_status()
            cookie = browser.cookies[f"rt_{first.port}"]
            written = client.post("/api/v1/dispatcher", json={"paused": True}).raise_for_status().json()["position"]
            first.process.kill()
            first.process.wait(WITHIN_S)
            with pytest.raises(httpx.TransportError):
                client.get("/api/v1/health")
        port = str(first.port)
        with served(first.folder, "--port", port) as second, second.client(headers=shown(first, "operate")) as client:
            assert second.port == first.port
            status = client.get(f"/api/v1/status?min_position={written}").json()
            assert (status["paused"], status["position"]) == (True, written)
            assert client.post("/api/v1/dispatcher", json={"paused": False}).status_code == 200
            with second.client(headers={"cookie": f"rt_{port}={cookie}"}) as browser:
                assert browser.get("/api/v1/status").status_code == 200, "a session outlives its server"
            with second.client() as browser:
                assert browser.post("/api/v1/session", json={"code": second.code}).status_code == 200


def shown(at: Served, scope: str) -> dict[str, str]:
    return {"authorization": f"Bearer {at.token(scope)}"}


def test_the_first_link_is_for_people_alone_on_a_line(tmp_path: Path) -> None:
    run(tmp_path, "init")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "rt_runtime", "serve", "--port", "0"],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:")
        assert "/#code=" in line
        until((tmp_path / ".rt" / "serve.lock").exists, "it has the home")
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=WITHIN_S)
    assert "60 s" in said
    assert line.strip().partition("#code=")[2] not in said

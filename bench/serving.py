"""How fast the server answers: state, intake, live events, its start, and reads beside a writer at full load.

Whoever asks is another process, on another core where there is one, with raw sockets that are kept open.
"""

import asyncio
import json
import multiprocessing
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.log_sqlite import SqliteLog
from bench import harness
from bench.harness import Row
from bench.knocking import SERVER_CORE, Connection, asked, elsewhere, knock, percentile, size_of
from bench.story import Teller, fill
from commands.home import CONFIG, STATE

ROUNDS = 3
STARTS = 7
TASKS = 100_000
RUN_OF = 4  # one task in four has a run of nine events; the others were canceled before
PENDING = 5
SECONDS = 8.0
CLIENTS, EVENTS_PER_S, LISTEN_S = 200, 100, 20.0
BESIDE_S, BATCH = 15.0, 5_000
STATE_PER_S_MIN, STATE_P99_MS_MAX, INTAKE_PER_S_MIN = 1_500, 20, 1_500
LAG_S_MAX, MEMORY_GROWTH_MAX, START_MS_MAX, WAIT_S_MAX = 1.0, 1.1, 500, 1.0
ADAPTER = 'default_adapter = "agent-x"\n[adapters.agent-x]\ncommand = "/usr/bin/env"\n'
READS = ("/api/state", "/api/v1/tasks", "/api/v1/status")


def measure() -> list[Row]:
    with harness.folder() as folder:
        harness.keep_bytecode(folder)
        large, small = _home(folder / "large", TASKS), _home(folder / "small", 0)
        return [
            *_state(large),
            *_intake(folder / "intake"),
            *_listeners(_home(folder / "listened", 0)),
            *_starts({"an empty log": small, f"{TASKS:,} tasks": large}),
            *_beside_a_writer(large),
        ]


# servers


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    port: int
    token: str
    pid: int

    def request(self, path: str, body: bytes | None = None) -> bytes:
        """A whole request."""
        head = (
            f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
            f"authorization: Bearer {self.token}\r\n"
        )
        if body is None:
            return f"{head}\r\n".encode()
        return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body

    def memory_mib(self) -> float:
        """What it holds in memory now."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def _home(folder: Path, tasks: int) -> Path:
    """A home with so many tasks, whose tables are there."""
    (folder / STATE).mkdir(parents=True)
    (folder / CONFIG).write_text(ADAPTER)
    log = SqliteLog(folder / STATE, create=True)
    if tasks:
        runs = tasks // RUN_OF
        fill(log, Teller(), runs=runs, canceled=tasks - runs - PENDING, pending=PENDING)
    log.close()
    harness.rt_ms(folder, "status")
    return folder


def _rt(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "rt_runtime", *arguments]


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("RT_")}
    return own | {"PYTHONPATH": str(harness.ROOT)}


@contextmanager
def _serving(folder: Path, *, pinned: bool) -> Iterator[Served]:
    """`rt serve` of a home, warm; on one core, or on all of them."""
    name = f"bench-{time.monotonic_ns()}"
    made = subprocess.run(
        _rt("token", "new", "--scope", "admin", "--name", name, "--json"),
        cwd=folder, env=_environment(), capture_output=True, check=True,
    )  # fmt: skip
    with _started(folder, {SERVER_CORE} if pinned else os.sched_getaffinity(0)) as (process, port):
        server = Served(port, json.loads(made.stdout)["token"], process.pid)
        with socket.create_connection(("127.0.0.1", port)) as client:
            for path in READS:
                asked(client, server.request(path))
        yield server


@contextmanager
def _started(folder: Path, cores: set[int]) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A server's process and its port, once it said where it is."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    process = subprocess.Popen(
        _rt("serve", "--port", "0", "--json", "--writes-per-s", "1000000"),
        cwd=folder, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.sched_setaffinity(0, mine)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield process, int(said["url"].rpartition(":")[2])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def _bare(size: int) -> Iterator[Served]:
    """The floor: uvicorn with the same parser, which answers so many bytes and does nothing else."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: else Nagle stays on
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    process = multiprocessing.get_context("fork").Process(target=_serve_bare, args=(listener, size), daemon=True)
    process.start()
    try:
        assert process.pid is not None
        yield Served(listener.getsockname()[1], "", process.pid)
    finally:
        process.kill()
        process.join()
        listener.close()


def _serve_bare(listener: socket.socket, size: int) -> None:
    import uvicorn

    os.sched_setaffinity(0, {SERVER_CORE})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(size).encode())]

    async def application(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # ASGI
        _ = scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * size})

    config = uvicorn.Config(
        application, http="httptools", ws="none", loop="asyncio", lifespan="off", log_config=None, access_log=False
    )
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


# the figures


def _state(home: Path) -> list[Row]:
    """`/api/state`, which everybody polls."""
    waits: dict[str, list[float]] = {"bare": [], "rt": []}
    with _serving(home, pinned=True) as server:
        size = size_of(server.port, server.request("/api/state"))
        with _bare(size) as bare:

            def load(name: str, of: Served) -> float:
                found = elsewhere(knock, of.port, 8, lambda _: of.request("/api/state"), SECONDS)()
                waits[name] += found
                return len(found) / SECONDS

            found = harness.rounds(ROUNDS, {"bare": lambda: load("bare", bare), "rt": lambda: load("rt", server)})
    per_s, p99_ms = harness.median(found["rt"]), percentile(waits["rt"], 0.99) * 1000
    what = f"GET /api/state, {TASKS:,} tasks, 8 connections, the server on one core"
    return [
        Row(
            what=what,
            target=f">= {STATE_PER_S_MIN:,}/s",
            measured=f"{per_s:,.0f}/s",
            floor=f"uvicorn that answers {size} bytes: {harness.median(found['bare']):,.0f}/s",
            ratio=harness.ratio(found["rt"], found["bare"]),
            ok=per_s >= STATE_PER_S_MIN,
        ),
        Row(
            what=f"{what}: p99",
            target=f"< {STATE_P99_MS_MAX} ms",
            measured=f"{p99_ms:.1f} ms (p50 {percentile(waits['rt'], 0.5) * 1000:.1f} ms)",
            floor=f"uvicorn: {percentile(waits['bare'], 0.99) * 1000:.1f} ms",
            ok=p99_ms < STATE_P99_MS_MAX,
        ),
    ]


def _task(number: int) -> dict[str, Any]:
    return {
        "kind": "operator",
        "source": "bench",
        "subject": f"part {number}",
        "payload": {"message": f"check part {number} of the project and say what is wrong with it"},
    }


def _intake(home: Path) -> list[Row]:
    """Tasks that are durable when they are acknowledged."""
    waits: list[float] = []

    def intake() -> float:
        folder = _home(harness.empty(home) / "home", 0)
        with _serving(folder, pinned=False) as server:

            def request(number: int) -> bytes:
                return server.request("/api/v1/tasks", json.dumps(_task(number)).encode())

            found = elsewhere(knock, server.port, 16, request, SECONDS)()
        waits.extend(found)
        return len(found) / SECONDS

    def raw() -> float:
        db = harness.raw_log(harness.empty(home) / "raw.db", unique=True)
        row = json.dumps(_task(1)).encode()

        def work() -> None:
            for at in range(2_000):
                db.execute("INSERT INTO events VALUES (NULL, ?, 1, 'task.queued.v1', ?)", (str(at), row))

        took_s = harness.timed(work)
        db.close()
        return 2_000 / took_s

    found = harness.rounds(ROUNDS, {"raw": raw, "rt": intake})
    per_s = harness.median(found["rt"])
    return [
        Row(
            what="POST /api/v1/tasks, 16 connections, acknowledged when durable",
            target=f">= {INTAKE_PER_S_MIN:,}/s",
            measured=f"{per_s:,.0f}/s (p99 {percentile(waits, 0.99) * 1000:.0f} ms)",
            floor=f"sqlite3, one row a commit: {harness.median(found['raw']):,.0f}/s",
            ratio=harness.ratio(found["rt"], found["raw"]),
            ok=per_s >= INTAKE_PER_S_MIN,
        )
    ]


def _listeners(home: Path) -> list[Row]:
    """Many who listen while events come in steadily."""
    with _serving(home, pinned=True) as server:
        listening = elsewhere(_listen, server, CLIENTS, LISTEN_S)
        time.sleep(2)  # all of them are there
        writing = elsewhere(_write, server, LISTEN_S)
        time.sleep(LISTEN_S / 4)
        begin_mib = server.memory_mib()
        written = writing()
        end_mib = server.memory_mib()
        lags = listening()
    assert len(lags) == CLIENTS * written, f"{len(lags)} of {CLIENTS * written} events were heard"
    p99_s = percentile(lags, 0.99)
    what = f"{CLIENTS} listeners at {written / LISTEN_S:.0f} events/s for {LISTEN_S:.0f} s, the server on one core"
    return [
        Row(
            what=f"{what}: lag from intake, p99",
            target=f"< {LAG_S_MAX:.0f} s",
            measured=f"{p99_s * 1000:.0f} ms (p50 {percentile(lags, 0.5) * 1000:.0f}, most {max(lags) * 1000:.0f} ms)",
            ok=p99_s < LAG_S_MAX,
        ),
        Row(
            what=f"{what}: memory at the end",
            target=f"<= {MEMORY_GROWTH_MAX} x that after a quarter of the time",
            measured=f"{end_mib:.1f} MiB",
            floor=f"{begin_mib:.1f} MiB",
            ratio=end_mib / begin_mib,
            ok=end_mib <= begin_mib * MEMORY_GROWTH_MAX,
        ),
    ]


def _write(server: Served, seconds: float) -> int:
    """A task every so often; how many."""
    count = int(EVENTS_PER_S * seconds)
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begin_s = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, begin_s + number / EVENTS_PER_S - time.monotonic()))
            asked(client, server.request("/api/v1/tasks", json.dumps(_task(number)).encode()))
    return count


def _listen(server: Served, clients: int, seconds: float) -> list[float]:
    """Seconds from the time in each event to its arrival, for every listener, until nothing comes any more."""
    selector = selectors.DefaultSelector()
    for _ in range(clients):
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(server.request("/api/v1/stream?topic=task.queued"))
        selector.register(client, selectors.EVENT_READ, Connection(client))
    told_s: dict[bytes, float] = {}
    lags: list[float] = []
    ends_s = time.monotonic() + seconds + 5
    while time.monotonic() < ends_s:
        for key, _ in selector.select(0.5):
            mine = key.data
            mine.received += mine.client.recv(1 << 18)
            now_s = time.time()
            *events, rest = mine.received.split(b"\n\n")
            mine.received = rest
            for event in events:
                at = event.find(b'"at":"')
                if at >= 0:
                    text = bytes(event[at + 6 : event.find(b'"', at + 6)])
                    if text not in told_s:
                        told_s[text] = datetime.fromisoformat(text.decode()).timestamp()
                    lags.append(now_s - told_s[text])
    return lags


def _starts(homes: dict[str, Path]) -> list[Row]:
    """From the start of the process to its first answer."""

    def first_ms(folder: Path) -> float:
        start_s = time.perf_counter()
        with _started(folder, os.sched_getaffinity(0)) as (_, port):
            server = Served(port, "", 0)
            with socket.create_connection(("127.0.0.1", port)) as client:
                asked(client, server.request("/api/v1/health").replace(b"authorization: Bearer \r\n", b""))
                return (time.perf_counter() - start_s) * 1000

    python = {"python": lambda: harness.command_ms([sys.executable, "-c", "pass"])}
    subjects = {name: lambda folder=folder: first_ms(folder) for name, folder in homes.items()}
    found = harness.rounds(STARTS, python | subjects)
    return [
        Row(
            what=f"rt serve, {name}: from its start to the first answer of /api/v1/health",
            target=f"< {START_MS_MAX} ms",
            measured=f"{harness.median(found[name]):.0f} ms",
            floor=f"python -c pass: {harness.median(found['python']):.0f} ms",
            ratio=harness.ratio(found[name], found["python"]),
            ok=harness.median(found[name]) < START_MS_MAX,
        )
        for name in homes
    ]


def _beside_a_writer(home: Path) -> list[Row]:
    """Reads while another process takes tasks in as fast as it can."""
    lines = home / "tasks.jsonl"
    lines.write_text("".join(f"{json.dumps(_task(number))}\n" for number in range(BATCH)))
    with _serving(home, pinned=False) as server:
        reading = elsewhere(_read, server, BESIDE_S)
        start_s, batches = time.monotonic(), 0
        while time.monotonic() < start_s + BESIDE_S:
            harness.rt_ms(home, "intake", "--lines", str(lines))
            batches += 1
        written = batches * BATCH / (time.monotonic() - start_s)
        found = reading()
    return [
        Row(
            what=f"GET {path} beside rt intake --lines in a loop ({written:,.0f} tasks/s): the longest wait",
            target=f"< {WAIT_S_MAX:.0f} s",
            measured=f"{max(waits):.2f} s",
            floor=f"its p50 {percentile(waits, 0.5) * 1000:.0f}, p99 {percentile(waits, 0.99) * 1000:.0f} ms",
            ok=max(waits) < WAIT_S_MAX,
        )
        for path, waits in found.items()
    ]


def _read(server: Served, seconds: float) -> dict[str, list[float]]:
    """Ask for everything in turn."""
    found: dict[str, list[float]] = {path: [] for path in READS}
    ends_s = time.monotonic() + seconds
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.monotonic() < ends_s:
            for path in READS:
                found[path].append(asked(client, server.request(path)))
    return found


if __name__ == "__main__":
    harness.main(measure)

"""Many questions while runs write: `python -m bench.soak [--queries N] [--clients N] [--seconds N]`.

Four runs print lines all the time, stored by a dispatcher in a process of its own. Clients, each a process, ask the
questions of `projections.questions` one after the other: with `--http` of a server, which dispatches too, else as
`rt sql` does: a private copy of the tables, caught up with the log, and a child that answers. What a command costs
before its first line is left out. It ends when all questions are asked or the time is over; the runs end with it.
"""

import argparse
import collections
import contextlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

import rt_runtime  # noqa: F401  # the child that answers is started from its folder
from adapters.log_reader import LogReader
from bench import harness
from bench.harness import Row
from commands import sql
from commands.home import STATE, Home
from commands.wiring import Runtime
from domain.bounds import SQL_ROWS_MAX
from projections.questions import QUESTIONS
from projections.reached import FILE

QUERIES, CLIENTS, SECONDS = 10_000, 4, 3_600
WRITERS = 4
LINES_S = 50  # each
MEDIAN_MS_MAX, LAG_S_MAX = 150, 1.0
END_S_MAX = 60
WRITER = f"""
import os, sys, time
number = 0
while not os.path.exists(sys.argv[1]) and time.time() < float(sys.argv[2]):
    number += 1
    print("step %d of a longer piece of work is done" % number, flush=True)
    time.sleep({1 / LINES_S})
"""


class Asked(NamedTuple):
    """One question: seconds for its copy, for its answer, for all, and how far behind the answer is."""

    copy_s: float
    answer_s: float
    took_s: float
    behind: int  # events that were there at its start and are not in the answer
    age_s: float  # of the oldest event that is not in the answer, when it came


class Options(NamedTuple):
    """How much is asked, and whether of a server."""

    queries: int
    clients: int
    seconds: float
    http: bool


class Served(NamedTuple):
    """A server that answers, and a token that it knows."""

    url: str
    token: str


def main() -> None:
    """Soak, or be one of the clients."""
    given = argparse.ArgumentParser(prog="scripts/soak")
    given.add_argument("--queries", type=int, default=QUERIES)
    given.add_argument("--clients", type=int, default=CLIENTS)
    given.add_argument("--seconds", type=float, default=SECONDS, help="the longest that it may take")
    given.add_argument("--http", action="store_true", help="ask a server")
    given.add_argument("--json", action="store_true", help="rows as JSON")
    given.add_argument("--url", default="", help=argparse.SUPPRESS)
    given.add_argument("--client", metavar="FOLDER", help=argparse.SUPPRESS)
    options = given.parse_args()
    if options.client is not None:
        served = Served(options.url, sys.stdin.readline().strip()) if options.url else None
        print(json.dumps(ask(Path(options.client), options.queries, options.seconds, served)))
        return
    rows: list[Row] = []

    def measure() -> list[Row]:
        rows.extend(soak(Options(options.queries, options.clients, options.seconds, options.http)))
        return rows

    harness.main(measure)
    sys.exit(any(row.ok is False for row in rows))


def soak(options: Options) -> list[Row]:
    """Ask so many questions, as long as there is time."""
    with harness.folder() as folder:
        harness.keep_bytecode(folder)
        with _writing(folder, options.seconds + END_S_MAX, http=options.http) as served:
            first = _head(folder)
            start_s = time.monotonic()
            clients = [_client(folder, share, options.seconds, served) for share in _shares(options)]
            answers = [_answered(client, options.seconds + END_S_MAX) for client in clients]
            took_s = time.monotonic() - start_s
            written = _head(folder) - first
        size = (folder / STATE / FILE).stat().st_size
        aside = len(list((folder / STATE).glob("*.set-aside")))
    asked = [Asked(*each) for answer in answers for each in answer["asked"]]
    failed = collections.Counter(text for answer in answers for text in answer["failed"])
    if aside:
        failed["the projection was set aside"] += aside
    rows = [
        Row(
            what=f"{options.queries:,} queries by {options.clients} clients while {WRITERS} runs write: asked",
            target=f"{options.queries:,}",
            measured=f"{len(asked):,} in {took_s:.0f} s ({len(asked) / took_s:.1f}/s)",
            floor=f"{written:,} events written meanwhile, tables of {size / 1e6:.1f} MB at the end",
            ok=len(asked) == options.queries and written > 0,
        ),
        _failures("lock errors", {text: count for text, count in failed.items() if _is_lock(text)}),
        _failures("other errors", {text: count for text, count in failed.items() if not _is_lock(text)}),
    ]
    cpu_s = 0.0 if options.http else sum(answer["cpu_s"] for answer in answers)
    return [*rows, *_figures(asked, cpu_s, http=options.http)] if len(asked) > 1 else rows


def _figures(asked: list[Asked], cpu_s: float, *, http: bool) -> list[Row]:
    took = sorted(each.took_s * 1000 for each in asked)
    median = statistics.median(took)
    copy, answer = (statistics.median(values) * 1000 for values in list(zip(*asked, strict=True))[:2])
    behind = max(each.behind for each in asked)
    ages = [each.age_s for each in asked]
    return [
        Row(
            what="a query without the start of the command, median",
            target=f"< {MEDIAN_MS_MAX} ms",
            measured=f"{median:.0f} ms",
            floor=f"copy {copy:.0f} ms, answer {answer:.0f} ms",
            ok=median < MEDIAN_MS_MAX,
        ),
        Row(what="the same, p95", measured=f"{_p95(took):.0f} ms (most {took[-1]:.0f})"),
        *_processor(cpu_s * 1000 / len(asked)),
        Row(
            what="events that were there when a query began and are not in its answer, most",
            target="" if http else "0",
            measured=str(behind),
            floor="a server's queries share a copy, a quarter of a second old at most" if http else "",
            ok=None if http else behind == 0,
        ),
        Row(
            what="age of the oldest event that an answer lacks when it is there, p95",
            target=f"< {LAG_S_MAX:.0f} s",
            measured=f"{_p95(ages):.2f} s (most {max(ages):.2f})",
            ok=_p95(ages) < LAG_S_MAX,
        ),
    ]


def _processor(mean_ms: float) -> list[Row]:
    floor = "what clients that never pause cannot go below, times clients by cores"
    what = "processor time of a query, its child's with it, mean"
    return [Row(what=what, measured=f"{mean_ms:.0f} ms", floor=floor)] if mean_ms else []  # of a server, it is unknown


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def _failures(what: str, found: dict[str, int]) -> Row:
    count = sum(found.values())
    shown = "; ".join(f"{text} ({times} x)" for text, times in sorted(found.items())[:3])
    return Row(what=what, target="0", measured=f"{count}" + (f": {shown}" if shown else ""), ok=count == 0)


def _is_lock(text: str) -> bool:
    return re.search(r"\b(dead)?lock(ed)?\b|\bbusy\b", text.lower()) is not None


def _shares(options: Options) -> list[int]:
    """How many questions each client asks."""
    whole, rest = divmod(options.queries, options.clients)
    return [whole + (number < rest) for number in range(options.clients)]


def _client(folder: Path, queries: int, seconds: float, served: Served | None) -> "subprocess.Popen[bytes]":
    argv = [sys.executable, "-m", "bench.soak", "--client", str(folder)]
    argv += ["--queries", str(queries), "--seconds", str(seconds), *(["--url", served.url] if served else [])]
    client = subprocess.Popen(argv, cwd=harness.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert client.stdin is not None
    client.stdin.write((served.token if served else "").encode() + b"\n")
    client.stdin.flush()
    return client


def _answered(client: "subprocess.Popen[bytes]", most_s: float) -> dict[str, Any]:
    try:
        said, _ = client.communicate(timeout=most_s)
    except subprocess.TimeoutExpired:
        client.kill()
        client.communicate()
        return {"asked": [], "failed": ["a client did not end"], "cpu_s": 0.0}
    if client.returncode:
        return {"asked": [], "failed": [f"a client ended with {client.returncode}"], "cpu_s": 0.0}
    found: dict[str, Any] = json.loads(said)
    return found


def ask(folder: Path, queries: int, seconds: float, served: Served | None = None) -> dict[str, Any]:
    """What one client found."""
    until_s = time.monotonic() + seconds
    before_s = _cpu_s()
    asked: list[Asked] = []
    failed: list[str] = []
    client = _http(served) if served else None
    for number in range(queries):
        if time.monotonic() > until_s:
            break
        try:
            query = QUESTIONS[number % len(QUESTIONS)].sql
            asked.append(_ask_http(client, folder, query) if client else _ask(folder, query))
        except Exception as problem:  # noqa: BLE001  # counting them is the point
            failed.append(f"{type(problem).__name__}: {problem}"[:200])
    return {"asked": asked, "failed": failed, "cpu_s": _cpu_s() - before_s}


def _cpu_s() -> float:
    """Processor time of this process and of the children that answered it."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _ask(folder: Path, query: str) -> Asked:
    """One question, with all that `rt sql` does between its imports and its output."""
    head = _head(folder)
    start_s = time.perf_counter()
    runtime = _runtime(folder)
    with sql.copied(runtime) as (copy, position):
        runtime.close()
        copied_s = time.perf_counter()
        sql.ask(copy, position, query, rows_max=SQL_ROWS_MAX)
        answered_s = time.perf_counter()
    end_s = time.perf_counter()
    return Asked(
        copied_s - start_s, answered_s - copied_s, end_s - start_s, max(0, head - position), _age_s(folder, position)
    )


def _http(served: Served) -> httpx.Client:
    return httpx.Client(
        base_url=served.url, headers={"authorization": f"Bearer {served.token}"}, timeout=END_S_MAX, trust_env=False
    )


def _ask_http(client: httpx.Client, folder: Path, query: str) -> Asked:
    """One question as a client of the server asks it."""
    head = _head(folder)
    start_s = time.perf_counter()
    answer = client.post("/api/v1/sql", json={"query": query})
    end_s = time.perf_counter()
    position = int(answer.raise_for_status().json()["position"])
    return Asked(0.0, end_s - start_s, end_s - start_s, max(0, head - position), _age_s(folder, position))


def _age_s(folder: Path, position: int) -> float:
    """How long ago the first event after a position was recorded; 0 where there is none."""
    reader = LogReader(folder / STATE)
    rows = reader.rows(position, position + 1, 1)
    reader.close()
    return max(0.0, time.time() - json.loads(rows[0].state)["at_us"] / 1e6) if rows else 0.0


def _head(folder: Path) -> int:
    reader = LogReader(folder / STATE)
    position = reader.head()[0]
    reader.close()
    return position


def _runtime(folder: Path) -> Runtime:
    return Runtime(Home(folder / STATE, None, folder), "soak")


@contextlib.contextmanager
def _writing(folder: Path, most_s: float, *, http: bool) -> Iterator[Served | None]:
    """Runs that print until this is left, but no longer than so many seconds, and their dispatcher, or its server."""
    stop = folder / "stop"
    until = str(time.time() + most_s)
    (folder / STATE).mkdir()
    for _ in range(WRITERS):
        command = (sys.executable, "-c", WRITER, str(stop), until)
        harness.rt_ms(folder, "intake", "--", *command)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RT_")}
    rt = [sys.executable, "-P", "-m", "rt_runtime", "-q"]
    if http:
        (folder / "rt.toml").write_text(f"[work]\nconcurrency = {WRITERS}\n")
        verb = ["serve", "--work", "--port", "0", "--json"]
    else:
        verb = ["work", "--until-idle", "--concurrency", str(WRITERS)]
    with tempfile.TemporaryFile() as said:
        dispatcher = subprocess.Popen(
            rt + verb,
            cwd=folder,
            env=environment | {"PYTHONPATH": str(harness.ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if http else said,
            stderr=said,
            text=True,
        )
        try:
            served = _served(folder, dispatcher) if http else None
            _until_all_print(folder)
            yield served
        finally:
            stop.touch()
            if http:
                dispatcher.terminate()
            try:
                dispatcher.wait(END_S_MAX)
            except subprocess.TimeoutExpired:
                dispatcher.kill()
                dispatcher.wait()
        said.seek(0)
        assert dispatcher.returncode in ((143, -15, 0) if http else (0,)), said.read().decode("utf-8", "replace")


def _served(folder: Path, server: "subprocess.Popen[str]") -> Served:
    assert server.stdout is not None
    said = json.loads(server.stdout.readline())
    rt = [sys.executable, "-P", "-m", "rt_runtime", "token", "new", "--name", "soak", "--scope", "sql", "--json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RT_")}
    environment["PYTHONPATH"] = str(harness.ROOT)
    made = subprocess.run(rt, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE)
    return Served(said["url"], json.loads(made.stdout)["token"])


def _until_all_print(folder: Path) -> None:
    """Wait until each run has stored output."""
    until_s = time.monotonic() + END_S_MAX
    while time.monotonic() < until_s:
        reader = LogReader(folder / STATE)
        seen = {row.stream for row in reader.rows(0, reader.head()[0], 1_000) if row.topic.startswith("output.")}
        reader.close()
        if len(seen) >= WRITERS:
            return
        time.sleep(0.1)
    message = "the runs do not write"
    raise AssertionError(message)


if __name__ == "__main__":
    main()

"""`rt serve`: the API and the page, with a dispatcher beside them where that is asked for."""

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from commands import ending, options, render
from commands.invocation import invocation
from commands.taking_in import announce
from commands.wiring import Runtime
from domain import errors
from domain.bounds import HTTP_PORT, HTTP_WRITES_PER_S, SESSION_CODE_S

if TYPE_CHECKING:
    from commands.api.house import Address, House
    from commands.api.server import Server
    from commands.dispatch import Dispatcher
    from commands.world import World

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_DRAIN_S = 10.0
_LAST_PORT = 65_535


class Wanted(NamedTuple):
    """How a server is wanted."""

    host: str
    port: int
    names: tuple[str, ...]
    certificate: Path | None
    key: Path | None
    behind_proxy: bool
    plain_http: bool
    read_only: bool
    writes_per_s: int
    work: bool
    concurrency: int


class Open(NamedTuple):
    """What a server stands on: its socket, its TLS, and the file that says where it is."""

    listener: socket.socket
    context: ssl.SSLContext | None
    note: Path


def serve(  # how it listens, to whom, and what runs beside it
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 for any that is free.")] = HTTP_PORT,
    *,
    work: Annotated[bool, typer.Option("--work", help="Dispatch here too, as rt work does.")] = False,
    concurrency: options.Concurrency = None,
    lan: Annotated[bool, typer.Option("--lan", help="Listen on every address; needs TLS or a word that it is not.")]
    = False,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", metavar="NAME", help="Another name of this server.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="Its certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="The key of it.")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy before it speaks TLS to the clients.")
    ] = False,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="Let everybody on the network read along; the page warns.")
    ] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Without any address that writes.")] = False,
    writes_per_s: Annotated[
        int, typer.Option("--writes-per-s", min=1, max=1_000_000, help="How often one token may write.")
    ] = HTTP_WRITES_PER_S,
    as_json: options.Json = False,
) -> None:  # fmt: skip
    """Serve."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    if work and read_only:
        raise errors.Invalid(where="--work", why="a dispatcher writes; leave --read-only out")
    wanted = Wanted(
        "0.0.0.0" if lan else host, port, tuple(allow_host or ()), tls_cert, tls_key, behind_proxy, plain_http,  # noqa: S104  # asked for
        read_only, writes_per_s, work, concurrency or runtime.config.work.concurrency,
    )  # fmt: skip
    _check(wanted)
    context = _tls(wanted)
    announce(runtime)
    with _held(runtime) as note, _listening(wanted) as listener:
        status = asyncio.run(_main(runtime, wanted, Open(listener, context, note), as_json=as_json))
    runtime.close()
    raise typer.Exit(status)


def _check(wanted: Wanted) -> None:
    """Beyond this machine nothing goes in the clear by mistake. Raises Invalid."""
    if (wanted.certificate is None) != (wanted.key is None):
        raise errors.Invalid(where="--tls-cert", why="belongs to --tls-key, and the other way round")
    is_local = wanted.host in ("127.0.0.1", "::1", "localhost")
    if not is_local and not (wanted.certificate or wanted.behind_proxy or wanted.plain_http):
        why = (
            f"{wanted.host} is reached from other machines: give --tls-cert and --tls-key, or --behind-proxy where a"
            " proxy speaks TLS, or --plain-http to let everybody on the network read along"
        )
        raise errors.Invalid(where="--host", why=why)


@contextmanager
def _held(runtime: Runtime) -> Iterator[Path]:
    """One server a home: a lock that goes with the process. Raises ServedAlready naming who has it."""
    path = runtime.home.state / "serve.lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said: dict[str, Any] = {}
            with contextlib.suppress(ValueError):
                said = json.loads(lock.read() or "{}")
            raise errors.ServedAlready(pid=said.get("pid", 0), address=said.get("address", "?")) from None
        yield path


def served_at(runtime: Runtime) -> str:
    """The address at which a home is served now. Raises NotServed."""
    try:
        with (runtime.home.state / "serve.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        raise errors.NotServed  # nobody holds it: what it says is of a server that is gone
    except BlockingIOError:
        with contextlib.suppress(OSError, ValueError, KeyError):
            return str(json.loads((runtime.home.state / "serve.lock").read_text())["address"])
        raise errors.NotServed from None
    except OSError:
        raise errors.NotServed from None


@contextmanager
def _listening(wanted: Wanted) -> Iterator[socket.socket]:
    """The socket. Raises PortTaken."""
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: else asyncio leaves Nagle on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((wanted.host, wanted.port))
        listener.listen(512)
        listener.setblocking(False)  # noqa: FBT003  # the socket's own signature
    except OSError as problem:
        listener.close()
        why = (problem.strerror or str(problem)).lower()
        other = wanted.port + 1 if wanted.port < _LAST_PORT else wanted.port - 1
        raise errors.PortTaken(host=wanted.host, port=wanted.port, why=why, other=other) from None
    try:
        yield listener
    finally:
        listener.close()


def _address(wanted: Wanted, port: int) -> "Address":
    from commands.api.house import Address

    given = {name.lower() for name in wanted.names}
    names = {*_LOOPBACK, *(name for name in given if ":" not in name)}
    if wanted.host not in ("0.0.0.0", "::"):  # noqa: S104  # compared, not bound
        names.add(f"[{wanted.host}]" if ":" in wanted.host else wanted.host.lower())
    else:
        own = socket.gethostname().lower()
        names |= {own, f"{own}.local", *_own_addresses(own)}
    return Address(
        host=wanted.host,
        port=port,
        names=frozenset(names),
        aliases=frozenset(given),
        is_secure=wanted.certificate is not None or wanted.behind_proxy,
        is_plain_lan=wanted.plain_http,
        is_read_only=wanted.read_only,
    )


def _own_addresses(name: str) -> set[str]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {f"[{each[4][0]}]" if each[0] == socket.AF_INET6 else str(each[4][0]) for each in found}


async def _main(  # the parts of a server
    runtime: Runtime, wanted: Wanted, open_: Open, *, as_json: bool
) -> int:
    from commands.api.app import build
    from commands.api.house import House
    from commands.api.server import Server

    address = _address(wanted, open_.listener.getsockname()[1])
    async with _parts(runtime, wanted) as (writer, dispatcher):
        house = House(runtime, writer, address, writes_per_s=wanted.writes_per_s)
        house.dispatcher = dispatcher
        try:
            server = Server(build(house), is_secure=open_.context is not None)
            serving = asyncio.create_task(server.serve(open_.listener, open_.context))
            received = _signals(server, house, dispatcher)
            working = asyncio.create_task(dispatcher.work()) if dispatcher is not None else None
            url = _url(address, wanted)
            await asyncio.to_thread(open_.note.write_text, json.dumps({"pid": os.getpid(), "address": url}))
            _said(house, url, as_json=as_json)
            await _until_over(server, serving, working, house)
        finally:
            house.close()
    return 128 + received[0] if received else 0


@asynccontextmanager
async def _parts(runtime: Runtime, wanted: Wanted) -> AsyncIterator[tuple[Any, "Dispatcher | None"]]:
    """The writer of this process, and the dispatcher that shares it where one is wanted."""
    if not wanted.work:
        from adapters.writer import GroupWriter

        writer = GroupWriter(runtime.log)
        try:
            yield writer, None
        finally:
            await asyncio.to_thread(writer.close)
        return
    from commands.dispatch import Dispatcher
    from commands.follow import Printer

    shown = Printer(output=False)
    async with runtime.world(shown.events, render.note) as world:
        yield _writer_of(world), Dispatcher(world, wanted.concurrency)


def _writer_of(world: "World") -> Any:  # noqa: ANN401  # a Writer
    return world.writer


def _tls(wanted: Wanted) -> ssl.SSLContext | None:
    if wanted.certificate is None or wanted.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(wanted.certificate, wanted.key)
    except (OSError, ssl.SSLError) as problem:
        why = f"certificate or key cannot be used: {getattr(problem, 'strerror', None) or problem}"
        raise errors.Invalid(where="--tls-cert", why=why) from None
    return context


def _url(address: "Address", wanted: Wanted) -> str:
    host = "127.0.0.1" if wanted.host in ("0.0.0.0", "127.0.0.1", "localhost") else wanted.host  # noqa: S104  # compared
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if wanted.certificate else 'http'}://{shown}:{address.port}"


def _said(house: "House", url: str, *, as_json: bool) -> None:
    """Where it is, with a link that logs a browser in, once."""
    link = f"{url}/#code={link_code(house.base)}"
    if as_json:
        render.document("rt.serve.v1", {"url": url, "link": link, "pid": os.getpid()})
        return
    render.out(link)
    render.note(f"the link opens one session, within {SESSION_CODE_S} s; rt token link makes another one; Ctrl-C stops")


def link_code(runtime: Runtime) -> str:
    """A code that logs whoever has this home in, with everything."""
    from adapters.tokens import Tokens

    name = runtime.actor.removeprefix("operator:")
    return Tokens(runtime.home.state).code(name, ("admin",), runtime.clock.now_us())


def _signals(server: "Server", house: "House", dispatcher: "Dispatcher | None") -> list[int]:
    """The first SIGINT or SIGTERM drains, for ten seconds at most; the second one stops at once."""
    received: list[int] = []
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        received.append(number)
        server.stop()
        house.live.end_streams()
        if dispatcher is None:
            return
        if len(received) == 1:
            dispatcher.drain()
            loop.call_later(_DRAIN_S, dispatcher.stop)
        else:
            dispatcher.stop()

    for number in ending.signals():
        loop.add_signal_handler(number, on_signal, number)
    return received


async def _until_over(
    server: "Server", serving: "asyncio.Task[None]", working: "asyncio.Task[None] | None", house: "House"
) -> None:
    """Until the server was stopped; a dispatcher or a server that fails takes the other one with it."""
    tasks = [serving] if working is None else [serving, working]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    server.stop()
    house.live.end_streams()
    if house.dispatcher is not None and working is not None and not working.done():
        house.dispatcher.drain()
    await asyncio.gather(*tasks)

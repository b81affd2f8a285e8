"""Commands about adapters: which there are, whether they can be used now, and what would be used instead."""

import asyncio
from typing import Annotated, Any, NamedTuple

import typer

from commands import circuit, options, render
from commands.invocation import invocation
from commands.probes import Health, Probes
from commands.wiring import Runtime
from domain import errors
from domain.config import AGENT, BUILT_IN, CLIS, Config
from domain.launch import bypass_flags
from domain.payload import AdapterChoice
from domain.ports import Aside, Clock, Environment, Http

app = typer.Typer(no_args_is_help=True)


class Surface(NamedTuple):
    """The part of a dispatcher's world that a probe touches."""

    config: Config
    folder: str
    clock: Clock
    environment: Environment
    http: Http
    aside: Aside


class Seen(NamedTuple):
    """An adapter and how it is."""

    name: str
    mode: str
    health: Health
    fallback: str


async def looked(runtime: Runtime, names: list[str]) -> list[Seen]:
    """How these adapters are, all looked at side by side."""
    from adapters.lazy_http import LazyHttp

    http = LazyHttp()
    probes = Probes(_surface(runtime, http), lambda: _resting(runtime))
    try:
        found = await asyncio.gather(*(probes.health(name) for name in names))
    finally:
        await http.close()
    config = runtime.config
    return [
        Seen(name, _mode(config, name), health, _fallback(config, name))
        for name, health in zip(names, found, strict=True)
    ]


def unlooked(config: Config, names: list[str]) -> list[Seen]:
    """What the configuration alone says of these adapters."""
    health = Health(ok=True, detail="not looked at")
    return [Seen(name, _mode(config, name), health, _fallback(config, name)) for name in names]


async def chain(runtime: Runtime, name: str) -> AdapterChoice:
    """What would be used for this adapter now."""
    from adapters.lazy_http import LazyHttp

    http = LazyHttp()
    try:
        return await Probes(_surface(runtime, http), lambda: _resting(runtime)).choose(name)
    finally:
        await http.close()


def _resting(runtime: Runtime) -> frozenset[str]:
    has_log = (runtime.home.state / "log.db").exists()
    return circuit.resting(runtime.readable, runtime.clock.now_us()) if has_log else frozenset()


def _surface(runtime: Runtime, http: Http) -> Surface:
    return Surface(
        runtime.config, str(runtime.home.folder), runtime.clock, runtime.environment, http, asyncio.to_thread
    )


@app.command("list", help="All adapters and whether they can be used now; exit 1 when the default one cannot.")
def list_adapters(
    no_probe: Annotated[bool, typer.Option("--no-probe", help="Only what the configuration says.")] = False,
    as_json: options.Json = False,
) -> None:
    """List adapters."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    config = runtime.config
    names = [BUILT_IN, AGENT, *config.adapters]
    seen = unlooked(config, names) if no_probe else asyncio.run(looked(runtime, names))
    default_ok = next(each.health.ok for each in seen if each.name == config.default_adapter)
    if as_json:
        answer = {"defaultAdapter": config.default_adapter, "defaultOk": default_ok}
        render.document("rt.adapters.v1", answer | {"adapters": [shown(config, each) for each in seen]})
    else:
        rows = [
            (
                each.name + (" (default)" if each.name == config.default_adapter else ""),
                each.mode,
                "ok" if each.health.ok else each.health.reason,
                each.fallback,
                _detail(config, each),
            )
            for each in seen
        ]
        render.table(("adapter", "mode", "health", "fallback", "detail"), rows)
    if not default_ok:
        raise typer.Exit(1)


def _mode(config: Config, name: str) -> str:
    return config.adapters[name].kind if name in config.adapters else name


def _fallback(config: Config, name: str) -> str:
    return config.adapters[name].fallback if name in config.adapters else ""


def shown(config: Config, each: Seen) -> dict[str, Any]:
    """An adapter for programs."""
    found = config.adapters.get(each.name)
    made: dict[str, Any] = {
        "id": each.name,
        "mode": each.mode,
        "isDefault": each.name == config.default_adapter,
        "ok": each.health.ok,
        "fallback_adapter": each.fallback or None,
        "broken_reason": None if each.health.ok else each.health.reason,
        "detail": _detail(config, each),
    }
    if found is not None and found.kind in CLIS:
        made |= {"autonomy": found.autonomy, "sandbox": found.sandbox, "model": found.model or None}
        made["bypass"] = freed(config, each.name) or None
    return made


def _detail(config: Config, each: Seen) -> str:
    parts = [each.health.detail, freed(config, each.name)]
    return "; ".join(part for part in parts if part)


def freed(config: Config, name: str) -> str:
    """What takes restraints away from an adapter's agent, in words; empty for nothing."""
    found = config.adapters.get(name)
    if found is None or found.kind not in CLIS:
        return ""
    flags = ", ".join(bypass_flags(found.args))
    if found.autonomy == "trusted-vm":
        return "runs without restraints (trusted-vm)" + (f": {flags}" if flags else "")
    return f"runs without restraints: {flags}" if flags else ""


@app.command("check", help="Look at one adapter now; with --chain, at what would be used instead of it.")
def check(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Which one; else the default.")] = "",
    whole: Annotated[bool, typer.Option("--chain", help="Follow its fallbacks.")] = False,
    as_json: options.Json = False,
) -> None:
    """Check an adapter."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    config = runtime.config
    wanted = name or config.default_adapter
    known = [BUILT_IN, AGENT, *config.adapters]
    if wanted not in known:
        raise errors.UnknownAdapter(name=wanted, known=", ".join(known))
    if whole and wanted in config.adapters:
        ok = _said_chain(asyncio.run(chain(runtime, wanted)), as_json=as_json)
    else:
        ok = _said_one(config, asyncio.run(looked(runtime, [wanted]))[0], as_json=as_json)
    if not ok:
        raise typer.Exit(1)


def _said_chain(found: AdapterChoice, *, as_json: bool) -> bool:
    rows = [{"adapter": each.adapter, "ok": each.ok, "reason": each.reason or None} for each in found.chain]
    ok = bool(found.selected)
    if as_json:
        answer = {"wanted": found.wanted, "selected": found.selected or None, "ok": ok, "chain": rows}
        render.document("rt.adapter_chain.v1", answer)
        return ok
    for each in rows:
        render.out(f"{'ok' if each['ok'] else 'not ok':<8} {each['adapter']}  {each['reason'] or ''}".rstrip())
    render.out(f"would use {found.selected}" if ok else "nothing can be used: the task would wait")
    return ok


def _said_one(config: Config, seen: Seen, *, as_json: bool) -> bool:
    if as_json:
        render.document("rt.adapter.v1", shown(config, seen))
    else:
        how = "ok" if seen.health.ok else seen.health.reason
        render.out(f"{how}: {seen.name} ({seen.mode})  {_detail(config, seen)}".rstrip())
    return seen.health.ok

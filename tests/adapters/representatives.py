"""One representative of every event type, with every field set: what the golden files hold."""

from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from domain.events import REGISTRY, Payload, Policy, Recorded, Text
from domain.payload import AdapterChoice, Probed, Window
from domain.routed import Routed
from domain.work_events import Origin

_POLICY = Policy(
    outcome="json",
    effect="once",
    timeout_us=60_000_000,
    grace_us=5_000_000,
    output_bytes_max=67_108_864,
    backoff_base_us=60_000_000,
    backoff_max_us=3_600_000_000,
    exit_retryable=(75,),
    exit_permanent=(64, 77, 126, 127),
)


def _value(name: str, kind: Any) -> Any:  # noqa: ANN401  # a value of that type
    plain: dict[Any, Any] = {
        str: f"{name}: ü",
        int: 1_700_000_000_000_000 + len(name),
        bool: True,
        Policy: _POLICY,
        Text: Text(sha256=f"{len(name):064x}", size=len(name) + 1),
        tuple[int, ...]: (4711, 4712),
        tuple[str, ...]: (f"{name} 1", f"{name} 2"),
        dict[str, str]: {"args.0": "push*", "command": "git"},
        Routed: Routed(selected="helper", by="rule", requested="auto", rule=2, candidates=("helper",), reason="phrase"),
        tuple[str, ...] | None: (f"{name} 1",),
        Origin: Origin(kind="workflow", stream="3c" * 16, state="plan", epoch=2, depth=1, signals=("plan_ready",)),
        AdapterChoice: AdapterChoice("codex", "claude", (Probed("codex", ok=False, reason="command_not_found"),)),
        Window: Window(first=3, last=9, offset=4096),
    }
    if get_origin(kind) is Literal:
        return next(each for each in reversed(get_args(kind)) if each != "")
    return plain[next(iter(get_args(kind))) if _optional(kind) else kind]


def _optional(kind: Any) -> bool:  # noqa: ANN401  # a type
    return get_origin(kind) is Union or type(None) in get_args(kind)


def _representative(kind: type[Payload]) -> Recorded:
    hints = get_type_hints(kind)
    data: Any = kind(**{name: _value(name, hints[name]) for name in kind.__struct_fields__})
    unset = [name for name in kind.__struct_fields__ if getattr(data, name) == _default(kind, name)]
    assert not unset, "a field at its default would not be written"
    return Recorded(
        stream="9b" * 16,
        version=3,
        at_us=1_700_000_000_123_456,
        actor="dispatcher:0123456789abcdef",
        data=data,
        correlation="7a" * 16,
        caused_by=6,
        position=7,
        body=b"body" if str(kind.__struct_config__.tag) == "output.appended" else None,
    )


def _default(kind: type[Payload], name: str) -> object:
    return next(field.default for field in msgspec.structs.fields(kind) if field.name == name)


REPRESENTATIVES: tuple[Recorded, ...] = tuple(map(_representative, REGISTRY.values()))

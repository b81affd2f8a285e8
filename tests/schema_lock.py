"""The fields of every released event version, locked: what is written once can be read for ever.

`python -m tests.schema_lock` writes down what is new. It never changes what is locked already: who removes, renames or
tightens a field of a released event gives it a new version and an upcast instead.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from domain.events import REGISTRY, UPCASTS, Payload, topic

FILE = Path(__file__).parent / "golden" / "schema.lock.json"
Fields = dict[str, dict[str, Any]]
_BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "pattern", "minItems", "maxItems")


def fields(kind: type[Payload]) -> Fields:
    """The fields of an event: whether each must be there, and what it may be, as JSON schema."""
    [schema], components = msgspec.json.schema_components([kind], ref_template="#/{name}")
    whole = _resolved(schema, components)
    required = set(whole.get("required", ()))
    return {
        name: {"required": name in required, "type": _without_text(each)}
        for name, each in sorted(whole["properties"].items())
        if name != "type"
    }


def _resolved(schema: Any, components: dict[str, Any]) -> Any:  # noqa: ANN401  # JSON
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _resolved(components[schema["$ref"].rpartition("/")[2]], components)
        return {name: _resolved(each, components) for name, each in schema.items()}
    return [_resolved(each, components) for each in schema] if isinstance(schema, list) else schema


def _without_text(schema: Any) -> Any:  # noqa: ANN401  # JSON
    """Without what says nothing about the form: names, descriptions, defaults."""
    if isinstance(schema, dict):
        return {
            name: _without_text(each)
            for name, each in schema.items()
            if name not in ("title", "description", "default")
        }
    return [_without_text(each) for each in schema] if isinstance(schema, list) else schema


def broken(locked: dict[str, Fields], today: dict[str, Fields], upcasts: set[tuple[str, int]]) -> list[str]:
    """What was locked and no longer holds, in words."""
    found: list[str] = []
    for name, fields_then in locked.items():
        if name not in today:
            kind, _, number = name.rpartition(".v")
            if (kind, int(number)) not in upcasts:
                found.append(f"{name} is gone, and no upcast reads it")
            continue
        found += [f"{name}.{why}" for why in _fields_broken(fields_then, today[name])]
    return found


def _fields_broken(then: Fields, now: Fields) -> list[str]:
    found = [f"{name} is gone or has another name" for name in then if name not in now]
    found += [
        f"{name} must be there now" for name in then if name in now and now[name]["required"] > then[name]["required"]
    ]
    found += [f"{name} is new and must be there" for name in now if name not in then and now[name]["required"]]
    changed = (name for name in then if name in now and not _takes(now[name]["type"], then[name]["type"]))
    return found + [f"{name} takes less than it did" for name in changed]


def _takes(now: Any, then: Any) -> bool:  # noqa: ANN401  # JSON
    """Whether all that was allowed then is allowed now."""
    if now in (then, {}):
        return True
    if not (isinstance(now, dict) and isinstance(then, dict)):
        return False
    if "anyOf" in then:
        return all(_takes(now, each) for each in then["anyOf"])
    if "anyOf" in now:
        return any(_takes(each, then) for each in now["anyOf"])
    return _plain_takes(now, then)


def _plain_takes(now: dict[str, Any], then: dict[str, Any]) -> bool:
    if "enum" in now:
        return "enum" in then and set(map(str, then["enum"])) <= set(map(str, now["enum"]))
    if now.get("type") != then.get("type"):
        return bool(now.get("type") == "number" and then.get("type") == "integer")
    if "items" in now:
        return _takes(now["items"], then.get("items", {}))
    if "properties" in now or "properties" in then:
        return _object_takes(now, then)
    return all(now[name] == then.get(name) for name in _BOUNDS if name in now)


def _object_takes(now: dict[str, Any], then: dict[str, Any]) -> bool:
    known = then.get("properties", {})
    required = set(now.get("required", ())) <= set(then.get("required", ()))
    return required and all(
        name in now.get("properties", {}) and _takes(now["properties"][name], each) for name, each in known.items()
    )


def today() -> dict[str, Fields]:
    """All events as the code has them."""
    return {topic(kind): fields(kind) for kind in REGISTRY.values()}


def locked() -> dict[str, Fields]:
    """All events as they were released."""
    found: dict[str, Fields] = json.loads(FILE.read_text())
    return found


def main() -> None:
    """Write down what is new."""
    known = locked() if FILE.exists() else {}
    problems = broken(known, today(), set(UPCASTS))
    if problems:
        raise SystemExit("\n".join(["locked, and no longer so:", *problems]))
    merged = known | {
        name: each | {field: known[name][field] for field in known[name]} if name in known else each
        for name, each in today().items()
    }
    FILE.write_text(json.dumps(merged, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

"""What all bundles have: the form in which they are handed to the shell, and the policy that is frozen in them."""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from domain.calls import CallInput
from domain.config import Adapter, Config, to_us
from domain.events import Policy, RunRefused, RunStarted

Canonical = Callable[[Any], bytes]  # RFC 8785


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle ready to be recorded: the fact, and the texts that it names."""

    fact: RunStarted | RunRefused
    texts: tuple[bytes, ...] = ()
    call: CallInput | None = None
    setup: bytes = b""
    read: dict[str, bytes] = {}  # texts that the core reads: field of the fact -> content


def policy_of(adapter: Adapter, config: Config, timeout_s: float) -> Policy:
    """The rules that a run of this adapter is decided by."""
    return Policy(
        outcome=adapter.outcome,
        effect=adapter.effect,
        timeout_us=to_us(timeout_s),
        grace_us=to_us(config.work.kill_grace_s),
        output_bytes_max=config.work.output_max_bytes,
        backoff_base_us=to_us(config.retry.backoff_s),
        backoff_max_us=to_us(config.retry.backoff_max_s),
        exit_retryable=adapter.exit_retryable,
        exit_permanent=adapter.exit_permanent,
    )


def hashed(fact: RunStarted, canonical: Canonical | None, bundle: dict[str, Any]) -> RunStarted:
    """The fact with the two hashes of a bundle that holds nothing of its run: as it is, and without its task's name."""
    if canonical is None:
        return fact
    plain = msgspec.to_builtins(bundle)
    task = {name: value for name, value in plain["task"].items() if name != "task_id"}
    return msgspec.structs.replace(
        fact, bundle_hash=digest(canonical, plain), input_hash=digest(canonical, plain | {"task": task})
    )


def digest(canonical: Canonical, document: dict[str, Any]) -> str:
    """The SHA-256 of the canonical form, hex."""
    return hashlib.sha256(canonical(document)).hexdigest()

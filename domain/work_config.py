"""The part of the configuration that is about work coming in and going out: sensors, bridges, destinations, secrets."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from domain import bounds
from domain.agent_config import Name, Seconds, Variable

Argv = Annotated[tuple[Annotated[str, Meta(max_length=bounds.ARGUMENT_BYTES_MAX)], ...], Meta(max_length=1_000)]
Path = Annotated[str, Meta(max_length=4_096)]
PUBLIC_KEY = "^([0-9a-fA-F]{64})?$"


class SensorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A program that is run on an interval and prints sensor events, one JSON object a line."""

    argv: Annotated[Argv, Meta(min_length=1)]
    every_s: Annotated[float, Meta(ge=1, le=bounds.TIMEOUT_S_MAX)] = 60.0
    timeout_s: Annotated[float, Meta(gt=0, le=3_600)] = 30.0
    freshness_s: Seconds = 0  # 0 = none: how long nothing may come before the sensor counts as stale
    failures_max: Annotated[int, Meta(ge=1, le=1_000)] = bounds.FEEDER_FAILURES_MAX
    working_dir: Path = ""
    env: dict[Variable, str] = {}
    inherit_env: tuple[Variable, ...] = ()
    enabled: bool = True


class BridgeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How payloads of one service become tasks."""

    profile: str = ""
    adapter: str = ""
    kind: Annotated[str, Meta(max_length=bounds.KIND_CHARS_MAX)] = ""
    priority: Annotated[int, Meta(ge=bounds.PRIORITY_MIN, le=bounds.PRIORITY_MAX)] | None = None
    events: tuple[str, ...] = ()  # only these; empty = all that are understood
    secret_env: Variable | Literal[""] = ""  # the shared secret of its signature
    public_key: Annotated[str, Meta(pattern=PUBLIC_KEY)] = ""  # of Discord's signatures
    question: Annotated[str, Meta(max_length=2_000)] = ""  # asked about a story, where it brings none
    goal: Annotated[str, Meta(max_length=2_000)] = ""  # of a reply


class DestinationConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where messages and notifications go."""

    kind: Literal["webhook", "command"] = "webhook"
    url: Annotated[str, Meta(max_length=2_000)] = ""
    headers: dict[str, str] = {}
    token_env: Variable | Literal[""] = ""  # sent as a bearer token
    sign_env: Variable | Literal[""] = ""  # the secret of an HMAC over the body
    private: bool = False
    argv: Argv = ()  # gets the message on its stdin
    timeout_s: Annotated[float, Meta(gt=0, le=600)] = 15.0
    attempts: Annotated[int, Meta(ge=1, le=100)] = bounds.OUTBOX_ATTEMPTS
    retry_s: Annotated[float, Meta(gt=0, le=3_600)] = bounds.OUTBOX_RETRY_S
    hold: bool = False  # nothing goes out before a person releases it


class OutboxConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What goes out."""

    default: str = ""  # the destination of messages that name none
    destinations: dict[Name, DestinationConfig] = {}


NotifyOn = Literal["approval", "approval_expiring", "blocked", "failed", "budget", "completed"]


class NotifyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Tell somebody when something happens."""

    on: Annotated[tuple[NotifyOn, ...], Meta(min_length=1)]
    to: str
    id: Name = ""
    profile: str = "*"  # globs
    kind: str = "*"
    before_s: Annotated[float, Meta(gt=0, le=bounds.TIMEOUT_S_MAX)] = 3_600.0  # of approval_expiring


class CredentialsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who resolves `*_CREDENTIAL` references."""

    resolver: Literal["", "command", "file", "env", "keyring"] = ""
    argv: Argv = ()  # {id} in it is replaced by the id; without it the id comes last
    format: Literal["json", "text"] = "json"
    stdin_env: Variable | Literal[""] = ""  # a master password that goes to the command's stdin
    folder: Path = ""
    service: str = "rt"
    timeout_s: Annotated[float, Meta(gt=0, le=bounds.CREDENTIAL_S_MAX)] = bounds.CREDENTIAL_S


STRUCTS: tuple[type[msgspec.Struct], ...] = (
    SensorConfig, BridgeConfig, DestinationConfig, OutboxConfig, NotifyConfig, CredentialsConfig,
)  # fmt: skip

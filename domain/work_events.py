"""Events of what brings work in and of what goes out: sensors, and the outbox."""

from typing import Literal

import msgspec

from domain.payload import Consequence, Fact, Text


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What made a task, where that was no person: the stream of a schedule, sensor event, workflow or task."""

    kind: Literal["schedule", "sensor", "workflow", "follow_up", "bridge", "seed"]
    stream: str
    state: str = ""  # of a workflow, and which entry of it
    epoch: int = 0
    depth: int = 0  # follow-ups of follow-ups
    signals: tuple[str, ...] = ()  # that its workflow understands


# the stream of a sensor event, from its dedupe key


class SensorAccepted(Fact, frozen=True, kw_only=True, tag="sensor.accepted"):
    """Something outside happened for the first time. `task` and `workflow` are what was made of it, in the same put."""

    sensor: str
    event: str
    source_ref: str
    key: str
    payload: Text
    observed_us: int
    window: int = 0  # of a key that counts anew after a while
    task: str = ""
    workflow: str = ""
    workflow_known: bool = False  # it was there already


class SensorDeduplicated(Fact, frozen=True, kw_only=True, tag="sensor.deduplicated"):
    """It was told again, in a stream beside the event's. `conflict`: with another payload than the first time."""

    sensor: str
    event: str
    first: int  # position of the first one
    payload_sha256: str
    conflict: bool = False


class SensorNamed(Fact, frozen=True, kw_only=True, tag="sensor.named"):
    """The sensor used this id of an event; `stream` is where that event lies. One stream for each such id."""

    sensor: str
    event: str
    stream: str


# the stream of a sensor


class SensorRan(Fact, frozen=True, kw_only=True, tag="sensor.ran"):
    """A sensor's program ended: how many events it told, or why it failed. Idle runs are not recorded."""

    sensor: str
    accepted: int
    deduplicated: int
    cause: str = ""
    message: str = ""
    failures: int = 0  # in a row
    next_us: int = 0


class SensorParked(Consequence, frozen=True, kw_only=True, tag="sensor.parked"):
    """It failed too often in a row; it runs again when a person asks for it."""

    sensor: str
    failures: int


class SensorWentStale(Fact, frozen=True, kw_only=True, tag="sensor.went_stale"):
    """Nothing came from the sensor within its freshness deadline."""

    sensor: str
    last_us: int
    deadline_us: int


# the stream of a message that goes out


class OutboxQueued(Consequence, frozen=True, kw_only=True, tag="outbox.queued"):
    """A message is to be delivered, at least once, under this key. It was made in the put that made it true."""

    kind: Literal["message", "notification"]
    target: str  # the name of a configured destination
    message: Text
    key: str
    task: str = ""
    run: str = ""
    rule: str = ""  # of [notify]
    held: bool = False  # until a person releases it


class OutboxRefused(Consequence, frozen=True, kw_only=True, tag="outbox.refused"):
    """What a run wanted to go out, or to be done next, is not allowed or not possible."""

    what: Literal["message", "follow_up", "workflow_task"]
    count: int
    reason: str
    task: str = ""
    run: str = ""


class OutboxDelivered(Fact, frozen=True, kw_only=True, tag="outbox.delivered"):
    """The receiver took it."""

    attempt: int
    answer: str = ""  # a status or an exit code
    duration_us: int = 0


class OutboxFailed(Fact, frozen=True, kw_only=True, tag="outbox.failed"):
    """An attempt failed; it is repeated at `next_us`, or never where that is 0."""

    attempt: int
    cause: str
    next_us: int = 0


class OutboxRetried(Fact, frozen=True, kw_only=True, tag="outbox.retried"):
    """A person wants it delivered now."""

    reason: str = ""


class OutboxDropped(Fact, frozen=True, kw_only=True, tag="outbox.dropped"):
    """A person gave it up."""

    reason: str = ""


class AdapterFailedToStart(Fact, frozen=True, kw_only=True, tag="adapter.failed_to_start"):
    """A call of an adapter could not be started; after several in a row it rests, and its fallback is used."""

    adapter: str
    run: str
    cause: str
    failures: int  # in a row, across dispatchers
    rests_until_us: int = 0


class AdapterStarted(Fact, frozen=True, kw_only=True, tag="adapter.started"):
    """A call of an adapter was started again after some that could not be."""

    adapter: str
    run: str


AdapterEvent = AdapterFailedToStart | AdapterStarted
SensorEvent = SensorAccepted | SensorDeduplicated | SensorNamed | SensorRan | SensorParked | SensorWentStale
OutboxEvent = OutboxQueued | OutboxRefused | OutboxDelivered | OutboxFailed | OutboxRetried | OutboxDropped

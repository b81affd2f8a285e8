"""Names of streams and digests: what is derived from an id, so that nobody invents a second way."""

import hashlib
import uuid

from domain.events import Text

_SPACE = uuid.UUID("6f1d3c1e-5a0b-5d43-9d8e-2f6c8e0a7b11")

DISPATCH = uuid.uuid5(_SPACE, "dispatch").hex  # pause and resume
POLICY = uuid.uuid5(_SPACE, "policy").hex  # standing grants
SCHEDULES = uuid.uuid5(_SPACE, "schedules").hex  # ticks
LOG = uuid.uuid5(_SPACE, "log").hex  # what concerns the log itself


def output_stream(run: str) -> str:
    """The stream of a run's output, apart from its decisions so that those stay short. SQL can read the run off it."""
    return f"{run}.output"


def thread_stream(thread: str) -> str:
    """The stream of a thread, from its name."""
    return uuid.uuid5(_SPACE, f"thread:{thread}").hex


def memory_stream(scope: str, owner: str) -> str:
    """The stream of what is remembered for somebody."""
    return uuid.uuid5(_SPACE, f"memory:{scope}:{owner}").hex


def schedule_stream(name: str) -> str:
    """The stream of a schedule, from its name."""
    return uuid.uuid5(_SPACE, f"schedule:{name}").hex


def sensor_stream(sensor: str) -> str:
    """The stream of what concerns a sensor itself."""
    return uuid.uuid5(_SPACE, f"sensor:{sensor}").hex


def adapter_stream(adapter: str) -> str:
    """The stream of whether an adapter can be started."""
    return uuid.uuid5(_SPACE, f"adapter:{adapter}").hex


def sensed_stream(key: str, window: int = 0) -> str:
    """The stream of a sensor event, from its dedupe key: the key is the identity."""
    return uuid.uuid5(_SPACE, f"sensed:{window}:{key}").hex


def sensor_event_stream(sensor: str, event: str) -> str:
    """The stream that says which event a sensor's own id means."""
    return uuid.uuid5(_SPACE, f"sensor-event:{len(sensor)}:{sensor}:{event}").hex


def workflow_stream(instance_key: str) -> str:
    """The stream and id of a workflow, from its instance key: the key is the identity."""
    return uuid.uuid5(_SPACE, f"workflow:{instance_key}").hex


def outbox_stream(key: str) -> str:
    """The stream of a message that goes out, from its key."""
    return uuid.uuid5(_SPACE, f"outbox:{key}").hex


def keyed_task(key: str) -> str:
    """The id of the task with this idempotency key: the key is the identity, so a second one cannot be appended."""
    return uuid.uuid5(_SPACE, f"task:{key}").hex


def marker(run: str, call: int) -> str:
    """What a call's processes carry as RT_CALL, and by which they are found after a crash."""
    return f"{run}-{call}"


def effect_key(run: str, call: int) -> str:
    """Handed to tools so that a receiver can drop duplicates; the same on every repetition of the call."""
    return hashlib.sha256(f"{run}:{call}".encode()).hexdigest()


def text_of(content: bytes) -> Text:
    """The reference to a text."""
    return Text(hashlib.sha256(content).hexdigest(), len(content))

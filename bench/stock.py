"""The eventsourcing library as it is shipped, for comparison: an application that saves aggregates."""

from pathlib import Path
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate

from bench import harness

TEXT = "x" * 150  # so that an event has about the JSON that one of ours has


class _Conversation(Aggregate):
    class Said(Aggregate.Event):
        text: str
        number: int

        def apply(self, aggregate: Any) -> None:  # noqa: ANN401  # the library's signature
            """Nothing to keep."""

    def say(self, number: int) -> None:
        self.trigger_event(self.Said, text=TEXT, number=number)


def saved(path: Path, aggregates: int, events: int) -> float:
    """Events a second, saved as so many aggregates with so many events each, a transaction an aggregate."""
    app: Application[Any] = Application(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)})
    talks = [_Conversation() for _ in range(aggregates)]
    for talk in talks:
        for number in range(events - 1):  # its creation is one
            talk.say(number)
    took_s = harness.timed(lambda: [app.save(talk) for talk in talks])
    app.close()
    return aggregates * events / took_s

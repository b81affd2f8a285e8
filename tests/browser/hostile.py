"""A house to which strangers sent the whole corpus, through every field that they reach."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.api.serving import Served, served
from tests.browser.corpus import corpus, long, packed
from tests.browser.homes import LATER, House, furnished
from tests.commands.asking import ECHO

CONFIG: Final = """
[adapters.says]
command = "./says"
[controllers.mean]
kind = "command"
argv = ["python3", "mean.py"]
[profiles.mean]
controller = "mean"
tools = ["ask-person"]
[profiles.sends]
program = "one_shot"
external_messages = true
follow_up_tasks = true
"""
# what the task names is said, whatever it is
SAYS: Final = """#!/bin/sh
cat "$(sed 's/.*"file": *"\\([^"]*\\)".*/\\1/' "$RT_TASK_PAYLOAD_FILE")"
"""
MEAN: Final = """\
import json, pathlib, sys
asked = json.load(sys.stdin)
kind, _, number = asked["goal"].partition(" ")
text = pathlib.Path(f"text-{number}").read_text() if number else ""
if kind == "ask" and "start" in asked["triggers"]:
    print(json.dumps({"type": "ask", "question": text}))
elif kind == "babble":
    print(text, file=sys.stderr)
    print(text)
else:
    print(json.dumps({"type": "finish", "message": text, "outcome": "completed", text[:50]: text}))
"""


class Hostile(House):
    """The house, and where the texts went."""

    def __init__(self, at: Served) -> None:
        super().__init__(at)
        self.texts = [each.text for each in (*corpus(), *long())]
        self.subjects = packed(500)
        self.kinds = packed(200)
        self.words = packed(3_900)
        self.messages = packed(19_000)
        self.runs: dict[str, list[str]] = {}
        self.tasks: list[str] = []
        self._write_files()
        babble = self._agent("babble 0")  # is asked again, after pauses
        self._run_things()
        self._ask_things()
        self.post("dispatcher", paused=True, reason=packed(1_900)[0])
        self._feed_things()
        self._say_things()
        self.runs["babble"] = [self.reaches(babble, "blocked", "permanent_failure", "completed")]

    def _write_files(self) -> None:
        folder = self.folder / ".rt" / "artifacts" / "strange"
        folder.mkdir(parents=True, exist_ok=True)
        self.names = [
            each.text for each in corpus() if not set(each.text) & set("/\0") and len(each.text.encode()) < 250
        ]
        for name in self.names:
            (folder / name).write_text("x")
        everything = "\n".join(self.texts)
        (folder / "everything").write_bytes(everything.encode() + b"\0 zqnul \xff\xfe zqend\n")
        (self.folder / "out").write_bytes(everything.encode() + b"\n\0 zqnul \xff\xfe zqend\n")
        for number, text in enumerate(self.words):
            (self.folder / f"text-{number}").write_text(text)
            outcome = {
                "status": "completed", "operator_summary": text, "artifact_paths": packed(900)[number::5],
                "changed_files": [text[:200]], "skill_refs": [text[:100]], "machine_status": text[:100], "notes": text,
                "external_messages": [{"text": text, "to": text[:100]}],
                "next_tasks": [{"kind": text[:50], "payload": {"a": text}}],
            }  # fmt: skip
            (self.folder / f"outcome-{number}").write_text(json.dumps(outcome))

    def _run_things(self) -> None:
        """Runs that print, report and decide."""
        output = [self.command("sh", "-c", "cat out; cat out >&2", subject="prints all")]
        named = {"requested_profile": "sends", "requested_adapter": "says"}
        reports = [self.queue({"file": f"outcome-{each}"}, **named) for each in range(len(self.words))]
        reports.append(self.queue({"file": "out"}, **named))
        decided = [self._agent(f"say {each}") for each in range(len(self.words))]
        for name, tasks in (("output", output), ("reports", reports), ("decided", decided)):
            over = ("completed", "blocked", "permanent_failure", "retryable_failure")
            self.runs[name] = [self.reaches(each, *over) for each in tasks]

    def _agent(self, goal: str, profile: str = "mean", **fields: Any) -> str:  # noqa: ANN401  # fields of a task
        wanted = {"requested_adapter": "agent", "requested_profile": profile}
        return self.queue({"goal": goal}, **(wanted | fields))

    def _ask_things(self) -> None:
        """What waits for a person, and what was answered."""
        args = [text for text in self.texts if len(text.encode()) < 20_000]
        self.call = {"command": "echo", "args": args}
        again = self.waits({"command": "echo", "args": args[::2]})
        self.at.rt("approve", again, "1", "--always-for", "8h")
        again = self.waits(ECHO)
        self.post(
            f"runs/{again}/approvals/1",
            answer="reject",
            shown_sha256=self.asked(again)["digest"],
            reason=self.words[0][:1_900],
        )
        self.runs["answered"] = [again]
        self.runs["asks"] = [self.waits(self.call), *(self._question(each) for each in range(len(self.words)))]

    def _question(self, number: int) -> str:
        return self.reaches(self._agent(f"ask {number}"), "waiting_for_approval", "blocked")

    def _feed_things(self) -> None:
        """Tasks, schedules, sensor events and workflows."""
        for number, text in enumerate(self.kinds):
            fields = {"subject": self.subjects[number]} if number < len(self.subjects) else {}
            more = {"kind": text, "source": text, "available_at": LATER, "description": text, "priority": 1}
            self.tasks.append(
                self.queue({"texts": self.texts if not number else [text], text: text}, **(more | fields))
            )
        for task, reason in zip(self.tasks[5:], packed(1_900), strict=False):
            self.post(f"tasks/{task}/cancel", reason=reason)
        self.schedules = packed(120)
        for text in self.schedules:
            made = {"kind": text, "source": "s", "payload": {text: text}, "requested_adapter": "says"}
            self.post("schedules", name=text, task=made, interval_seconds=86_400)
        for text in self.subjects:
            payload: dict[str, Any] = {text: self.texts if text == self.subjects[0] else text}
            told = {"sensor_id": text, "event_id": text, "source_ref": text, "dedupe_key": text}
            self.post("sensors/events", payload=payload, **told)
            self.post("workflows", template="goal-loop", instance_key=text, context={"goal": text, text: text})
        self.post("snapshots", label=packed(90)[0])

    def _say_things(self) -> None:
        """Threads, whose agent never comes to answer."""
        for text in (*self.messages, *(each.text[:19_000] for each in long())):
            self.post("threads/strange/messages", text=text)


@contextmanager
def hostile(folder: Path) -> Iterator[Hostile]:
    """Such a house, served, with a dispatcher in the server."""
    furnished(folder, CONFIG)
    for name, text in (("says", SAYS), ("mean.py", MEAN)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    with served(folder, "--work") as at:
        found = Hostile(at)
        try:
            yield found
        finally:
            found.close()

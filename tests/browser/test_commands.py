"""What a button does is also a command: it is shown, and does the same in a terminal."""

import shlex
from collections.abc import Callable

import pytest

from tests.browser.homes import LATER, House, Rich
from tests.browser.tabs import Tabs
from tests.browser.watch import Tab, expect
from tests.commands.place import Done, Place

WORDS = "said in a terminal"
Given = Callable[[House], tuple[str, str]]  # what was there before; the address where the button is, and what it is of


def terminal(house: House, command: str) -> Done:
    """A command that the page shows, as somebody types it who fills in what it leaves open."""
    program, *argv = shlex.split(command.replace("…", f"'{WORDS}'").replace(" N", " 42"))
    assert program == "rt"
    return Place(house.folder).rt(*argv)


def shown_for(tab: Tab, button: str) -> str:
    """The command that is shown before it is done; it is not done."""
    tab.button(button).first.click()
    dialog = tab.page.locator("dialog[open]")
    command = dialog.locator(".command code").inner_text()
    dialog.get_by_role("button", name="Back").click()
    expect(dialog).to_have_count(0)
    return command


def waiting(house: House) -> tuple[str, str]:
    task = house.queue({"objective": "x"}, available_at=LATER)
    return f"/tasks/{task}", task


def blocked(house: House) -> tuple[str, str]:
    task = house.command("false")
    house.reaches(task, "blocked")
    return f"/tasks/{task}", task


def running(house: House) -> tuple[str, str]:
    task = house.command("sleep", "600")
    run = ""
    while not run:
        run = house.run_of(task)
    return f"/runs/{run}", run


def scheduled(house: House) -> tuple[str, str]:
    for each in house.items("schedules"):
        house.at.rt("schedule", "remove", each["name"])
    task = {"kind": "tick", "source": "s", "payload": {"objective": "x"}, "requested_adapter": "worker"}
    house.post("schedules", name="every day", task=task, interval_seconds=86_400)
    return "/schedules", "every day"


def disabled(house: House) -> tuple[str, str]:
    found = scheduled(house)
    house.at.rt("schedule", "disable", "every day")
    return found


def flowing(house: House) -> tuple[str, str]:
    key = f"it's {len(house.items('workflows', all='true'))}"
    house.post("workflows", template="goal-loop", instance_key=key, context={"goal": "x"})
    return f"/workflows/{key}", key


def talking(house: House) -> tuple[str, str]:
    task = house.post("threads/talk/messages", text="hello")["task_id"]
    house.reaches(task, "completed")
    return "/threads/talk", "talk"


def held(house: House) -> tuple[str, str]:
    house.reaches(house.queue({"objective": "x"}, requested_profile="it"), "completed")
    return "/outbox", ""


def going(_: House) -> tuple[str, str]:
    return "/", ""


def paused(house: House) -> tuple[str, str]:
    house.post("dispatcher", paused=True)
    return "/", ""


ACTIONS: dict[str, tuple[Given, str, str]] = {
    "cancel a task": (waiting, "Cancel", "task.canceled"),
    "prioritize": (waiting, "Prioritize", "task.prioritized"),
    "retry": (blocked, "Retry", "task.retried"),
    "unblock": (blocked, "Unblock", "task.unblocked"),
    "cancel a run": (running, "Cancel", "run.cancel_asked"),
    "pause": (going, "Pause", "dispatcher.paused"),
    "resume": (paused, "Resume", "dispatcher.resumed"),
    "disable a schedule": (scheduled, "Disable", "schedule.disabled"),
    "enable a schedule": (disabled, "Enable", "schedule.enabled"),
    "run a schedule": (scheduled, "Run now", "schedule.fired"),
    "remove a schedule": (scheduled, "Remove", "schedule.removed"),
    "move a workflow": (flowing, "plan_ready → execute", "workflow.transitioned"),
    "skip a state": (flowing, "Skip", "workflow.transitioned"),
    "complete a workflow": (flowing, "Complete", "workflow.completed"),
    "cancel a workflow": (flowing, "Cancel", "workflow.canceled"),
    "restart a thread": (talking, "Restart", "thread.restarted"),
    "delete a thread": (talking, "Delete", "thread.deleted"),
    "release a message": (held, "Release", "outbox.retried"),
    "drop a message": (held, "Drop", "outbox.dropped"),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_the_command_that_a_button_shows_does_the_same(home: House, tabs: Tabs, action: str) -> None:
    given, button, topic = ACTIONS[action]
    address, _ = given(home)
    tab = tabs.open(home.at, address)
    command = shown_for(tab, button)
    before = home.at.head()[0]
    done = terminal(home, command)
    assert done.code == 0, done.errors
    topics = {each["topic"].rpartition(".v")[0] for each in home.items("events", after=before, limit=500)}
    assert topic in topics, (command, topics)
    if action == "pause":
        home.post("dispatcher", paused=False)  # the others need what runs


def test_the_commands_of_an_approval_answer_it(home: House, tabs: Tabs) -> None:
    for verb, topic in (("approve", "run.call_approved"), ("reject", "run.call_rejected")):
        run = home.waits()
        tab = tabs.open(home.at, f"/approvals/{run}/c1")
        shown = [each.inner_text() for each in tab.main.locator(".command code").all()]
        (command,) = [each for each in shown if each.startswith(f"rt {verb} ")]
        done = terminal(home, command)
        assert done.code == 0, done.errors
        assert topic in home.events(run)


def test_the_command_of_an_edit_carries_the_edit(home: House, tabs: Tabs) -> None:
    run = home.waits()
    tab = tabs.open(home.at, f"/approvals/{run}/c1")
    tab.main.locator("summary", has_text="Edit").click()
    tab.field("other arguments, as JSON").fill('{"command": "echo", "args": ["it\'s $HOME"]}')
    done = terminal(home, shown_for(tab, "Approve as edited"))
    assert done.code == 0, done.errors
    home.reaches(str(home.get(f"runs/{run}")["task"]), "completed")
    assert home.items(f"runs/{run}/output")[0]["text"] == "it's $HOME\n"


LOOKS = (
    "rt task", "rt run", "rt why", "rt thread list", "rt approval", "rt schedule list", "rt sensor list",
    "rt workflow list", "rt workflow show", "rt outbox list", "rt adapter list", "rt sql", "rt report", "rt health",
    "rt replay",
)  # fmt: skip
OTHERS = (
    "rt work",
    "rt log tail -f",
    "rt serve",
    "rt reply",
    "rt intake",
    "rt schedule create",
    "rt fork",
    "rt approve",
    "rt reject",
)


def test_every_command_that_a_page_shows_works(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at)
    shown: dict[str, str] = {}
    others = ("question", "event", "compared", "run-report", "run-timeline", "file", "outbox")  # with the same ones
    for address in (address for name, address in full.addresses().items() if name not in others):
        tab.go(address)
        expect(tab.main.get_by_text("loading…", exact=True)).to_have_count(0)
        shown |= dict.fromkeys(tab.main.locator(".command code").all_text_contents(), address)
    looks = [each for each in shown if each.startswith(LOOKS) and not each.endswith("--step")]  # that needs a terminal
    assert len(looks) > 15
    assert [each for each in shown if not each.startswith((*LOOKS, *OTHERS))] == []
    wrong = {}
    for command in looks:
        done = Place(full.folder).rt(*shlex.split(command)[1:])
        if done.code not in (0, 1) or b"Usage" in done.err:
            wrong[command] = (shown[command], done.errors)
    assert wrong == {}

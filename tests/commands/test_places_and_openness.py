"""Where a script runs and what its bundle says of that (BN-5); a task that waits for a person is an open one (IN-7)."""

import json

from tests.commands.asking import ECHO, RULES, wanting
from tests.commands.fakes import Bench
from tests.commands.place import Place

SCRIPT = """
[adapters.here]
command = "./script"
[adapters.there]
command = "./script"
working_dir = "below/it"
"""


def test_bn5_a_script_runs_in_its_own_folder_and_its_bundle_says_so(place: Place) -> None:
    bench = Bench(place)
    bench.config(SCRIPT)
    bench.program("script", "out(json.dumps(DONE))")
    (place.folder / "below/it").mkdir(parents=True)
    (place.folder / "elsewhere").mkdir()
    for name, folder in (("here", place.folder), ("there", place.folder / "below/it")):
        bench.queue(requested_adapter=name)
        place.rt("run-once", cwd=place.folder / "elsewhere")
        assert bench.seen("script")[-1].cwd == str(folder)
        run = bench.last(bench.earlier[-1])
        assert run.end[0] == "completed"
        assert json.loads(run.text(run.one("run.started").call))["cwd"] == str(folder)


def test_in7_a_task_that_waits_for_a_person_is_open_for_a_schedule_that_skips(place: Place) -> None:
    place.config(RULES)
    task = json.loads(wanting([ECHO]))
    schedule = {"name": "s", "task": task, "interval_seconds": 60, "overlap": "skip"}
    place.ok("schedule", "create", json.dumps(schedule | {"next_run_at": "2030-01-01T00:00:00Z"}))
    assert place.json("schedule", "tick", "--at", "2030-01-01T00:00:00Z")["tasksCreated"] == 1
    place.ok("run-once")
    assert place.task("@last")["status"] == "waiting_for_approval"
    assert place.json("schedule", "tick", "--at", "2030-01-01T00:01:00Z")["tasksCreated"] == 0
    place.ok("reject", "@waiting", "--reason", "no")
    place.ok("work", "--until-idle")
    assert place.json("schedule", "tick", "--at", "2030-01-01T00:02:00Z")["tasksCreated"] == 1


def test_in7_a_task_that_waits_for_a_person_is_what_its_key_leads_to(place: Place) -> None:
    place.config(RULES)
    document = wanting([ECHO], idempotency_key="once")
    first = place.ok("intake", document, "--json").document
    place.ok("run-once")
    assert place.task(first["task_id"])["status"] == "waiting_for_approval"
    again = place.ok("intake", document, "--json").document
    assert (again["task_id"], again["deduplicated"]) == (first["task_id"], True)

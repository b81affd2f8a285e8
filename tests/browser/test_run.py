"""A run from every side: what it did, what it printed, its state at any moment, why, and how else it could be."""

import json
import re

import pytest

from tests.browser.homes import House, Rich
from tests.browser.tabs import Tabs
from tests.browser.watch import Tab, expect


def test_its_head_says_what_it_is_and_how_it_went(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, f"/runs/{full.failed}")
    about = full.get(f"runs/{full.failed}")
    expect(tab.main.locator("h1")).to_have_text("says no")
    for words in ("✗ failed", "exit:3", "command", "attempt 1 of 1", about["task"], about["bundle_sha256"]):
        expect(tab.main).to_contain_text(words)
    row = tab.rows("calls")
    for words in ("c1", "✓ exited", "exit 3", "3 B"):
        expect(row).to_contain_text(words)


def test_its_log_is_searched_and_each_event_is_seen_raw(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, f"/runs/{full.watched}#log")
    events = full.items(f"runs/{full.watched}/events", limit=500)
    expect(tab.main.get_by_text(f"{len(events)} of {len(events)} events")).to_be_visible()
    tab.main.get_by_role("searchbox", name="Search").fill("decision_made")
    wanted = [each for each in events if "decision_made" in json.dumps(each)]
    expect(tab.main.get_by_text(f"{len(wanted)} of {len(events)} events")).to_be_visible()
    lines = tab.main.get_by_label("events of the run").locator(".line")
    expect(lines).to_have_count(len(wanted))
    lines.first.click()
    chosen = tab.main.get_by_label("the chosen event")
    assert json.loads(chosen.inner_text()) == wanted[0]
    assert tab.page.url.endswith(f"#log@{wanted[0]['position']}")
    tab.page.reload()
    expect(chosen).to_contain_text(wanted[0]["topic"])


def test_its_output_is_told_apart_by_stream(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, f"/runs/{full.hello}#output")
    lines = tab.main.get_by_label("output of the run").locator(".line")
    expect(lines).to_have_count(3)
    assert {each.inner_text() for each in lines.locator(".text").all()} == {"hello", "a problem", "bye"}
    expect(tab.main.locator(".line.stderr")).to_have_count(1)
    expect(tab.main.locator(".line.stderr")).to_contain_text("stderr")
    tab.choice("stream").select_option("stderr")
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text("a problem")
    tab.choice("stream").select_option("stdout")
    expect(lines.locator(".text")).to_have_text(["hello", "bye"])


def test_output_comes_as_it_is_printed(home: House, tabs: Tabs) -> None:
    (home.folder / "more").unlink(missing_ok=True)
    wait = "for i in $(seq 1200); do [ -e more ] && break; sleep 0.05; done"
    task = home.command("sh", "-c", f"printf 'be'; {wait}; echo 'gun'; echo over")
    while not home.run_of(task):
        pass
    tab = tabs.open(home.at, f"/runs/{home.run_of(task)}#output")
    lines = tab.main.get_by_label("output of the run").locator(".text")
    (home.folder / "more").touch()
    expect(lines).to_have_text(["begun", "over"])
    expect(tab.main.locator("p", has_text="✓ completed")).to_be_visible()


def test_its_state_goes_forward_and_back_with_what_changed(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, f"/runs/{full.watched}#state")
    positions = [each["position"] for each in full.items(f"runs/{full.watched}/events", limit=500)]
    label = tab.main.locator("output")
    expect(label).to_contain_text(f"event {len(positions)} of {len(positions)}, position {positions[-1]}")
    slider = tab.main.get_by_role("slider", name="event of the run")
    slider.fill("2")
    expect(label).to_contain_text(f"event 2 of {len(positions)}, position {positions[1]}: run.started")
    changed = full.get(f"runs/{full.watched}/state", at=str(positions[1]))["changes"]
    expect(tab.rows("changes")).to_have_count(len(changed))
    for each in changed[:5]:
        expect(tab.rows("changes").filter(has_text=each["path"]).first).to_be_visible()
    assert tab.page.url.endswith(f"#state@{positions[1]}")
    tab.button("after ▶").click()
    expect(label).to_contain_text(f"event 3 of {len(positions)}")
    tab.button("◀ before").click()
    tab.button("◀ before").click()
    expect(label).to_contain_text(f"event 1 of {len(positions)}")
    tab.page.reload()
    expect(label).to_contain_text(f"event 1 of {len(positions)}")


def test_its_decisions_lead_to_the_state_that_they_saw(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, f"/runs/{full.watched}#decisions")
    decisions = full.items(f"runs/{full.watched}/decisions")
    expect(tab.rows("decisions")).to_have_count(len(decisions))
    for number, each in enumerate(decisions):
        expect(tab.rows("decisions").nth(number)).to_contain_text(each["decision"])
    tab.rows("decisions").first.get_by_role("link").click()
    expect(tab.main.locator("output")).to_contain_text(f"position {decisions[0]['position']}: run.decision_made")


def test_its_artifacts_are_looked_at_and_taken_home(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, f"/runs/{full.report}#artifacts")
    row = tab.rows("artifacts")
    expect(row).to_contain_text("reports/s.md")
    with tab.page.expect_download() as taken:
        row.get_by_role("link", name="download").click()
    assert taken.value.path().read_text() == "# a report\n"
    row.get_by_role("link", name="look").click()
    expect(tab.main.locator("pre")).to_contain_text("# a report")


def test_it_says_why(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, f"/runs/{full.watched}#why")
    reasons = full.items(f"runs/{full.watched}/why")
    expect(tab.main.locator("ol.chain li")).to_have_count(len(reasons))
    expect(tab.main.locator("ol.chain li").last).to_contain_text(reasons[-1]["says"][:30])
    tab.field("what about").fill("@decision1")
    tab.button("Ask").click()
    first = full.items(f"runs/{full.watched}/why", about="@decision1")
    expect(tab.main.locator("ol.chain li")).to_have_count(len(first))
    tab.answered(404, 422)
    tab.field("what about").fill("@decision99")
    tab.button("Ask").click()
    expect(tab.main.locator("#side .problem")).to_be_visible()


def test_it_is_forked_with_another_input(full: Rich, tabs: Tabs) -> None:
    position = full.items(f"runs/{full.watched}/decisions")[0]["position"]
    tab = tabs.open(full.at, f"/runs/{full.watched}#state@{position}")
    head = full.at.head()
    forked(tab)
    expect(tab.main).to_contain_text("it says the same as the recorded run")
    forked(tab, controller="it")
    expect(tab.main.locator("form + div")).not_to_contain_text("it says the same")
    expect(tab.main.locator("form + div")).not_to_have_text("…")
    tab.answered(422)
    forked(tab, sets="budgets.tool_calls=nonsense")
    expect(tab.main.locator("form + div .problem")).to_be_visible()
    assert full.at.head() == head


def forked(tab: Tab, controller: str = "", sets: str = "") -> None:
    form = tab.main.locator("details", has_text="Fork here")
    if form.get_attribute("open") is None:
        form.locator("summary").click()
    form.locator("#controller").fill(controller)
    form.locator("#sets").fill(sets)
    form.get_by_role("button", name="Fork", exact=True).click()


def test_its_report_is_a_file(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, f"/runs/{full.hello}")
    with tab.page.expect_download() as taken:
        tab.link("Report").click()
    assert taken.value.suggested_filename.endswith(".html")
    assert taken.value.path().read_text().lower().startswith("<!doctype html>")


LIVE = {
    "log": ("#side [role=status]", "run.finished"),
    "decisions": ("#side tbody tr", "finish"),
    "state": ("#side input[type=range]", ""),
    "why": ("#side ol.chain li", ""),
}


@pytest.mark.parametrize("side", LIVE)
def test_a_side_of_a_run_that_goes_on_goes_on_too(home: House, tabs: Tabs, side: str) -> None:
    where, word = LIVE[side]
    run = home.waits()
    tab = tabs.open(home.at, f"/runs/{run}#{side}")
    found = tab.main.locator(where)
    expect(found.first).to_be_attached()

    def seen() -> list[str]:
        return [f"{each.get_attribute('max')} {re.sub('[0-9]+ s ago', '', each.inner_text())}" for each in found.all()]

    before = seen()
    home.post(f"runs/{run}/approvals/1", answer="approve", shown_sha256=home.asked(run)["digest"])
    expect(tab.main.locator("p", has_text="✓ completed")).to_be_visible()
    tab.until(lambda: seen() != before, f"{side} shows what it showed, without {word}")


def test_artifacts_are_seen_as_soon_as_they_are_told(home: House, tabs: Tabs) -> None:
    (home.folder / "go").unlink(missing_ok=True)
    task = home.queue({"objective": "x"}, requested_adapter="waits")
    while not home.run_of(task):
        pass
    tab = tabs.open(home.at, f"/runs/{home.run_of(task)}#artifacts")
    expect(tab.main).to_contain_text("it names no artifacts")
    (home.folder / "go").touch()
    expect(tab.main.locator("p", has_text="✓ completed")).to_be_visible()
    expect(tab.rows("artifacts")).to_contain_text("waited/w.md")


def test_a_long_line_can_be_read_to_its_end(home: House, tabs: Tabs) -> None:
    run = home.done("sh", "-c", "printf 'begin%0900d-the-end\\n' 7")
    tab = tabs.open(home.at, f"/runs/{run}#output")
    box = tab.main.get_by_label("output of the run")
    line = box.locator(".text").first
    expect(line).to_contain_text("-the-end")
    reach = (
        "box => { box.scrollLeft = 1e9; const r = document.createRange(), t = box.querySelector('.text').firstChild;"
    )
    reach += " r.setStart(t, t.length - 4); r.setEnd(t, t.length); const a = r.getBoundingClientRect(),"
    reach += " b = box.getBoundingClientRect(); return a.width > 0 && a.left >= b.left && a.right <= b.right; }"
    assert box.evaluate(reach)

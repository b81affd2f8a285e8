"""What a person finds out and says: that a time is over, that an effect happened or not, that a grant is over."""

import json
from pathlib import Path

from tests.api.serving import served, until
from tests.browser.homes import House, furnished
from tests.browser.tabs import Tabs
from tests.browser.watch import expect

HANGS = {"command": "sh", "args": ["-c", "echo $$ >> begun; [ -e again ] || sleep 600"]}


def test_an_approval_whose_time_is_over_says_so_and_cannot_be_given(home: House, tabs: Tabs) -> None:
    run = home.waits({"command": "hurry", "args": []})
    tab = tabs.open(home.at, f"/approvals/{run}/c1")
    tab.answered(409)
    expect(tab.main).to_contain_text(" left")
    expect(tab.button("Approve (a)")).to_have_count(0)
    expect(tab.main).not_to_contain_text("somebody answered")
    expect(tab.main).to_contain_text("in time")
    tab.page.reload()
    expect(tab.main).to_contain_text("as nobody answered in time")


def test_an_effect_of_unknown_outcome_is_settled(tabs: Tabs, tmp_path: Path) -> None:
    folder = furnished(tmp_path / "here")
    with served(folder, "--work") as at:
        house = House(at)
        task = house.agent(HANGS, profile="runner")
        until((folder / "begun").exists, "it does not begin")
        at.process.kill()
        at.process.wait()
        house.close()
    (folder / "again").touch()
    with served(folder, "--work") as again:
        again.tokens |= at.tokens
        house = House(again)
        run = house.reaches(task, "blocked")
        tab = tabs.open(again, "/approvals")
        tab.allow("net::ERR_")  # when the server ends
        card = tab.main.locator("article").filter(has_text=run[:8])
        expect(card).to_contain_text("unknown outcome")
        expect(card).to_contain_text("[ -e again ] || sleep 600")
        tab.shot("unknown-outcome")
        assert (
            tab.act(card.get_by_role("button", name="It did not"), "I looked")
            == f"rt settle {run[:8]} 1 --did-not-happen"
        )
        expect(card).to_have_count(0)
        house.reaches(task, "completed")
        assert len((folder / "begun").read_text().split()) == 2
        house.close()


def test_a_standing_grant_is_seen_and_revoked(home: House, tabs: Tabs) -> None:
    call = {"command": "echo", "args": ["granted"]}
    run = home.waits(call)
    home.at.rt("approve", run, "1", "--always-for", "8h")
    home.reaches(home.agent(call), "completed")
    tab = tabs.open(home.at, "/approvals")
    row = tab.rows("standing grants").filter(has_text="granted")
    expect(row).to_contain_text("local-process")
    grant = home.items("grants")[0]
    assert json.loads(row.locator("td").nth(3).inner_text()) == grant["arguments"]
    assert tab.act(row.get_by_role("button", name="Revoke")) == f"rt grant revoke {grant['id'][:8]}"
    expect(row).to_have_count(0)
    home.waits(call)

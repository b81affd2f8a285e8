"""What waits for a person: shown exactly, answered once, and whoever is second learns who was first."""

import json

import pytest

from tests.browser.homes import House
from tests.browser.tabs import Tabs
from tests.browser.watch import Browser, Tab, expect

WORDS = ["-c", "echo 'done so'; echo $0", "a b", ""]
CALL = {"command": "sh", "args": WORDS}


@pytest.fixture
def asked(home: House, tabs: Tabs) -> tuple[str, Tab]:
    """A run that asks for a yes, and a tab that shows what it asks for."""
    run = home.waits(CALL)
    return run, tabs.open(home.at, f"/approvals/{run}/c1")


def printed(home: House, run: str) -> str:
    return "".join(str(each["text"]) for each in home.items(f"runs/{run}/output"))


def ends(home: House, run: str, tab: Tab) -> None:
    tab.until(lambda: home.state(run) not in ("waiting_for_approval", "resuming", "running"), "the run does not end")


def exactly(tab: Tab) -> object:
    return json.loads(tab.main.get_by_label("exactly what waits").inner_text())


def test_what_waits_is_listed_first_and_one_click_away(home: House, tabs: Tabs) -> None:
    run = home.waits(CALL)
    tab = tabs.open(home.at)
    card = tab.section("waiting for you").locator("article").filter(has_text=run[:8])
    expect(card).to_contain_text("local-process")
    card.get_by_role("link", name="Look and answer").click()
    expect(tab.main.locator("h1")).to_have_text("May this be done?")
    assert tab.page.url == f"{home.at.url}/approvals/{run}/c1"


def test_the_action_is_shown_word_for_word_with_its_whole_digest(home: House, asked: tuple[str, Tab]) -> None:
    run, tab = asked
    known = home.get(f"runs/{run}/approvals/1")
    assert exactly(tab) == CALL == known["arguments"]
    expect(tab.main).to_contain_text(known["digest"])
    for word in (run, "local-process", "asker", str(home.folder), "once"):
        expect(tab.main.locator("dl")).to_contain_text(word)
    expect(tab.main).to_contain_text("the agent is told your reason and decides again")
    tab.shot("approval")


def test_a_yes_is_given_to_exactly_that_and_the_run_goes_on(home: House, asked: tuple[str, Tab]) -> None:
    run, tab = asked
    digest = home.get(f"runs/{run}/approvals/1")["digest"]
    command = tab.act(tab.button("Approve (a)"), "go ahead")
    assert command == f"rt approve {run[:8]} 1 --digest {digest[:16]}"
    expect(tab.main.locator("p", has_text="✓ completed")).to_be_visible()
    assert tab.page.url.startswith(f"{home.at.url}/runs/{run}")
    assert printed(home, run) == "done so\na b\n"
    assert "run.call_approved" in home.events(run)


def test_ones_own_yes_is_not_called_somebody_elses(asked: tuple[str, Tab]) -> None:
    _, tab = asked
    tab.page.evaluate(
        """() => {
          const main = document.getElementById('main');
          window.said = [];
          const keep = () => window.said.push(main.textContent);
          new MutationObserver(keep).observe(main, {subtree: true, childList: true});
        }"""
    )
    tab.act(tab.button("Approve (a)"), "")
    expect(tab.main.locator("p", has_text="✓ completed")).to_be_visible()
    said = tab.page.evaluate("() => window.said")
    assert any("approved at position" in each for each in said)
    assert not any("somebody" in each for each in said)


def test_a_no_needs_a_reason_and_the_agent_is_told(home: House, asked: tuple[str, Tab]) -> None:
    run, tab = asked
    tab.button("Reject (r)").click()
    dialog = tab.page.get_by_role("dialog", name="Reject")
    dialog.get_by_role("button", name="Reject", exact=True).click()
    expect(dialog).to_be_visible()
    assert tab.confirm("not on a Friday").startswith(f"rt reject {run[:8]} 1 --digest ")
    expect(tab.main.locator("p", has_text="✗ failed")).to_be_visible()
    assert "run.call_rejected" in home.events(run)
    assert home.get(f"runs/{run}")["outcome"]["operator_summary"].endswith("not on a Friday")


def test_what_was_edited_is_done_instead(home: House, asked: tuple[str, Tab]) -> None:
    run, tab = asked
    tab.main.locator("summary", has_text="Edit").click()
    field = tab.field("other arguments, as JSON")
    assert json.loads(field.input_value()) == CALL
    field.fill('{"command": "echo",')
    tab.button("Approve as edited").click()
    expect(tab.main).to_contain_text("not JSON")
    field.fill('{"command": "echo", "args": ["something else"]}')
    tab.act(tab.button("Approve as edited"))
    ends(home, run, tab)
    assert printed(home, run) == "something else\n"
    assert "run.call_edited" in home.events(run)


def test_an_edit_that_changes_nothing_does_what_was_asked(home: House, tabs: Tabs) -> None:
    strange = ["\u202e\u200b", "\\u202e", "\x1b[31m", "\U000e0041", "é", "\x9b", "\n\t"]
    call = {"command": "printf", "args": ["%s", *strange]}
    run = home.waits(call)
    tab = tabs.open(home.at, f"/approvals/{run}/c1")
    tab.main.locator("summary", has_text="Edit").click()
    tab.act(tab.button("Approve as edited"))
    ends(home, run, tab)
    assert printed(home, run) == "".join(strange)


def test_whoever_looks_while_somebody_answers_in_a_terminal_is_told_who(home: House, asked: tuple[str, Tab]) -> None:
    run, tab = asked
    home.at.rt("--actor", "ann", "approve", run, "1")
    expect(tab.main).to_contain_text("meanwhile")
    expect(tab.button("Approve (a)")).to_have_count(0)
    expect(tab.main).to_contain_text("ann")


def test_a_second_answer_loses_and_says_who_was_first(home: House, asked: tuple[str, Tab]) -> None:
    run, tab = asked
    tab.answered(409)
    tab.button("Reject (r)").click()
    dialog = tab.page.get_by_role("dialog", name="Reject")
    dialog.locator("textarea").fill("I was thinking")
    home.at.rt("--actor", "ann", "approve", run, "1")
    dialog.get_by_role("button", name="Reject", exact=True).click()
    expect(tab.main).to_contain_text("was approved already, by operator:ann at position")
    assert "run.call_rejected" not in home.events(run)


def test_an_answer_that_was_given_before_is_told_on_its_page(home: House, tabs: Tabs) -> None:
    run = home.waits(CALL)
    home.at.rt("--actor", "ann", "reject", run, "1", "--reason", "no")
    tab = tabs.stranger(home.at).log_in()
    tab.answered(409)
    tab.go(f"/approvals/{run}/c1")
    expect(tab.main).to_contain_text("was rejected already, by operator:ann at position")
    expect(tab.link("the run")).to_have_attribute("href", f"/runs/{run}")


def test_a_long_action_is_scrolled_to_its_end_before_it_can_be_approved(home: House, tabs: Tabs) -> None:
    run = home.waits({"command": "echo", "args": [f"word {each}" for each in range(400)]})
    tab = tabs.open(home.at, f"/approvals/{run}/c1")
    yes = tab.button("Approve (a)")
    expect(yes).to_be_disabled()
    tab.page.keyboard.press("a")
    expect(tab.page.get_by_role("dialog")).to_have_count(0)
    exact = tab.main.get_by_label("exactly what waits")
    exact.evaluate("it => it.scrollTo(0, it.scrollHeight / 2)")
    tab.page.wait_for_timeout(100)
    expect(yes).to_be_disabled()
    exact.evaluate("it => it.scrollTo(0, it.scrollHeight)")
    expect(yes).to_be_enabled()
    tab.act(yes, "")
    ends(home, run, tab)
    assert home.state(run) == "completed"


def test_a_long_action_cannot_be_approved_as_edited_before_it_was_read_either(home: House, tabs: Tabs) -> None:
    run = home.waits({"command": "echo", "args": [f"word {each}" for each in range(400)]})
    tab = tabs.open(home.at, f"/approvals/{run}/c1")
    expect(tab.button("Approve (a)")).to_be_disabled()
    tab.main.locator("summary", has_text="Edit").click()
    expect(tab.button("Approve as edited")).to_be_disabled()


def test_a_question_is_answered_in_words(home: House, tabs: Tabs) -> None:
    task = home.post("threads/q/messages", text="a question")["task_id"]
    run = home.reaches(task, "waiting_for_approval")
    tab = tabs.open(home.at, f"/approvals/{run}/c{home.asked(run)['call']}")
    expect(tab.main.locator("h1")).to_have_text("A question for you")
    expect(tab.main.get_by_label("exactly what waits")).to_have_text("really?")
    tab.act(tab.button("Answer (a)"), "yes, really")
    ends(home, run, tab)
    assert home.state(run) == "completed"


def test_what_is_invisible_or_turns_text_around_is_seen_before_it_is_approved(home: House, tabs: Tabs) -> None:
    turned = "rm\u202e txt.\u200bexe\u00ad\u2066\ufeff\x1b[8m"
    run = home.waits({"command": "echo", "args": [turned]})
    tab = tabs.open(home.at, f"/approvals/{run}/c1")
    text = tab.main.inner_text()
    for each in ("\\u202e", "\\u200b", "\\u00ad", "\\u2066", "\\ufeff", "\\u001b[8m"):
        assert each in text
    assert not set(turned[2:]) & set("\u202e\u200b\u00ad\u2066\ufeff\x1b") & set(text)


@pytest.mark.parametrize("code", [0x034F, 0x180B, 0x180F, 0x2800, 0xFE00, 0xFE0F, 0xFFA0, 0x1BCA0, 0x1D173, 0xE0100])
def test_characters_that_show_nothing_are_seen_too(full_of_nothing: str, code: int) -> None:
    assert chr(code) not in full_of_nothing
    assert f"begin{code:x}\\u" in full_of_nothing


@pytest.fixture(scope="module")
def full_of_nothing(home: House, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of the page of an approval with characters that have no shape."""
    codes = [0x034F, 0x180B, 0x180F, 0x2800, 0xFE00, 0xFE0F, 0xFFA0, 0x1BCA0, 0x1D173, 0xE0100]
    run = home.waits({"command": "echo", "args": [f"begin{each:x}{chr(each)}end" for each in codes]})
    tabs = Tabs(browser, tmp_path_factory.mktemp("nothing"))
    try:
        return tabs.open(home.at, f"/approvals/{run}/c1").main.inner_text()
    finally:
        tabs.close()

"""Everything without a mouse."""

from tests.browser.homes import House
from tests.browser.tabs import Tabs
from tests.browser.watch import Tab, expect


def focused(tab: Tab) -> str:
    """The text of what has the focus."""
    return str(tab.page.evaluate("() => document.activeElement.textContent"))


def test_from_the_login_to_a_yes_with_keys_alone(home: House, tabs: Tabs) -> None:
    run = home.waits()
    tab = tabs.stranger(home.at)
    tab.answered(401)
    tab.page.goto(f"{home.at.url}/approvals")
    tab.drawn()
    keys = tab.page.keyboard
    keys.type(home.at.token("admin"))
    keys.press("Enter")
    card = tab.main.locator("article").filter(has_text=run[:8])
    expect(card).to_be_visible()
    for _ in tab.main.locator("a.row").all():
        keys.press("j")
        if card.locator("a.row:focus").count():
            break
    keys.press("Enter")
    expect(tab.main.locator("h1")).to_have_text("May this be done?")
    keys.press("a")
    expect(tab.page.locator("dialog textarea")).to_be_focused()
    keys.type("all right")
    keys.press("Tab")
    while focused(tab) != "Approve":
        keys.press("Tab")
    keys.press("Enter")
    expect(tab.main.locator("p", has_text="✓ completed")).to_be_visible()
    assert home.items(f"runs/{run}/events", limit=500)
    assert "run.call_approved" in home.events(run)


def test_r_rejects_after_asking_and_escape_goes_back(home: House, tabs: Tabs) -> None:
    run = home.waits()
    tab = tabs.open(home.at, f"/approvals/{run}/c1")
    keys = tab.page.keyboard
    keys.press("r")
    keys.press("Escape")
    expect(tab.page.locator("dialog")).to_have_count(0)
    assert home.state(run) == "waiting_for_approval"
    keys.press("r")
    expect(tab.page.locator("dialog textarea")).to_be_focused()
    keys.type("because r and a are letters of it")
    keys.press("Tab")
    while focused(tab) != "Reject":
        keys.press("Tab")
    keys.press("Enter")
    expect(tab.main.locator("p", has_text="✗ failed")).to_be_visible()
    assert home.get(f"runs/{run}")["outcome"]["operator_summary"].endswith("because r and a are letters of it")


def test_j_and_k_go_through_rows_and_enter_opens_one(home: House, tabs: Tabs) -> None:
    for name in ("first", "second", "third"):
        home.done("echo", name, subject=name)
    tab = tabs.open(home.at, "/runs")
    keys = tab.page.keyboard
    rows = [each.inner_text() for each in tab.rows("runs").locator("a.row").all()]
    seen = []
    for key in ("j", "j", "j", "k"):
        keys.press(key)
        seen.append(focused(tab))
    assert seen == [rows[0], rows[1], rows[2], rows[1]]
    keys.press("Enter")
    expect(tab.main.locator("h1")).to_have_text("second")


def test_the_row_that_was_chosen_stays_chosen_while_things_happen(home: House, tabs: Tabs) -> None:
    home.done("echo", "here", subject="stays")
    tab = tabs.open(home.at, "/runs")
    tab.page.keyboard.press("j")
    chosen = focused(tab)
    home.done("echo", "there", subject="comes in between")
    expect(tab.rows("runs").first).to_contain_text("comes in between")
    expect(tab.rows("runs").first).to_contain_text("✓ completed")
    assert focused(tab) == chosen


def test_a_slash_searches_and_letters_are_letters_there(home: House, tabs: Tabs) -> None:
    home.done("echo", "x", subject="a jar of keys for r")
    tab = tabs.open(home.at, "/tasks")
    keys = tab.page.keyboard
    keys.press("/")
    field = tab.main.get_by_role("searchbox", name="Search")
    expect(field).to_be_focused()
    keys.type("jar of keys for r?")
    assert field.input_value() == "jar of keys for r?"
    expect(tab.page.locator("dialog")).to_have_count(0)
    keys.press("Backspace")
    expect(tab.rows("tasks")).to_have_count(1)


def test_a_question_mark_tells_the_keys(home: House, tabs: Tabs) -> None:
    tab = tabs.open(home.at)
    tab.page.keyboard.press("?")
    dialog = tab.page.get_by_role("dialog", name="keys")
    for words in ("j / k", "Enter", "search", "follow the end", "approve, reject"):
        expect(dialog).to_contain_text(words)
    tab.shot("keys")
    tab.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_f_follows_the_end_and_lets_go(home: House, tabs: Tabs) -> None:
    run = home.done("sh", "-c", "for i in $(seq 300); do echo line $i; done")
    tab = tabs.open(home.at, f"/runs/{run}#output")
    follow = tab.main.get_by_label("follow (f)")
    box = tab.main.get_by_label("output of the run")
    expect(box).to_contain_text("line 1")
    tab.page.keyboard.press("f")
    expect(follow).to_be_checked()
    expect(box).to_contain_text("line 300")
    tab.page.keyboard.press("f")
    expect(follow).not_to_be_checked()
    tab.go("/log")
    expect(tab.main.get_by_label("follow (f)")).to_be_checked()
    tab.page.keyboard.press("f")
    expect(tab.main.get_by_label("follow (f)")).not_to_be_checked()


def test_g_and_a_letter_go_to_a_place(home: House, tabs: Tabs) -> None:
    tab = tabs.open(home.at)
    for letter, heading in (("t", "Tasks"), ("r", "Runs"), ("l", "Log"), ("s", "SQL"), ("n", "What is going on")):
        tab.page.keyboard.press("g")
        tab.page.keyboard.press(letter)
        expect(tab.main.locator("h1")).to_have_text(heading)


def test_a_link_skips_to_the_content_and_changes_nothing_of_it(home: House, tabs: Tabs) -> None:
    run = home.done("echo", "x")
    tab = tabs.open(home.at, f"/runs/{run}#output")
    skip = tab.page.locator("a.skip")
    assert str(tab.page.evaluate("() => document.querySelector('a[href], button').className")) == "skip"
    skip.focus()
    expect(skip).to_be_in_viewport()
    skip.press("Enter")
    expect(tab.main).to_be_focused()
    expect(tab.main.locator("#side h2")).to_have_text("Output")

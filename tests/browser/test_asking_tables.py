"""Questions to the tables and reports, on the page."""

from tests.browser.homes import House, Rich
from tests.browser.tabs import Tabs
from tests.browser.watch import expect


def test_an_example_is_a_question_away(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/sql")
    questions = full.items("sql/questions")
    expect(tab.choice("Examples").locator("option")).to_have_count(len(questions) + 1)
    tab.choice("Examples").select_option(label=questions[0]["asks"])
    expect(tab.main.get_by_role("status").first).to_contain_text("rows at position")
    assert tab.main.locator("#query").input_value() == questions[0]["sql"]


def test_every_example_is_answered(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/sql")
    for each in full.items("sql/questions"):
        tab.choice("Examples").select_option(label=each["asks"])
        status = tab.main.locator("#main > div > [role=status], [role=status]").first
        expect(status).to_contain_text("rows at position")
        expect(tab.main.locator(".problem")).to_have_count(0)


def test_numbers_beside_words_are_drawn_and_the_address_is_the_question(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/sql")
    asked = "SELECT status, count(*) AS n FROM tasks GROUP BY status ORDER BY status"
    tab.main.locator("#query").fill(asked)
    tab.main.locator("#query").press("Control+Enter")
    rows = tab.rows("result")
    known = {each["status"] for each in full.items("tasks", limit=500)}
    expect(rows).to_have_count(len(known))
    chart = tab.main.locator("svg.chart")
    assert chart.get_attribute("aria-label") == "n by status"
    expect(chart.locator("rect")).to_have_count(len(known))
    tab.shot("sql")
    tab.page.reload()
    expect(rows).to_have_count(len(known))
    assert tab.main.locator("#query").input_value() == asked


def test_what_it_cannot_answer_is_said_in_words(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/sql")
    tab.answered(400, 403, 409, 422)
    for asked, said in (
        ("SELECT nothing FROM tasks", "nothing"),
        ("DROP TABLE tasks", "SELECT"),
        ("SELECT * FROM read_csv('/etc/passwd')", ""),
        ("SELECT", ""),
    ):
        tab.main.locator("#query").fill(asked)
        tab.button("Ask").click()
        expect(tab.main.locator(".problem")).to_contain_text(said)
        expect(tab.rows("result")).to_have_count(0)
        assert "root:" not in tab.main.inner_text()


def test_it_is_answered_as_it_was(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/sql")
    tab.main.locator("#query").fill("SELECT count(*) AS n FROM tasks")
    first = full.items("events", topic="task.queued", limit=500)[-1]["position"]
    tab.field("as it was at").fill(str(first))
    tab.button("Ask").click()
    expect(tab.rows("result")).to_have_text(["1"])
    expect(tab.main).to_contain_text(f"1 rows at position {first}")
    assert f"at={first}" in tab.page.url


def test_a_report_of_a_period(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/report")
    expect(tab.field("since")).to_have_value("24h")
    expect(tab.main.locator("section.card").first).to_be_visible()
    found = full.get("report", since="24h")
    expect(tab.main.locator("section.card")).to_have_count(len(found["pictures"]))
    for each in found["pictures"]:
        expect(tab.main).to_contain_text(each["finding"])
    tab.shot("report")
    tab.field("since").fill("7d")
    tab.button("Show").click()
    expect(tab.main).to_contain_text("rt report --since 7d")
    assert tab.page.url.endswith("/report?since=7d")
    with tab.page.expect_download() as taken:
        tab.link("The whole report as a file").click()
    assert taken.value.suggested_filename.endswith(".html")
    tab.answered(422)
    tab.field("since").fill("yesterday, or so")
    tab.button("Show").click()
    expect(tab.main.locator(".problem")).to_contain_text("yesterday")


def test_two_snapshots_are_compared(home: House, tabs: Tabs) -> None:
    tab = tabs.open(home.at, "/report")
    tab.act(tab.button("Take one"), "before it")
    expect(tab.rows("snapshots").filter(has_text="before")).to_have_count(1)
    home.done("echo", "in between")
    home.post("snapshots", label="after it")
    tab.go("/report")
    names = {each["name"] for each in home.items("snapshots")}
    first, second = (next(name for name in names if word in name) for word in ("before", "after"))
    tab.field("or compare").fill(first)
    tab.field("with").fill(second)
    tab.button("Compare").click()
    done = tab.rows("tasks by state").filter(has_text="completed")
    expect(done.locator("td").last).to_have_text("1")
    tab.link("compare with now").first.click()
    expect(tab.rows("tasks by state").first).to_be_visible()
    tab.answered(404, 422)
    tab.field("or compare").fill("nobody")
    tab.button("Compare").click()
    expect(tab.main.locator(".problem")).to_be_visible()


def test_health_and_adapters_are_looked_at_on_wish(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/adapters")
    tab.button("Look at them now").click()
    expect(tab.rows("adapters").filter(has_text="worker")).to_contain_text("✓ ok")
    tab.button("Check everything").click()
    expect(tab.rows("checks").first).to_be_visible()
    tab.shot("health")

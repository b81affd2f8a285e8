"""What goes out and what was made, on the page: the outbox and files."""

from uuid import uuid4

from tests.browser.homes import House, Rich
from tests.browser.tabs import Tabs
from tests.browser.watch import expect


def test_a_message_that_is_held_is_released_or_dropped(home: House, tabs: Tabs) -> None:
    task = home.queue({"objective": "x"}, requested_profile="it")
    home.reaches(task, "completed")
    tab = tabs.open(home.at, "/outbox")
    rows = tab.rows("outbox").filter(has=tab.page.locator(f"a[href='/tasks/{task}']"))
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="◐ held")).to_have_count(2)
    tab.act(rows.first.get_by_role("button", name="Release"))
    expect(rows.filter(has_text="✓ delivered")).to_have_count(1)
    tab.act(rows.filter(has_text="held").get_by_role("button", name="Drop"), "not wanted")
    expect(rows.filter(has_text="■ dropped")).to_have_count(1)
    expect(rows.get_by_role("button")).to_have_count(0)


def test_a_file_is_seen_as_text_and_taken_home(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/files")
    tab.link("reports/").click()
    expect(tab.rows("files")).to_contain_text("11 B")
    tab.link("s.md").click()
    expect(tab.main.locator("pre")).to_have_text("# a report\n")
    assert tab.page.url.endswith("/files?path=reports%2Fs.md")
    with tab.page.expect_download() as taken:
        tab.link("Download").click()
    assert (taken.value.suggested_filename, taken.value.path().read_text()) == ("s.md", "# a report\n")
    tab.main.get_by_role("navigation", name="folders").get_by_role("link", name="reports").click()
    expect(tab.rows("files")).to_contain_text("s.md")


def test_a_page_among_the_files_is_never_shown_as_a_page(home: House, tabs: Tabs) -> None:
    folder = home.folder / ".rt" / "artifacts" / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.html").write_text("<script>document.title = 'mine'</script><h1>mine</h1>")
    (folder / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    tab = tabs.open(home.at, "/files?path=pages")
    for name in ("a.html", "a.svg"):
        answer = tab.context.request.get(f"{home.at.url}/api/v1/artifacts/file?path=pages/{name}")
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        with tab.page.expect_download() as taken:
            tab.page.evaluate("it => { location.href = it; }", f"/api/v1/artifacts/file?path=pages/{name}")
        assert taken.value.suggested_filename == name
    tab.go("/files?path=pages/a.html")
    expect(tab.main.locator("pre")).to_contain_text("<h1>mine</h1>")
    expect(tab.page).not_to_have_title("mine")


def test_an_escape_that_never_ends_hides_nothing_behind_it(home: House, tabs: Tabs) -> None:
    folder = home.folder / ".rt" / "artifacts" / "hiding"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, escape in (
        ("title", "\x1b]0;"),
        ("device", "\x1bP"),
        ("privacy", "\x1b^"),
        ("program", "\x1b_"),
        ("start", "\x1bX"),
    ):
        name = f"{kind}-{uuid4().hex[:6]}"
        (folder / name).write_text(f"before\n{escape}begun\nrm -rf everything\n")
        tab = tabs.open(home.at, f"/files?path=hiding/{name}")
        expect(tab.main.locator("pre")).to_contain_text("before")
        assert "rm -rf everything" in tab.main.locator("pre").inner_text(), kind

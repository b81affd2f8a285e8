"""The way in: a link that works once, a token, and out again."""

from tests.browser.homes import House
from tests.browser.tabs import Tabs
from tests.browser.watch import Tab, expect


def opened(tab: Tab, address: str) -> Tab:
    """A stranger's browser at an address; that it is not let in is a line of the console."""
    tab.answered(401)
    tab.page.goto(address)
    return tab.drawn()


def link(home: House) -> str:
    return home.at.rt("token", "link").stdout.strip()


def test_the_printed_link_opens_a_session_and_leaves_no_code_in_the_address(home: House, tabs: Tabs) -> None:
    tab = tabs.stranger(home.at)
    tab.page.goto(link(home))
    tab.drawn()
    expect(tab.page.locator("nav[aria-label=places]")).to_contain_text("workshop")
    assert tab.page.url == f"{home.at.url}/"
    assert "code" not in str(tab.page.evaluate("() => JSON.stringify([history.state, location.hash, document.cookie])"))
    tab.shot("first-sight")


def test_a_used_link_says_so_and_lets_nobody_in(home: House, tabs: Tabs) -> None:
    given = link(home)
    tabs.stranger(home.at).page.goto(given)
    tab = opened(tabs.stranger(home.at), given)
    expect(tab.main.get_by_role("alert")).to_contain_text("the code was used, is too old, or was never given")
    expect(tab.field("token")).to_be_focused()
    tab.shot("used-link")


def test_a_link_to_a_page_opens_it_after_the_login(home: House, tabs: Tabs) -> None:
    tab = opened(tabs.stranger(home.at), f"{home.at.url}/schedules")
    tab.field("token").fill(home.at.token("read"))
    tab.button("Log in").click()
    expect(tab.main.locator("h1")).to_have_text("Schedules")
    assert tab.page.url == f"{home.at.url}/schedules"


def test_a_token_is_a_way_in_and_a_wrong_one_is_refused(home: House, tabs: Tabs) -> None:
    tab = opened(tabs.stranger(home.at), home.at.url)
    expect(tab.page).to_have_title("rt: log in")
    field = tab.field("token")
    expect(field).to_have_attribute("type", "password")
    field.fill("rt_wrong")
    field.press("Enter")
    expect(tab.main.get_by_role("alert")).not_to_be_empty()
    field.fill(home.at.token("operate"))
    field.press("Enter")
    expect(tab.page.locator("#bottom")).to_contain_text("operate")
    assert tab.context.cookies()[0]["httpOnly"]
    assert tab.context.cookies()[0]["sameSite"] == "Strict"


def test_the_way_out_ends_the_session(home: House, tabs: Tabs) -> None:
    tab = tabs.open(home.at)
    tab.answered(401)
    cookie = tab.context.cookies()[0]
    tab.page.get_by_role("button", name="Log out").click()
    expect(tab.page).to_have_title("rt: log in")
    tab.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": home.at.url}])
    tab.page.goto(f"{home.at.url}/tasks")
    expect(tab.page).to_have_title("rt: log in")


def test_a_revoked_session_ends_on_the_open_page_too(home: House, tabs: Tabs) -> None:
    secret = home.at.rt("token", "new", "--scope", "read", "--name", "brief").stdout.strip()
    tab = tabs.stranger(home.at)
    tab.answered(401)
    answer = tab.context.request.post(f"{home.at.url}/api/v1/session", data={"token": secret})
    assert answer.ok
    tab.go("/tasks")
    home.at.rt("token", "revoke", "brief")
    expect(tab.page).to_have_title("rt: log in")

"""A page of another origin in the same browser, where the session's cookie is: it cannot post, read, frame, listen."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.browser.homes import House
from tests.browser.tabs import Tabs
from tests.browser.watch import Tab, expect

BODY = json.dumps({"kind": "k", "source": "evil", "payload": {"objective": "x"}})


@dataclass
class Evil:
    """A server of somebody else, and what came to it."""

    url: str = ""
    page: str = ""
    came: list[str] = field(default_factory=list)


@contextmanager
def evil() -> Iterator[Evil]:
    found = Evil()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.came.append(self.path)
            content = found.page.encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def other() -> Iterator[Evil]:
    with evil() as found:
        yield found


def visited(tab: Tab, other: Evil, page: str) -> Tab:
    """The same browser, with the session, on the page of the other origin."""
    other.page = f"<!doctype html><title>evil</title><body>{page}</body>"
    tab.allow(".")  # the browser says what it refused
    tab.page.goto(other.url)
    tab.foreign = [each for each in tab.foreign if not each.startswith(other.url)]
    return tab


def logged_in(home: House, tabs: Tabs) -> Tab:
    tab = tabs.open(home.at)
    expect(tab.page.locator("#pulse")).to_contain_text("live")
    return tab


FORM = '<form id=f method=post action="{url}%s" enctype="{kind}"><input name=\'%s\' value="%s"></form>'
POSTS = {
    "a task": FORM % ("/api/v1/tasks", BODY, ""),
    "a task in the old way": FORM % ("/api/tasks/queue", "message", "do it"),
    "a pause": FORM % ("/api/pause", "paused", "true"),
}


@pytest.mark.parametrize("what", POSTS)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_of_another_origin_does_nothing(home: House, tabs: Tabs, other: Evil, what: str, kind: str) -> None:
    before = home.at.head()[0]
    page = POSTS[what].replace("{url}", home.at.url).replace("{kind}", kind)
    tab = visited(logged_in(home, tabs), other, page)
    with tab.page.expect_response(lambda answer: answer.url.startswith(home.at.url)) as answered:
        tab.page.evaluate("() => document.getElementById('f').submit()")
    assert answered.value.status == 403
    assert home.by_people(before) == []


OPEN = "method: 'POST', mode: 'no-cors', credentials: 'include'"
JSON = "method: 'POST', credentials: 'include', headers: {'content-type': 'application/json'}"
FETCHES = {
    "post as text": f"fetch(url + '/api/v1/tasks', {{{OPEN}, body}})",
    "post as json": f"fetch(url + '/api/v1/tasks', {{{JSON}, body}})",
    "post in the old way": f"fetch(url + '/api/tasks/queue', {{{OPEN}, body}})",
    "pause": f"fetch(url + '/api/pause', {{{OPEN}, body: JSON.stringify({{paused: true}})}})",
    "beacon": "Promise.resolve(navigator.sendBeacon(url + '/api/v1/tasks', new Blob([body], {type: 'text/plain'})))",
    "delete": "fetch(url + '/api/v1/session', {method: 'DELETE', credentials: 'include'})",
    "log in": f"fetch(url + '/api/v1/session', {{{OPEN}, body: JSON.stringify({{code: 'x'}})}})",
}


@pytest.mark.parametrize("what", FETCHES)
def test_a_script_of_another_origin_does_nothing(home: House, tabs: Tabs, other: Evil, what: str) -> None:
    before = home.at.head()[0]
    tab = visited(logged_in(home, tabs), other, "")
    said = tab.page.evaluate(
        f"([url, body]) => {FETCHES[what]}.then(it => it === true ? 'sent' : it.type + it.status, it => 'refused')",
        [home.at.url, BODY],
    )
    assert said in ("refused", "opaque0", "sent")
    assert home.by_people(before) == []
    tab.go("/tasks")  # the session is what it was
    expect(tab.main.locator("h1")).to_have_text("Tasks")


LOADED = "new Promise((yes, no) => {{ const it = {}; it.onload = () => yes('loaded'); it.onerror = no; {} }})"
SCRIPT, STYLE = "document.createElement('script')", "document.createElement('link')"
OPENED = "new Promise((yes, no) => {{ const it = {}; it.onopen = () => yes('open'); it.onerror = no; }})"
READS = {
    "fetch": "fetch(url + '/api/v1/status', {credentials: 'include'}).then(it => it.text())",
    "fetch without cors": "fetch(url + '/api/v1/status', {mode: 'no-cors'}).then(it => it.text())",
    "fetch of the page": "fetch(url + '/', {mode: 'no-cors', credentials: 'include'}).then(it => it.text())",
    "request": LOADED.format("new XMLHttpRequest()", "it.open('GET', url + '/api/v1/status'); it.send();"),
    "script": LOADED.format(SCRIPT, "it.src = url + '/api/v1/status'; document.head.append(it);"),
    "module": LOADED.format(SCRIPT, "it.type = 'module'; it.src = url + '/assets/app.js'; document.head.append(it);"),
    "picture": LOADED.format("new Image()", "it.src = url + '/api/v1/status';"),
    "style": LOADED.format(
        STYLE, "it.rel = 'stylesheet'; it.href = url + '/assets/style.css'; document.head.append(it);"
    ),
    "stream": OPENED.format("new EventSource(url + '/api/v1/stream?after=0', {withCredentials: true})"),
    "stream in the old way": OPENED.format("new EventSource(url + '/api/stream', {withCredentials: true})"),
    "socket": OPENED.format("new WebSocket(url.replace('http', 'ws') + '/api/v1/stream')"),
}


@pytest.mark.parametrize("what", READS)
def test_a_script_of_another_origin_reads_nothing(home: House, tabs: Tabs, other: Evil, what: str) -> None:
    tab = visited(logged_in(home, tabs), other, "")
    said = tab.page.evaluate(f"url => ({READS[what]}).then(it => 'got ' + it, () => 'refused')", home.at.url)
    assert said in ("refused", "got ")  # an opaque answer has no text


def test_a_frame_of_another_origin_shows_nothing(home: House, tabs: Tabs, other: Evil) -> None:
    tab = visited(logged_in(home, tabs), other, f"<iframe id=f src='{home.at.url}/approvals'></iframe>")
    tab.until(lambda: len(tab.page.frames) > 1 and tab.page.frames[1].url, "there is no frame")
    tab.page.wait_for_timeout(500)
    assert tab.page.frames[1].locator("#main, nav").count() == 0


def test_a_window_that_another_origin_opens_cannot_be_steered(home: House, tabs: Tabs, other: Evil) -> None:
    tab = visited(logged_in(home, tabs), other, "")
    with tab.context.expect_page() as opened:
        tab.page.evaluate("url => { window.theirs = open(url + '/approvals'); }", home.at.url)
    opened.value.wait_for_load_state()
    told = tab.page.evaluate("() => { try { return String(theirs.document.title); } catch { return 'refused'; } }")
    assert told in ("refused", "")
    assert tab.page.evaluate("() => theirs.closed || theirs.length === 0")
    assert opened.value.evaluate("() => window.opener === null")


def test_a_link_from_elsewhere_opens_a_page_and_does_nothing(home: House, tabs: Tabs, other: Evil) -> None:
    run = home.waits()
    before = home.at.head()[0]
    tab = visited(logged_in(home, tabs), other, f"<a href='{home.at.url}/approvals/{run}/c1'>look</a>")
    tab.page.get_by_text("look").click()
    expect(tab.main.locator("h1")).to_be_attached()
    assert home.by_people(before) == []

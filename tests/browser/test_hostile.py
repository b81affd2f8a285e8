"""Whatever strangers send is text on every page: nothing of it becomes an element, runs, goes out, or hides."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import pytest

from tests.browser.corpus import HIDDEN, MARK, as_json, corpus, packed, visible
from tests.browser.hostile import Hostile, hostile
from tests.browser.tabs import Tabs
from tests.browser.watch import ANSWERED, Browser, Error, Tab, expect, shown

SIDES = ("timeline", "log", "output", "state", "decisions", "artifacts", "why")
# what of a document came from texts, and what in it is more than a text
LOOK = """([mark, hidden]) => {
  const named = [...document.querySelectorAll(`[id*=${mark}], [class*=${mark}], [name*=${mark}]`)];
  const strange = [...document.querySelectorAll('script:not([src="/assets/app.js"]), iframe, frame, object, embed,'
    + 'img, image, video, audio, base, style, template, portal, foreignObject, animate, set, use, math, marquee,'
    + '[style*=url], [onload], [onerror], [onclick], [onfocus], [onmouseover], [srcdoc], form[action], [formaction],'
    + '[is], [slot]')];
  const links = [...document.querySelectorAll('[href], [src]')]
    .map(it => it.getAttribute('href') || it.getAttribute('src')).filter(it => it && !/^(\\/(?!\\/)|#)/.test(it));
  const unseen = document.body.textContent.match(new RegExp(hidden + '|[\\u{e0000}-\\u{e007f}]', 'gu')) || [];
  return {
    named: named.map(it => it.outerHTML.slice(0, 200)), strange: strange.map(it => it.outerHTML.slice(0, 200)), links,
    unseen: [...new Set(unseen)].map(it => it.codePointAt(0).toString(16)),
    ran: Object.keys(window).filter(it => it.startsWith(mark)), polluted: Object.keys(Object.prototype),
  };
}"""
# words that are shown on pointing, or told to those who do not see
TOLD = """hidden => {
  const names = ['title', 'aria-label', 'placeholder', 'alt'];
  const told = [...document.querySelectorAll('*')].flatMap(it => names.map(name => it.getAttribute(name) || ''));
  const unseen = [...told, document.title].filter(it => new RegExp(hidden, 'u').test(it));
  return unseen.map(it => it.slice(0, 80));
}"""
SHOW = "address => { history.pushState(null, '', address); dispatchEvent(new PopStateEvent('popstate')); }"


@pytest.fixture(scope="module")
def mean(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """The house that strangers wrote to."""
    assert browser.is_connected()
    with hostile(tmp_path_factory.mktemp("mean") / "here") as found:
        yield found


def look(tab: Tab) -> None:
    """Nothing here is more than text, and all of it is seen."""
    found = tab.page.evaluate(LOOK, [MARK, HIDDEN])
    assert {name: value for name, value in found.items() if value} == {}, tab.page.url


def text_of(tab: Tab) -> str:
    """The text of the view, as it is."""
    return str(tab.main.evaluate("it => it.textContent"))


def show(tab: Tab, address: str) -> str:
    """Go there without loading everything anew; the text of the view, which was looked at."""
    tab.page.evaluate(SHOW, address)
    tab.drawn()
    if "#" in address:
        expect(tab.main.locator("#side > section, #side > .problem")).to_be_attached()
    look(tab)
    return text_of(tab)


def missing(text: str, payloads: Iterable[str], parts: Callable[[str], list[str]] = visible) -> list[str]:
    """What of the payloads is not in a text."""
    return [part for part in dict.fromkeys(part for each in payloads for part in parts(each)) if part not in text]


MADE = {
    "an element": "const it = document.createElement('b'); it.id = 'zq001'; document.body.append(it);",
    "a frame": "document.body.append(document.createElement('iframe'));",
    "a link": "const it = document.createElement('a'); it.href = 'javascript:1'; document.body.append(it);",
    "a listener": "const it = document.createElement('b'); it.toggleAttribute('onclick'); document.body.append(it);",
    "a variable": "window.zq001 = 1;",
    "a prototype": "Object.prototype.zq001 = 1;",
    "a hidden character": "document.body.append('a\\u202eb');",
    "a hidden letter": "document.body.append('a\\u{e0041}b');",
}


@pytest.mark.parametrize("what", MADE)
def test_what_is_looked_for_would_be_found(mean: Hostile, tabs: Tabs, what: str) -> None:
    tab = tabs.open(mean.at, "/adapters")
    look(tab)
    tab.allow("")  # the browser has its own opinion on each of them
    with suppress(Error):
        tab.page.evaluate(f"() => {{ {MADE[what]} }}")
    with pytest.raises(AssertionError):
        look(tab)


def test_no_page_makes_anything_of_it(mean: Hostile, tabs: Tabs) -> None:
    tab = tabs.open(mean.at)
    for name in (
        "",
        "tasks",
        "runs",
        "approvals",
        "threads",
        "schedules",
        "sensors",
        "workflows",
        "outbox",
        "adapters",
        "files",
        "log",
        "report",
    ):
        show(tab, f"/{name}")
        tab.shot(f"hostile-{name or 'now'}")


def test_no_side_of_a_run_makes_anything_of_it(mean: Hostile, tabs: Tabs) -> None:
    tab = tabs.open(mean.at)
    for runs in mean.runs.values():
        for side in SIDES:
            show(tab, f"/runs/{runs[0]}#{side}")
        tab.answered(409, 422)
        show(tab, f"/runs/{runs[0]}/replay")


@pytest.mark.parametrize(
    "place", ["tasks", "schedules", "sensors", "workflows", "threads/strange", "outbox", "files?path=strange"]
)
def test_what_is_told_on_pointing_hides_nothing_either(mean: Hostile, tabs: Tabs, place: str) -> None:
    tab = tabs.open(mean.at, f"/{place}")
    assert tab.page.evaluate(TOLD, HIDDEN) == []


def test_subjects_kinds_and_sources_are_seen_whole(mean: Hostile, tabs: Tabs) -> None:
    tab = tabs.open(mean.at, "/tasks")
    while tab.button("Older").count():
        so_many = tab.rows("tasks").count()
        tab.button("Older").click()
        expect(tab.rows("tasks").nth(so_many)).to_be_attached()
    look(tab)
    text = text_of(tab)
    assert missing(text, mean.subjects) == []
    assert missing(text, mean.kinds[len(mean.subjects) :]) == []
    for task, kind in zip(mean.tasks[:8], mean.kinds, strict=False):
        assert missing(show(tab, f"/tasks/{task}"), [kind]) == []


def test_a_payload_is_seen_whole(mean: Hostile, tabs: Tabs) -> None:
    tab = tabs.open(mean.at)
    text = show(tab, f"/tasks/{mean.tasks[0]}")
    assert missing(text, mean.texts, as_json) == []


def test_output_is_seen_whole(mean: Hostile, tabs: Tabs) -> None:
    tab = tabs.open(mean.at, f"/runs/{mean.runs['output'][0]}#output")
    for stream in ("stdout", "stderr"):
        tab.choice("stream").select_option(stream)
        text = "".join(_scrolled(tab, "output of the run"))
        assert missing(text, [line for each in mean.texts for line in each.split("\n")]) == []
        assert "\\u0000 zqnul" in text


def _scrolled(tab: Tab, name: str) -> list[str]:
    """What a long list shows, from its beginning to its end."""
    box = tab.main.get_by_label(name)
    found = []
    box.evaluate("it => it.scrollTo(0, 0)")
    tall, step = box.evaluate("it => [it.scrollHeight, it.clientHeight]")
    for at in range(0, tall, step):
        box.evaluate("(it, at) => { it.scrollTo(0, at); it.dispatchEvent(new Event('scroll')); }", at)
        look(tab)
        found.append(str(box.evaluate("it => it.textContent")))
    return found


def test_what_programs_and_agents_say_is_seen_whole(mean: Hostile, tabs: Tabs) -> None:
    tab = tabs.open(mean.at)
    for name in ("reports", "decided"):
        for run, words in zip(mean.runs[name], mean.words, strict=False):
            assert missing(show(tab, f"/runs/{run}#artifacts"), [words]) == []


def test_what_waits_is_seen_whole(mean: Hostile, tabs: Tabs) -> None:
    tab = tabs.open(mean.at)
    asks, *questions = mean.runs["asks"]
    text = show(tab, f"/approvals/{asks}/c1")
    assert missing(text, mean.call["args"], as_json) == []
    tab.shot("hostile-approval")
    for run, words in zip(questions, mean.words, strict=True):
        assert missing(show(tab, f"/approvals/{run}/c{mean.asked(run)['call']}"), [words]) == []


def test_threads_are_seen_whole(mean: Hostile, tabs: Tabs) -> None:
    tab = tabs.open(mean.at)
    assert missing(show(tab, "/threads/strange"), mean.messages) == []
    tab.shot("hostile-thread")


def test_schedules_sensors_and_workflows_are_seen_whole(mean: Hostile, tabs: Tabs) -> None:
    tab = tabs.open(mean.at)
    assert missing(show(tab, "/schedules"), mean.schedules) == []
    assert missing(show(tab, "/sensors"), mean.subjects) == []
    assert missing(show(tab, "/workflows?all=1"), mean.subjects) == []
    (key,) = [key for key in mean.subjects if "/" not in key][:1]
    assert missing(show(tab, f"/workflows/{shown(key)}"), [key], as_json) == []  # it is in the context too


def test_a_workflow_is_reached_whatever_its_key_is(mean: Hostile, tabs: Tabs) -> None:
    tab = tabs.open(mean.at)
    keys = [key for key in mean.subjects if "/" not in key]
    refused = [key for key in keys if missing(show(tab, f"/workflows/{shown(key)}"), [key])]
    assert refused == []


def test_files_are_seen_whole_and_reached_whatever_their_names_are(mean: Hostile, tabs: Tabs) -> None:
    tab = tabs.open(mean.at)
    assert missing(show(tab, "/files?path=strange"), mean.names) == []
    tab.shot("hostile-files")
    text = show(tab, "/files?path=strange/everything")
    assert missing(text, [line for each in mean.texts for line in each.split("\n")]) == []


def test_reasons_are_seen_in_the_log(mean: Hostile, tabs: Tabs) -> None:
    tab = tabs.open(mean.at)
    for topic, words in (("dispatcher.paused", packed(1_900)[0]), ("task.canceled", packed(1_900)[-1])):
        found = mean.items("events", topic=topic)[0]["position"]
        assert missing(show(tab, f"/log?at={found}"), [words], as_json) == []
        tab.shot(f"hostile-{topic}")


def test_what_stands_in_an_address_is_text_too(mean: Hostile, tabs: Tabs) -> None:
    tab = tabs.open(mean.at)
    tab.allow(ANSWERED.format("4"))
    for number, text in enumerate(packed(300)):
        word = shown(text.replace("/", "|"))
        places = (f"/tasks/{word}", f"/runs/{word}", f"/threads/{word}", f"/log?topic={word}", f"/files?path={word}")
        show(tab, places[number % len(places)])


def test_answers_of_sql_are_text(mean: Hostile, tabs: Tabs) -> None:
    words = [each.text for each in corpus() if "'" not in each.text and "\0" not in each.text]
    for batch in (words[:50], words[50:100], words[100:]):
        rows = " UNION ALL ".join(f"SELECT '{text}' AS word, {at} AS n" for at, text in enumerate(batch))
        tab = tabs.open(mean.at, "/sql")
        tab.main.locator("#query").fill(rows)
        tab.button("Ask").click()
        expect(tab.rows("result")).to_have_count(len(batch))
        look(tab)
        assert missing(text_of(tab), batch) == []

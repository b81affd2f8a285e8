"""The page for everybody: on a narrow screen, read aloud, in the dark and in the light, without a network."""

import os
from typing import Any

import pytest

from tests.browser.homes import Rich
from tests.browser.tabs import Tabs
from tests.browser.watch import Route, Tab, expect

GROUPS = 4
WIDE = """() => ({
  page: document.documentElement.scrollWidth, window: document.documentElement.clientWidth,
  out: [...document.querySelectorAll('body *')].filter(it => {
    const place = it.getBoundingClientRect();
    if (place.right <= document.documentElement.clientWidth + 1 || !place.width) return false;
    const cut = up => ['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(up).overflowX);
    for (let up = it; up && up !== document.body; up = up.parentElement)
      if (cut(up) || up.matches('.skip, .unseen')) return false;
    return true;
  }).slice(0, 3).map(it => it.outerHTML.slice(0, 120)),
})"""
# how a text stands out from what is behind it, of all that is shown
CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map(at => top[at] * top[3] + under[at] * (1 - top[3]));
  const light = ([r, g, b]) => {
    const part = it => { const v = it / 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = it => {
    const layers = [];
    for (let up = it; up; up = up.parentElement) layers.push(rgba(getComputedStyle(up).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const poor = {};
  const judge = (it, colour, text) => {
    const back = behind(it), front = over(rgba(colour), back);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor[`${it.tagName}.${it.getAttribute('class')}`] = `${ratio.toFixed(2)} ${text.slice(0, 40)}`;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const it = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || !it.checkVisibility() || it.closest('.unseen, noscript, [disabled], option, title')) continue;
    judge(it, it.closest('svg') ? getComputedStyle(it).fill : getComputedStyle(it).color, text);
  }
  return poor;
}"""
TOLD = """() => {
  const poor = [];
  const all = selector => [...document.querySelectorAll(selector)].filter(it => it.checkVisibility());
  const said = (what, found) => found.forEach(it => poor.push(`${what}: ${it.outerHTML.slice(0, 100)}`));
  const isSaid = it => it.ariaHidden || (it.getAttribute('role') === 'img' && it.ariaLabel);
  said('picture without words', all('svg').filter(it => !isSaid(it)));
  said('field without a label', all('input, select, textarea').filter(it => !it.labels.length && !it.ariaLabel));
  said('button that is told as something else', all('button[role]:not([role=button])').slice(0, 1));
  said('an order of its own', all('[tabindex]').filter(it => it.tabIndex > 0));
  const ids = [...document.querySelectorAll('[id]')].map(it => it.id);
  for (const it of new Set(ids.filter((each, at) => ids.indexOf(each) !== at))) poor.push(`an id twice: ${it}`);
  let last = 0;
  for (const it of all('h1, h2, h3, h4')) {
    if (Number(it.tagName[1]) > last + 1) poor.push(`${it.tagName} behind H${last}: ${it.textContent.slice(0, 40)}`);
    last = Number(it.tagName[1]);
  }
  const first = document.querySelectorAll('h1').length;
  if (first !== 1) poor.push(`${first} first headings`);
  if (!document.documentElement.lang) poor.push('no language');
  return [...new Set(poor)];
}"""
WIDTH, HEIGHT = 1200, 900
NARROW = 375
WANTED = "RT_SCREENSHOTS" in os.environ  # all of them, to be looked at


def every(full: Rich, tab: Tab, group: int) -> Any:  # noqa: ANN401  # names and tabs, one after the other
    """Each page of a group, drawn."""
    for name, address in list(full.addresses().items())[group::GROUPS]:
        tab.go(address)
        expect(tab.page.get_by_text("loading…", exact=True)).to_have_count(0)
        if "#" in address:
            expect(tab.main.locator("#side > section")).to_be_attached()
        if name == "answer":
            expect(tab.rows("result").first).to_be_visible()
        yield name


@pytest.mark.parametrize("group", range(GROUPS))
def test_each_page_fits_a_telephone_stands_out_and_is_told(full: Rich, tabs: Tabs, group: int) -> None:
    tab = tabs.stranger(full.at).log_in()
    poor: dict[str, object] = {}
    for name in every(full, tab, group):
        for scheme in ("dark", "light"):
            tab.page.emulate_media(color_scheme=scheme)
            tab.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
            if scheme == "dark" or WANTED:
                tab.shot(f"{name}-{scheme}-{WIDTH}")
            poor[f"contrast of {name}, {scheme}"] = tab.page.evaluate(CONTRAST)
            tab.page.set_viewport_size({"width": NARROW, "height": HEIGHT})
            if scheme == "light" or WANTED:
                tab.shot(f"{name}-{scheme}-{NARROW}")
            found = tab.page.evaluate(WIDE)
            poor[f"width of {name}"] = found if found["page"] > found["window"] else None
        tab.page.evaluate("() => { for (const it of document.querySelectorAll('details')) it.open = true; }")
        poor[f"telling of {name}"] = [*tab.page.evaluate(TOLD), *unnamed(tab)]
    assert {name: found for name, found in poor.items() if found} == {}


def unnamed(tab: Tab) -> list[str]:
    """What can be used and has no name, as the browser tells it to those who listen."""
    tree = tab.page.locator("body").aria_snapshot()
    kinds = ("button", "link", "textbox", "combobox", "slider", "checkbox", "searchbox", "spinbutton")
    lines = (line.strip().removeprefix("- ").rstrip(":") for line in tree.splitlines())
    return [f"{line} without a name" for line in lines if line in kinds]


def test_a_dialog_is_told_and_keeps_the_focus(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, f"/tasks/{full.later}")
    tab.button("Cancel").click()
    dialog = tab.page.get_by_role("dialog", name="Cancel")
    expect(dialog.locator("textarea")).to_be_focused()
    assert tab.page.evaluate(TOLD) == []
    for _ in range(8):
        tab.page.keyboard.press("Tab")
        assert tab.page.evaluate(
            "() => document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        )
    tab.page.keyboard.press("Escape")
    expect(tab.button("Cancel")).to_be_focused()


def test_it_is_large_for_who_zooms_in(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/", viewport={"width": 640, "height": 480}, device_scale_factor=2)
    found = tab.page.evaluate(WIDE)
    assert found["page"] <= found["window"], found
    assert "user-scalable" not in (tab.page.locator("meta[name=viewport]").get_attribute("content") or "")


def test_nothing_moves_for_who_wants_that(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, "/", reduced_motion="reduce")
    assert tab.page.evaluate("() => document.getAnimations().length") == 0


def test_it_works_without_a_way_to_any_other_host(full: Rich, tabs: Tabs) -> None:
    tab = tabs.stranger(full.at).log_in()

    def own(route: Route) -> None:
        if route.request.url.startswith(full.at.url):
            route.fallback()
        else:
            route.abort()

    tab.context.route("**/*", own)
    for address in ("/", f"/runs/{full.watched}", "/sql?q=SELECT 1", "/report"):
        tab.go(address)
        expect(tab.page.locator("#pulse")).to_contain_text("live")


def test_it_weighs_little(full: Rich, tabs: Tabs) -> None:
    tab = tabs.stranger(full.at).log_in()
    sizes: dict[str, int] = {}
    tab.page.on("requestfinished", lambda it: sizes.update({it.url: it.sizes()["responseBodySize"]}))
    tab.go("/")
    expect(tab.page.locator("#pulse")).to_contain_text("live")
    own = {url: size for url, size in sizes.items() if "/assets/" in url or url.endswith(":" + str(full.at.port) + "/")}
    assert len(own) > 5
    assert sum(own.values()) <= 80_000, own

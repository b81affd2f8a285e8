// Elements made from words: text nodes and known attributes only, so that nothing from a tool or model becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `attributes`: plain ones, `on` for listeners; children: elements, texts, lists, or nothing. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "value") element.value = value;
    else if (name === "href") element.setAttribute("href", safe(String(value)));
    else if (name === "title" || name.startsWith("aria-")) element.setAttribute(name, clean(String(value)));
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children) {
    if (child === undefined || child === null || child === false) continue;
    if (Array.isArray(child)) add(element, child);
    else element.append(child instanceof Node ? child : clean(String(child)));
  }
}

/** Our own addresses, and https; anything else that data brings is no link. */
function safe(href) {
  return /^\/(?!\/)|^#|^https:\/\//.test(href) ? href : "#";
}

/** Other children. Where somebody is among the old ones, with the focus, a scroll or something opened, that stays. */
export function replace(element, ...children) {
  const active = element.contains(document.activeElement) ? document.activeElement : null;
  const focused = active && active !== element ? nameOf(active) : "";
  const opened = [...element.querySelectorAll("details[open]")].map(nameOf);
  const scrolled = [...element.querySelectorAll(".scroll")].map((each) => [
    nameOf(each),
    each.scrollLeft,
    each.scrollTop,
  ]);
  element.replaceChildren();
  add(element, children);
  for (const each of opened.length ? element.querySelectorAll("details") : [])
    if (opened.includes(nameOf(each))) each.open = true;
  for (const [name, left, top] of scrolled.filter((each) => each[1] || each[2]))
    for (const each of element.querySelectorAll(".scroll")) if (nameOf(each) === name) each.scrollTo(left, top);
  if (focused) {
    const again = [...element.querySelectorAll(active.tagName)].find((each) => nameOf(each) === focused);
    if (again) again.focus({ preventScroll: true });
  }
  return element;
}

/** What makes an element the same one after its view was drawn anew: an id, or where it leads and in which row. */
function nameOf(element) {
  const row = element.closest("tr, article, li"),
    link = row && row.querySelector("a[href]");
  const own =
    element.id ||
    element.getAttribute("href") ||
    element.getAttribute("aria-label") ||
    (element.querySelector("summary") || element).textContent;
  return [element.tagName, own, link ? link.getAttribute("href") : ""].join(" ");
}

const ANSI = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[PX^_][^\x1b\n]*\x1b\\|[@-OQ-WYZ\\])/g;
const UNSEEN =
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u2028\u2029\u2800\ufff9-\ufffb\u{e0000}-\u{e0fff}]|\p{Default_Ignorable_Code_Point}|\p{Bidi_Control}/gu;

/** Text that hides nothing: escapes of terminals go, what is invisible or turns text around becomes visible. */
export function clean(text) {
  return visible(text.replace(ANSI, ""));
}

/** In JSON the same characters: each unit as JSON would spell it. */
export function visible(text) {
  return text.replace(UNSEEN, (each) =>
    [...Array(each.length).keys()].map((at) => `\\u${each.charCodeAt(at).toString(16).padStart(4, "0")}`).join(""),
  );
}

const isNumber = (row, at) => typeof (row.cells || row)[at] === "number";

/** A table: headings, and rows of cells; a cell may be an element. */
export function table(caption, headings, rows, empty = "nothing here") {
  if (!rows.length) return h("p", { class: "quiet" }, empty);
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", { class: "unseen" }, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          headings.map((each, at) => h("th", { scope: "col", class: isNumber(rows[0], at) ? "number" : null }, each)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            row.attributes || {},
            (row.cells || row).map((cell) => h("td", typeof cell === "number" ? { class: "number" } : {}, cell)),
          ),
        ),
      ),
    ),
  );
}

/** Names and values below each other. */
export function facts(pairs) {
  return h(
    "dl",
    {},
    pairs
      .filter(([, value]) => value !== undefined && value !== null && value !== "")
      .map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );
}

/** A long list of which only what can be seen is in the document. `row(item, index)` makes a line of fixed height. */
export function longList(label, row, height = 22) {
  const space = h("div", { class: "space" });
  const box = h(
    "div",
    { class: "long", tabindex: 0, role: "list", "aria-label": label, on: { scroll: () => draw() } },
    space,
  );
  let items = [];
  let follows = false;
  function draw() {
    box.style.height = `${Math.max(80, Math.min(items.length * height + 20, innerHeight * 0.62))}px`;
    const first = Math.max(0, Math.floor(box.scrollTop / height) - 10);
    const last = Math.min(items.length, first + Math.ceil((box.clientHeight || 600) / height) + 20);
    space.style.height = `${items.length * height}px`;
    const focused = space.contains(document.activeElement) ? document.activeElement.closest(".slot").style.top : "";
    space.replaceChildren(
      ...items.slice(first, last).map((item, at) => {
        const made = h("div", { role: "listitem", class: "slot" }, row(item, first + at));
        made.style.top = `${(first + at) * height}px`;
        return made;
      }),
    );
    const again = focused && [...space.children].find((each) => each.style.top === focused);
    if (again) (again.querySelector("button, a") || again).focus({ preventScroll: true });
  }
  return {
    element: box,
    set(next) {
      const atEnd =
        follows ||
        (items.length > 0 &&
          box.scrollTop + box.clientHeight >= box.scrollHeight - 2 * height &&
          box.scrollHeight > box.clientHeight);
      items = next;
      draw();
      if (atEnd) this.end();
    },
    follow(on) {
      follows = on;
      if (on) this.end();
    },
    end() {
      box.scrollTop = items.length * height;
      draw();
    },
    show(index) {
      box.scrollTop = Math.max(0, index - 3) * height;
      draw();
    },
    redraw: draw,
  };
}

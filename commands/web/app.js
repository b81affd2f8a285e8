// The page: which view an address shows, who is in, what is live, and the keys.

import { get, post, Live, Problem, position } from "./api.js";
import { h, replace } from "./dom.js";
import { ago, command, topicName } from "./format.js";
import { home, tasks, task } from "./work.js";
import { runs, run, replay } from "./runs.js";
import { approvals, approval, threads, thread } from "./people.js";
import { schedules, sensors, workflow, workflows } from "./feeding.js";
import { adapters, files, outbox } from "./house.js";
import { log, report, sql } from "./looking.js";

const VIEWS = [
  [/^\/$/, home],
  [/^\/tasks$/, tasks],
  [/^\/tasks\/([^/]+)$/, task],
  [/^\/runs$/, runs],
  [/^\/runs\/([^/]+)$/, run],
  [/^\/runs\/([^/]+)\/replay$/, replay],
  [/^\/approvals$/, approvals],
  [/^\/approvals\/([^/]+)\/c?(\d+)$/, approval],
  [/^\/threads$/, threads],
  [/^\/threads\/([^/]+)$/, thread],
  [/^\/schedules$/, schedules],
  [/^\/sensors$/, sensors],
  [/^\/workflows$/, workflows],
  [/^\/workflows\/([^/]+)$/, workflow],
  [/^\/adapters$/, adapters],
  [/^\/outbox$/, outbox],
  [/^\/files$/, files],
  [/^\/log$/, log],
  [/^\/sql$/, sql],
  [/^\/report$/, report],
];
const PLACES = [
  ["/", "Now"],
  ["/tasks", "Tasks"],
  ["/runs", "Runs"],
  ["/approvals", "Approvals"],
  ["/threads", "Threads"],
  ["/schedules", "Schedules"],
  ["/sensors", "Sensors"],
  ["/workflows", "Workflows"],
  ["/outbox", "Outbox"],
  ["/adapters", "Adapters"],
  ["/files", "Files"],
  ["/log", "Log"],
  ["/sql", "SQL"],
  ["/report", "Report"],
];
const KEYS = [
  ["j / k", "next, previous row"],
  ["Enter", "open it"],
  ["/", "search"],
  ["f", "follow the end"],
  ["a / r", "approve, reject (asks first)"],
  ["g then n t r l s", "Now, Tasks, Runs, Log, SQL"],
  ["?", "this help"],
];

const main = document.getElementById("main");
const banner = document.getElementById("banner");
const told = document.getElementById("told");
const pulse = h("span", { id: "pulse", role: "status" }, "…");
const recent = [];
let session = null,
  view = null,
  missed = null,
  shown = 0,
  lostAt = 0,
  wentTo = 0;

/** What views get: who is in, a way to other addresses, and to be told of what happens. */
const page = {
  get session() {
    return session;
  },
  may: (scope) => reaches(session, scope),
  go,
  recent,
  refresh,
  /** Say what was done, beside the views: it outlives the button that did it. */
  tell(text) {
    replace(told, text);
  },
};

function reaches(who, scope) {
  const levels = ["read", "approve", "operate", "admin"];
  if (!who || (who.read_only && scope !== "read" && scope !== "sql")) return false;
  if (who.scopes.includes("admin") || who.scopes.includes(scope)) return true;
  return levels.includes(scope) && levels.slice(levels.indexOf(scope)).some((each) => who.scopes.includes(each));
}

async function begin() {
  const code = /^#code=(.+)$/.exec(location.hash);
  if (code) {
    history.replaceState(null, "", location.pathname === "/login" ? "/" : location.pathname);
    try {
      await post("/api/v1/session", { code: code[1] });
    } catch (problem) {
      return login(problem);
    }
  }
  try {
    session = await get("/api/v1/session");
  } catch (problem) {
    return login(problem.status === 401 ? null : problem);
  }
  frame();
  new Live(session.position, happened, connection);
  await show();
}

function login(problem) {
  if (view && view.leave) view.leave();
  session = view = null;
  banner.hidden = true;
  document.getElementById("top").replaceChildren();
  document.getElementById("bottom").replaceChildren();
  const field = h("input", { type: "password", id: "token", autocomplete: "off", spellcheck: "false" });
  const said = h("p", { role: "alert", class: "problem" }, problem ? problem.message : "");
  replace(
    main,
    h(
      "section",
      { class: "card narrow" },
      h("h1", {}, "rt"),
      h(
        "p",
        {},
        "Open the link that ",
        h("code", {}, "rt serve"),
        " printed, make another one with ",
        command("rt token link"),
        " or give a token:",
      ),
      h(
        "form",
        {
          on: {
            submit: async (event) => {
              event.preventDefault();
              try {
                await post("/api/v1/session", { token: field.value.trim() });
                location.reload();
              } catch (wrong) {
                replace(said, wrong.message);
              }
            },
          },
        },
        h("label", { for: "token" }, "token"),
        field,
        h("button", {}, "Log in"),
      ),
      said,
    ),
  );
  document.title = "rt: log in";
  field.focus();
}

function frame() {
  replace(
    document.getElementById("top"),
    h(
      "nav",
      { "aria-label": "places" },
      h("a", { href: "/", class: "name" }, session.runtime_name),
      PLACES.map(([href, name]) => h("a", { href, "data-place": href }, name)),
    ),
    h(
      "div",
      { class: "pulse" },
      pulse,
      h("button", { type: "button", id: "help", "aria-label": "keys", title: "keys (?)", on: { click: help } }, "?"),
      h(
        "button",
        {
          type: "button",
          on: {
            click: async () => {
              await fetch("/api/v1/session", { method: "DELETE" });
              location.href = "/";
            },
          },
        },
        "Log out",
      ),
    ),
  );
  replace(
    document.getElementById("bottom"),
    `${session.name} · ${session.scopes.join(", ") || "no scope"}${session.read_only ? " · read-only" : ""}`,
    session.plain_lan
      ? h("strong", { class: "problem" }, " · plain HTTP: everybody on this network can read along")
      : null,
    session.works ? null : h("span", { class: "quiet" }, " · no dispatcher in this server; ", command("rt work")),
  );
  tell();
}

function connection(state, problem) {
  if (state === "gone") return problem.status === 401 ? login(problem) : location.reload();
  lostAt = state === "lost" ? lostAt || Date.now() : 0;
  tell();
}

function tell() {
  const isLost = lostAt > 0 && session !== null;
  banner.hidden = !isLost;
  if (isLost) replace(banner, `showing position ${position}, reconnecting…`);
  const rate = recent.filter((each) => Date.now() - each.seen < 10000).length / 10;
  replace(
    pulse,
    h("span", { class: isLost ? "dot lost" : "dot", "aria-hidden": "true" }),
    `${isLost ? "reconnecting" : "live"} · position ${position} · ${rate.toFixed(1)} events/s`,
  );
}

function happened(events) {
  const seen = Date.now();
  for (const event of events) recent.push({ ...event, seen, name: topicName(event.topic) });
  if (recent.length > 500) recent.splice(0, recent.length - 500);
  tell();
  if (missed) missed.push(...events);
  else if (view && view.told) view.told(events);
}

function go(address, replaceIt = false) {
  history[replaceIt ? "replaceState" : "pushState"](null, "", address);
  show();
}

/** Show the address anew where it is; what was scrolled or typed elsewhere stays in its own view. */
async function refresh() {
  await show(true);
}

async function show(quietly = false) {
  const mine = ++shown;
  if (view && view.leave) view.leave();
  const meanwhile = (missed = []); // what happens while the view is made, which may have asked before it happened
  if (!quietly) {
    page.tell("");
    replace(main, h("p", { class: "quiet" }, "loading…"));
  }
  for (const link of document.querySelectorAll("[data-place]")) {
    const is =
      link.dataset.place === "/" ? location.pathname === "/" : location.pathname.startsWith(link.dataset.place);
    if (is) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const found = VIEWS.map(([pattern, made]) => [pattern.exec(location.pathname), made]).find(([match]) => match);
  try {
    if (!found) throw new Problem(404, { detail: "there is no such page" });
    const next = await found[1](page, found[0].slice(1).map(decodeURIComponent), new URLSearchParams(location.search));
    if (mine !== shown) {
      if (next.leave) next.leave();
      return;
    }
    view = next;
    missed = null;
    replace(main, next.element);
    if (meanwhile.length && view.told) view.told(meanwhile);
    document.title = `${next.title} · ${session.runtime_name}`;
    if (!quietly && location.hash.length < 2) main.focus({ preventScroll: true });
  } catch (problem) {
    if (mine !== shown) return;
    view = missed = null;
    if (problem.status === 401) return login(problem);
    replace(main, failure(problem));
    document.title = `not found · ${session.runtime_name}`;
  }
}

/** What went wrong, and the way out. */
export function failure(problem) {
  if (!(problem instanceof Problem)) console.error(problem);
  return h(
    "section",
    { class: "card", role: "alert" },
    h("h1", {}, problem.status === 404 ? "not here" : "this did not work"),
    h(
      "p",
      { class: "problem" },
      problem.message,
      problem.code ? h("span", { class: "quiet" }, ` [${problem.code}]`) : null,
    ),
    problem.hint ? h("p", {}, "try ", command(problem.hint)) : null,
    h("p", {}, h("a", { href: "/" }, "to what is going on now")),
  );
}

function help() {
  const dialog = h(
    "dialog",
    { "aria-label": "keys", on: { close: () => dialog.remove() } },
    h("h2", {}, "Keys"),
    h(
      "dl",
      {},
      KEYS.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]),
    ),
    h("form", { method: "dialog" }, h("button", {}, "Close")),
  );
  document.body.append(dialog);
  dialog.showModal();
}

function onKey(event) {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || document.querySelector("dialog[open]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !session) return;
  const key = event.key;
  const places = { n: "/", t: "/tasks", r: "/runs", l: "/log", s: "/sql" };
  if (Date.now() - wentTo < 1500 && places[key]) {
    wentTo = 0;
    go(places[key]);
  } else if (key === "g") wentTo = Date.now();
  else if (key === "?") help();
  else if (key === "/") {
    const field = main.querySelector("[type=search]");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  } else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  else if (view && view.keys && view.keys[key]) {
    event.preventDefault();
    view.keys[key]();
  }
}

function step(by) {
  const rows = [...main.querySelectorAll("a.row, tbody a:first-child")];
  const at = rows.indexOf(document.activeElement);
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))];
  if (next) {
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='/']");
  if (
    !link ||
    event.button ||
    event.ctrlKey ||
    event.metaKey ||
    event.shiftKey ||
    link.target ||
    link.hasAttribute("download")
  )
    return;
  event.preventDefault();
  if (link.getAttribute("href") !== location.pathname + location.search) go(link.getAttribute("href"));
  else show();
});
document.querySelector("a.skip").addEventListener("click", (event) => {
  event.preventDefault(); // the fragment of the address says what a view shows
  main.focus();
});
document.addEventListener("keydown", onKey);
addEventListener("popstate", () => show());
setInterval(() => {
  for (const each of document.querySelectorAll("[data-ago]")) each.textContent = ago(Number(each.dataset.ago));
  tell();
}, 1000);
begin();

// What is going on now, and tasks.

import { get, post } from "./api.js";
import { action, calmly, words } from "./actions.js";
import { facts, h, replace, svg, table } from "./dom.js";
import { command, date, fields, mark, moment, seconds, short } from "./format.js";
import { waitingCards } from "./people.js";

const DAY_MS = 86400000;

export async function home(page) {
  const waits = h("div"),
    now = h("div"),
    queue = h("div"),
    day = h("div"),
    live = h("div");
  const counts = h("p", { class: "counts", role: "status" });
  const pieces = {};
  async function load() {
    const [status, asked, rest] = await Promise.all([
      get("/api/v1/status"),
      get("/api/v1/approvals"),
      get("/api/v1/dispatcher"),
    ]);
    const shown = status.counts;
    replace(
      counts,
      h("strong", {}, status.paused ? `▲ paused${rest.reason ? `: ${rest.reason}` : ""}` : "● live"),
      ` · ${shown.running} running · ${shown.waiting_for_approval + shown.blocked} wait for you · `,
      `${shown.pending + shown.retryable_failure} queued · ${shown.permanent_failure} failed · ${shown.completed} completed · position ${status.position} `,
      action(
        page,
        status.paused
          ? { label: "Resume", says: "rt resume", does: () => post("/api/v1/dispatcher", { paused: false }) }
          : {
              label: "Pause",
              says: "rt pause --reason …",
              ask: "why",
              does: (reason) => post("/api/v1/dispatcher", { paused: true, reason }),
            },
      ),
    );
    replace(waits, waitingCards(page, asked.items), blocked(page, status.needs_you, asked.items));
    replace(
      now,
      status.running.length
        ? status.running.map((each) => running(each, pieces))
        : h("p", { class: "quiet" }, "nothing runs; ", command("rt work")),
    );
    replace(
      queue,
      table(
        "queue",
        ["task", "what", "state", "prio", "when"],
        status.queue.map((each) => [
          link("tasks", each.task),
          each.subject || each.kind,
          mark(each.status),
          each.priority,
          moment(each.created_at),
        ]),
        "nothing waits",
      ),
    );
  }
  async function loadDay() {
    const found = (await get("/api/v1/runs", { limit: 200 })).items.filter(
      (each) => each.finished_at && Date.now() - date(each.finished_at) < DAY_MS,
    );
    replace(
      day,
      found.length ? strip(found) : null,
      table(
        "done",
        ["run", "what", "state", "cause", "took", "ended"],
        found
          .slice(0, 20)
          .map((each) => [
            link("runs", each.run),
            each.subject || each.kind,
            mark(each.state),
            each.cause,
            seconds(each.claimed_at, each.finished_at),
            moment(each.finished_at),
          ]),
        "no run ended in the last 24 hours; rt do -- echo hello",
      ),
    );
  }
  function events() {
    replace(
      live,
      page.recent.length
        ? h("ol", { class: "events", "aria-label": "latest events" }, page.recent.slice(-50).reverse().map(eventLine))
        : h("p", { class: "quiet" }, "what happens from now on shows up here"),
    );
  }
  const reload = calmly(load, 250),
    reloadDay = calmly(loadDay, 1000),
    redraw = calmly(events, 200);
  await Promise.all([load(), loadDay()]);
  events();
  const timer = setInterval(() => {
    for (const each of now.querySelectorAll("[data-since]")) each.textContent = seconds(each.dataset.since);
  }, 1000);
  return {
    title: "now",
    element: h(
      "div",
      {},
      h("h1", { class: "unseen" }, "What is going on"),
      counts,
      h("section", { "aria-label": "waiting for you" }, h("h2", {}, "Waiting for you"), waits),
      h("section", { "aria-label": "now" }, h("h2", {}, "Now"), now),
      compose(page),
      h("section", { "aria-label": "queue" }, h("h2", {}, "Queue"), queue),
      h("section", { "aria-label": "done" }, h("h2", {}, "Done, 24 h"), day),
      h("section", { "aria-label": "events" }, h("h2", {}, "Events"), live),
    ),
    told(found) {
      for (const event of found) {
        const run = event.stream.replace(/\.output$/, "");
        const piece = (pieces[run] = pieces[run] || { chunks: [], last: "" });
        if (event.topic.startsWith("output.")) piece.chunks.push(Date.now());
        else piece.last = `${event.topic.replace(/\.v\d+$/, "")} ${fields(event.data, 60)}`;
        if (piece.chunks.length > 200) piece.chunks.splice(0, 100);
      }
      redraw();
      reload();
      if (found.some((each) => /^run\.finished|^task\./.test(each.topic))) reloadDay();
    },
    leave() {
      clearInterval(timer);
      reload.stop();
      reloadDay.stop();
      redraw.stop();
    },
  };
}

function link(place, id, text) {
  return h("a", { href: `/${place}/${id}`, class: "row" }, text || short(id));
}

function running(each, pieces) {
  const piece = pieces[each.run] || { chunks: [], last: "" };
  return h(
    "article",
    { class: "card run" },
    h(
      "p",
      {},
      mark("running"),
      " ",
      link("runs", each.run, each.subject || each.kind),
      ` · ${each.adapter || "starting"} · attempt ${each.attempt} of ${each.max_attempts} · `,
      h("span", { "data-since": each.claimed_at }, seconds(each.claimed_at)),
      " ",
      spark(piece.chunks),
      each.dispatcher_alive ? null : h("strong", { class: "problem" }, " its dispatcher is dead: rt work goes on"),
    ),
    piece.last ? h("p", { class: "quiet one" }, piece.last) : null,
  );
}

/** Pieces of output in each second of the last half minute. */
function spark(chunks) {
  const now = Date.now(),
    counts = Array(30).fill(0);
  for (const at of chunks) {
    const s = Math.floor((now - at) / 1000);
    if (s < 30) counts[29 - s] += 1;
  }
  const most = Math.max(1, ...counts);
  return svg(
    "svg",
    {
      class: "spark",
      viewBox: "0 0 60 14",
      role: "img",
      "aria-label": `${counts.reduce((a, b) => a + b, 0)} pieces of output in 30 s`,
    },
    svg("polyline", { points: counts.map((each, at) => `${at * 2},${13 - (each / most) * 12}`).join(" ") }),
  );
}

function blocked(page, rows, asked) {
  const known = new Set(asked.map((each) => each.task));
  const left = rows.filter((each) => !known.has(each.task));
  if (!left.length) return asked.length ? null : h("p", { class: "quiet" }, "nothing waits for you");
  return left.map((each) =>
    h(
      "article",
      { class: "card wait" },
      h(
        "p",
        {},
        mark(each.status),
        " ",
        link("tasks", each.task, each.subject || each.kind),
        ` · ${each.cause} · `,
        moment(each.updated_at),
      ),
      each.status === "blocked" ? h("p", { class: "buttons" }, ...verbs(page, each.task, "blocked")) : null,
    ),
  );
}

function strip(found) {
  return h(
    "div",
    {
      class: "strip",
      role: "img",
      "aria-label": `${found.length} runs: ${found.filter((each) => each.state !== "completed").length} did not complete`,
    },
    [...found].reverse().map((each) =>
      h("a", {
        href: `/runs/${each.run}`,
        class: `cell ${each.state.replace(/[^a-z_]/g, "")}`,
        title: `${each.state}: ${each.subject || each.kind}`,
        tabindex: -1,
        "aria-hidden": "true",
      }),
    ),
  );
}

export function eventLine(event) {
  return h(
    "li",
    { class: "one" },
    h("a", { href: `/log?at=${event.position}` }, String(event.position)),
    " ",
    h("span", { class: "topic" }, event.name || event.topic.replace(/\.v\d+$/, "")),
    " ",
    event.task && /^(task|run|output)\./.test(event.topic)
      ? h("a", { href: `/tasks/${event.task}` }, short(event.task))
      : null,
    " ",
    h("span", { class: "quiet" }, fields(event.data, 140)),
  );
}

function compose(page) {
  if (!page.may("operate")) return null;
  const said = h("p", { role: "status" });
  const text = h("textarea", {
    id: "new",
    rows: 2,
    placeholder: "what is to be done; /word names a skill. Enter sends, Shift+Enter breaks the line",
  });
  const adapter = h("select", { id: "new-adapter" }, h("option", { value: "" }, "default")),
    profile = h("select", { id: "new-profile" }, h("option", { value: "" }, "default"));
  get("/api/v1/adapters")
    .then((found) => adapter.append(...found.items.map((each) => h("option", { value: each.id }, each.id))))
    .catch(() => 0);
  get("/api/v1/profiles")
    .then((found) => profile.append(...found.items.map((each) => h("option", { value: each.profile }, each.profile))))
    .catch(() => 0);
  async function send() {
    const message = text.value.trim();
    if (!message) return;
    replace(said, "…");
    const body = { message };
    if (adapter.value) body.requested_adapter = adapter.value;
    if (profile.value) body.requested_profile = profile.value;
    const parent = new URLSearchParams(location.search).get("parent");
    if (parent) body.parent_id = parent;
    try {
      const taken = await post("/api/tasks/queue", body);
      text.value = "";
      replace(said, "queued: ", link("tasks", taken.task_id), ` at position ${taken.position}`);
    } catch (problem) {
      replace(said, h("span", { class: "problem" }, words(problem)));
    }
  }
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    }
  });
  return h(
    "section",
    { "aria-label": "new task" },
    h(
      "form",
      {
        class: "compose",
        on: {
          submit: (event) => {
            event.preventDefault();
            send();
          },
        },
      },
      h("label", { for: "new" }, "New task"),
      text,
      h(
        "span",
        { class: "buttons" },
        h("label", { for: "new-adapter" }, "adapter"),
        adapter,
        h("label", { for: "new-profile" }, "profile"),
        profile,
        h("button", { class: "primary" }, "Submit"),
        command("rt intake --goal …"),
      ),
      said,
    ),
  );
}

const TABS = [
  ["", "All"],
  ["running", "Running"],
  ["pending", "Queued"],
  ["retryable_failure", "Retrying"],
  ["waiting_for_approval", "Waiting"],
  ["blocked", "Blocked"],
  ["completed", "Done"],
  ["permanent_failure", "Failed"],
  ["operator_canceled", "Canceled"],
];

export async function tasks(page, _ids, query) {
  const state = query.get("state") || "",
    list = h("div"),
    words_ = h("input", {
      type: "search",
      id: "find",
      placeholder: "subject, kind, source, id",
      value: query.get("q") || "",
    });
  let items = [],
    next = null;
  async function load(more) {
    const found = await get("/api/v1/tasks", { state, limit: 100, before: more ? next : "" });
    items = more ? items.concat(found.items) : found.items;
    next = found.next;
    draw();
  }
  function draw() {
    const wanted = words_.value.toLowerCase();
    const found = items.filter(
      (each) =>
        !wanted ||
        `${each.subject} ${each.kind} ${each.source} ${each.task} ${each.cause}`.toLowerCase().includes(wanted),
    );
    replace(
      list,
      table(
        "tasks",
        ["task", "what", "state", "cause", "attempts", "prio", "changed"],
        found.map((each) => [
          link("tasks", each.task),
          each.subject || each.kind,
          mark(each.status),
          each.cause,
          `${each.attempts}/${each.max_attempts}`,
          each.priority,
          moment(each.updated_at),
        ]),
        items.length ? "none of these fits" : "no tasks; rt do -- echo hello",
      ),
      next ? h("button", { type: "button", on: { click: () => load(true) } }, "Older") : null,
    );
  }
  words_.addEventListener("input", () => {
    const q = words_.value;
    history.replaceState(
      null,
      "",
      q ? `?${new URLSearchParams({ ...(state && { state }), q })}` : `?${new URLSearchParams(state ? { state } : {})}`,
    );
    draw();
  });
  await load();
  const reload = calmly(async () => {
    if (items.length <= 100) await load();
  }, 800);
  return {
    title: "tasks",
    element: h(
      "div",
      {},
      h("h1", {}, "Tasks"),
      h(
        "nav",
        { class: "tabs", "aria-label": "states" },
        TABS.map(([value, name]) =>
          h(
            "a",
            { href: value ? `/tasks?state=${value}` : "/tasks", "aria-current": value === state ? "page" : null },
            name,
          ),
        ),
      ),
      h(
        "p",
        {},
        h("label", { for: "find" }, "Search "),
        words_,
        " ",
        command(`rt task list${state ? ` --state ${state}` : ""}`),
      ),
      list,
    ),
    told(found) {
      if (found.some((each) => each.topic.startsWith("task."))) reload();
    },
    leave: reload.stop,
  };
}

export function verbs(page, id, status) {
  const name = short(id),
    path = `/api/v1/tasks/${id}`;
  const open = ["pending", "running", "retryable_failure", "blocked", "waiting_for_approval"].includes(status);
  return [
    open
      ? action(page, {
          label: "Cancel",
          danger: true,
          says: `rt cancel ${name} --reason …`,
          ask: "why",
          does: (reason) => post(`${path}/cancel`, { reason }),
        })
      : null,
    ["blocked", "permanent_failure", "retryable_failure"].includes(status)
      ? action(page, {
          label: "Retry",
          says: `rt retry ${name}`,
          ask: "why (may be empty)",
          does: (reason) => post(`${path}/retry`, { reason }),
        })
      : null,
    status === "blocked"
      ? action(page, {
          label: "Unblock",
          says: `rt unblock ${name} --note …`,
          ask: "what was done about it",
          does: (reason) => post(`${path}/unblock`, { reason }),
        })
      : null,
    ["pending", "retryable_failure", "blocked"].includes(status)
      ? action(page, {
          label: "Prioritize",
          says: `rt prioritize ${name} N`,
          ask: "new priority, larger is sooner",
          needs: true,
          does: (text) =>
            post(`${path}/prioritize`, { priority: Number.isInteger(Number(text)) ? Number(text) : text }),
        })
      : null,
  ].filter(Boolean);
}

export async function task(page, [id]) {
  const box = h("div");
  async function load() {
    const found = await get(`/api/v1/tasks/${encodeURIComponent(id)}`);
    replace(
      box,
      h("h1", {}, found.subject || found.kind),
      h(
        "p",
        {},
        mark(found.status),
        found.cause ? ` ${found.cause}` : "",
        " ",
        command(`rt task show ${short(found.task)}`),
      ),
      h(
        "p",
        { class: "buttons" },
        ...verbs(page, found.task, found.status),
        page.may("operate") ? h("a", { href: `/?parent=${found.task}`, class: "button" }, "Reply") : null,
      ),
      facts([
        ["task", found.task],
        ["kind", found.kind],
        ["source", found.source],
        ["adapter", found.adapter || "default"],
        ["profile", found.profile],
        ["priority", found.priority],
        ["attempts", `${found.attempts} of ${found.max_attempts}`],
        ["taken in", moment(found.created_at)],
        ["changed", moment(found.updated_at)],
        ["not before", found.due_at ? moment(found.due_at) : ""],
        ["description", found.description],
      ]),
      h("h2", {}, "Runs"),
      table(
        "runs",
        ["run", "attempt", "state", "cause", "claimed", "took"],
        found.runs.map((each) => [
          link("runs", each.run),
          each.attempt,
          mark(each.state),
          each.cause,
          moment(each.claimed_at),
          seconds(each.claimed_at, each.finished_at),
        ]),
        "no run yet; rt work",
      ),
      h("h2", {}, "Payload"),
      h("pre", {}, found.payload === null ? "erased" : JSON.stringify(found.payload, null, 2)),
    );
    return found;
  }
  const first = await load();
  const reload = calmly(load, 300);
  return {
    title: `task ${short(first.task)}`,
    element: box,
    told(found) {
      if (found.some((each) => each.task === first.task)) reload();
    },
    leave: reload.stop,
  };
}

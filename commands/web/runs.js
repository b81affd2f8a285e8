// Runs: the list, one of them, and what it would be today.

import { get, pages, post } from "./api.js";
import { action, calmly, words } from "./actions.js";
import { facts, h, replace, table } from "./dom.js";
import { bytes, command, duration, fields, mark, moment, seconds, short, topicName } from "./format.js";
import { verbs } from "./work.js";
import { SHOWN, plain } from "./sides.js";

const SIDES = [
  ["timeline", "Timeline"],
  ["log", "Log"],
  ["output", "Output"],
  ["state", "State"],
  ["decisions", "Decisions"],
  ["artifacts", "Artifacts"],
  ["why", "Why"],
];

export async function runs(page, _ids, query) {
  const state = query.get("state") || "",
    list = h("div");
  let items = [],
    next = null;
  async function load(more) {
    const found = await get("/api/v1/runs", { state, limit: 100, before: more ? next : "" });
    items = more ? items.concat(found.items) : found.items;
    next = found.next;
    replace(
      list,
      table(
        "runs",
        ["run", "what", "state", "cause", "adapter", "attempt", "claimed", "took"],
        items.map((each) => [
          h("a", { href: `/runs/${each.run}`, class: "row" }, short(each.run)),
          each.subject || each.kind,
          mark(each.state),
          each.cause,
          each.adapter,
          `${each.attempt}/${each.max_attempts}`,
          moment(each.claimed_at),
          seconds(each.claimed_at, each.finished_at),
        ]),
        "no runs; rt do -- echo hello",
      ),
      next ? h("button", { type: "button", on: { click: () => load(true) } }, "Older") : null,
    );
  }
  await load();
  const reload = calmly(async () => {
    if (items.length <= 100) await load();
  }, 800);
  const states = ["", "running", "waiting_for_approval", "completed", "failed", "canceled", "lost"];
  return {
    title: "runs",
    element: h(
      "div",
      {},
      h("h1", {}, "Runs"),
      h(
        "nav",
        { class: "tabs", "aria-label": "states" },
        states.map((each) =>
          h(
            "a",
            { href: each ? `/runs?state=${each}` : "/runs", "aria-current": each === state ? "page" : null },
            each || "all",
          ),
        ),
      ),
      h("p", {}, command(`rt run list${state ? ` --state ${state}` : ""}`)),
      list,
    ),
    told(found) {
      if (found.some((each) => /^task\.claimed|^run\.(started|finished)/.test(each.topic))) reload();
    },
    leave: reload.stop,
  };
}

export async function run(page, [id]) {
  const about = await get(`/api/v1/runs/${encodeURIComponent(id)}`);
  const wanted = about.run,
    path = `/api/v1/runs/${wanted}`,
    head = h("div"),
    body = h("div", { id: "side" }),
    nav = h("nav", { class: "tabs", "aria-label": "sides of the run" });
  let side = null,
    found = about;
  function drawHead() {
    replace(
      head,
      h("h1", {}, found.subject || found.kind),
      h(
        "p",
        {},
        mark(found.state),
        found.cause ? ` ${found.cause}` : "",
        ` · ${found.adapter || "starting"} · attempt ${found.attempt} of ${found.max_attempts} · `,
        seconds(found.claimed_at, found.finished_at),
        " ",
        command(`rt run show ${short(wanted)}`),
      ),
      h(
        "p",
        { class: "buttons" },
        found.finished_at
          ? null
          : action(page, {
              label: "Cancel",
              danger: true,
              says: `rt cancel ${short(wanted)} --reason …`,
              ask: "why",
              does: (reason) => post(`${path}/cancel`, { reason }),
            }),
        found.finished_at
          ? verbs(page, found.task, "").concat(
              page.may("operate") && found.state !== "completed"
                ? [
                    action(page, {
                      label: "Retry",
                      says: `rt retry ${short(found.task)}`,
                      ask: "why (may be empty)",
                      does: (reason) => post(`/api/v1/tasks/${found.task}/retry`, { reason }),
                    }),
                  ]
                : [],
            )
          : null,
        h("a", { class: "button", href: `/runs/${wanted}/replay` }, "Replay"),
        h("a", { class: "button", href: `${path}/report?form=html`, download: `run-${short(wanted)}.html` }, "Report"),
      ),
      facts([
        ["run", wanted],
        ["task", h("a", { href: `/tasks/${found.task}` }, found.task)],
        ["claimed", moment(found.claimed_at)],
        ["ended", found.finished_at ? moment(found.finished_at) : ""],
        ["bundle", found.bundle_sha256],
        ["without restraints", found.bypass],
        ["summary", found.outcome && found.outcome.operator_summary],
        ["warnings", found.outcome && (found.outcome.warnings || []).join("; ")],
      ]),
      table(
        "calls",
        ["call", "tool", "state", "how it ended", "output", "took"],
        found.calls.map((each) => [
          `c${each.call}`,
          each.tool,
          mark(each.state),
          each.signal || (each.exit_code === null ? each.cause : `exit ${each.exit_code}`),
          `${bytes(each.stdout_bytes + each.stderr_bytes)}${each.dropped_bytes ? `, ${bytes(each.dropped_bytes)} dropped` : ""}`,
          each.duration_s === null ? "" : duration(each.duration_s),
        ]),
        "no calls yet",
      ),
    );
  }
  async function open() {
    const [name, rest] = (location.hash.slice(1) || "timeline").split("@");
    const is = SIDES.some(([each]) => each === name) ? name : "timeline";
    replace(
      nav,
      SIDES.map(([each, text]) => h("a", { href: `#${each}`, "aria-current": each === is ? "page" : null }, text)),
    );
    if (side && side.leave) side.leave();
    replace(body, h("p", { class: "quiet" }, "loading…"));
    try {
      side = await SHOWN[is]({
        page,
        path,
        run: wanted,
        at: rest,
        get about() {
          return found;
        },
      });
      replace(body, side.element);
    } catch (problem) {
      side = null;
      replace(body, h("p", { class: "problem" }, words(problem)));
    }
  }
  drawHead();
  const onHash = () => open();
  addEventListener("hashchange", onHash);
  open();
  const reload = calmly(async () => {
    found = await get(path);
    drawHead();
  }, 300);
  const again = calmly(async () => {
    if (side && side.more) await side.more();
  }, 300);
  return {
    title: `run ${short(wanted)}`,
    element: h("div", {}, head, nav, body),
    told(events) {
      const mine = events.filter(
        (each) => each.stream === wanted || each.stream === `${wanted}.output` || each.task === found.task,
      );
      if (mine.some((each) => !each.topic.startsWith("output."))) reload();
      if (mine.length) again();
    },
    keys: {
      f() {
        if (side && side.follow) side.follow();
      },
    },
    leave() {
      removeEventListener("hashchange", onHash);
      reload.stop();
      again.stop();
      if (side && side.leave) side.leave();
    },
  };
}

export async function replay(page, [id]) {
  const run = (await get(`/api/v1/runs/${encodeURIComponent(id)}`)).run,
    path = `/api/v1/runs/${run}`;
  const found = await post(`${path}/replay`);
  const events = [];
  await pages(`${path}/events`, {}, (items) => {
    events.length = 0;
    events.push(...items);
    return true;
  });
  const d = found.difference,
    at = d ? events.findIndex((each) => each.position >= d.position) : events.length,
    same = at < 0 ? events.length : at;
  const rows = (part) =>
    table(
      "events",
      ["position", "event", "fields"],
      part.map((each) => [
        h("a", { href: `/runs/${run}#state@${each.position}` }, String(each.position)),
        topicName(each.topic),
        fields(each.data),
      ]),
    );
  return {
    title: `replay ${short(run)}`,
    element: h(
      "div",
      {},
      h("h1", {}, "Replay"),
      h(
        "p",
        {},
        d ? h("strong", { class: "problem" }, "✗ diverged") : h("strong", { class: "state completed" }, "✓ identical"),
        ` · ${found.events} events, ${found.consequences} consequences, ${found.state} · ${duration(found.took_s)}, nothing was run `,
        command(`rt replay ${short(run)}`),
      ),
      found.erased ? h("p", { class: "quiet" }, "texts of it were erased: compared as far as they are there") : null,
      h(
        "p",
        { class: "buttons" },
        h("a", { class: "button", href: `/runs/${run}` }, "The run"),
        h("button", { type: "button", on: { click: () => save(`replay-${short(run)}.json`, found) } }, "Download"),
        d ? h("a", { class: "button", href: `/runs/${run}#state@${d.position}` }, "Fork here") : null,
      ),
      h(
        "div",
        { class: "two", role: "group", "aria-label": "recorded and today" },
        h("div", {}, h("h2", {}, "Recorded")),
        h("div", {}, h("h2", {}, "Today")),
      ),
      h("details", {}, h("summary", {}, `${same} events identical`), rows(events.slice(0, same).slice(-500))),
      d
        ? h(
            "section",
            { class: "card" },
            h("h2", {}, `First difference at position ${d.position}`),
            facts([
              ["event", d.event],
              ["field", d.field],
              ["decision", d.decision || ""],
              ["derived from", `${d.fact} at position ${d.fact_position}`],
              ["cause", found.cause],
            ]),
            (d.inputs || []).length
              ? h(
                  "ul",
                  {},
                  d.inputs.map((each) => h("li", {}, each)),
                )
              : null,
            h(
              "div",
              { class: "two" },
              h("pre", { "aria-label": "recorded" }, plain(d.recorded)),
              h("pre", { "aria-label": "today" }, plain(d.today)),
            ),
            h("details", {}, h("summary", {}, "All of it"), h("pre", {}, JSON.stringify(d, null, 2))),
          )
        : null,
      d && events.length > same
        ? h(
            "details",
            {},
            h("summary", {}, `${events.length - same} events recorded from there on`),
            rows(events.slice(same, same + 500)),
          )
        : null,
    ),
  };
}

function save(name, document_) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(document_, null, 2)], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// Runs: the list, one of them from every side, and what it would be today.

import { get, pages, post } from "./api.js";
import { action, calmly, words } from "./actions.js";
import { clean, facts, h, longList, replace, table } from "./dom.js";
import { bytes, command, date, duration, fields, mark, moment, seconds, short, topicName } from "./format.js";
import { verbs } from "./work.js";
import { timeline } from "./timeline.js";

const SIDES = [["timeline", "Timeline"], ["log", "Log"], ["output", "Output"], ["state", "State"], ["decisions", "Decisions"], ["artifacts", "Artifacts"], ["why", "Why"]];

export async function runs(page, _ids, query) {
  const state = query.get("state") || "", list = h("div");
  let items = [], next = null;
  async function load(more) {
    const found = await get("/api/v1/runs", { state, limit: 100, before: more ? next : "" });
    items = more ? items.concat(found.items) : found.items;
    next = found.next;
    replace(list, table("runs", ["run", "what", "state", "cause", "adapter", "attempt", "claimed", "took"], items.map((each) =>
      [h("a", { href: `/runs/${each.run}`, class: "row" }, short(each.run)), each.subject || each.kind, mark(each.state), each.cause, each.adapter, `${each.attempt}/${each.max_attempts}`, moment(each.claimed_at), seconds(each.claimed_at, each.finished_at)]),
      "no runs; rt do -- echo hello"), next ? h("button", { type: "button", on: { click: () => load(true) } }, "Older") : null);
  }
  await load();
  const reload = calmly(async () => { if (items.length <= 100) await load(); }, 800);
  const states = ["", "running", "waiting_for_approval", "completed", "failed", "canceled", "lost"];
  return {
    title: "runs",
    element: h("div", {}, h("h1", {}, "Runs"), h("nav", { class: "tabs", "aria-label": "states" }, states.map((each) => h("a", { href: each ? `/runs?state=${each}` : "/runs", "aria-current": each === state ? "page" : null }, each || "all"))), h("p", {}, command(`rt run list${state ? ` --state ${state}` : ""}`)), list),
    told(found) { if (found.some((each) => /^task\.claimed|^run\.(started|finished)/.test(each.topic))) reload(); },
    leave: reload.stop,
  };
}

export async function run(page, [id]) {
  const about = await get(`/api/v1/runs/${encodeURIComponent(id)}`);
  const wanted = about.run, path = `/api/v1/runs/${wanted}`, head = h("div"), body = h("div", { id: "side" }), nav = h("nav", { class: "tabs", "aria-label": "sides of the run" });
  let side = null, found = about;
  function drawHead() {
    replace(head, h("h1", {}, found.subject || found.kind), h("p", {}, mark(found.state), found.cause ? ` ${found.cause}` : "", ` · ${found.adapter || "starting"} · attempt ${found.attempt} of ${found.max_attempts} · `, seconds(found.claimed_at, found.finished_at), " ", command(`rt run show ${short(wanted)}`)),
      h("p", { class: "buttons" }, found.finished_at ? null : action(page, { label: "Cancel", danger: true, says: `rt cancel ${short(wanted)} --reason …`, ask: "why", does: (reason) => post(`${path}/cancel`, { reason }) }),
        found.finished_at ? verbs(page, found.task, "").concat(page.may("operate") && found.state !== "completed" ? [action(page, { label: "Retry", says: `rt retry ${short(found.task)}`, ask: "why (may be empty)", does: (reason) => post(`/api/v1/tasks/${found.task}/retry`, { reason }) })] : []) : null,
        h("a", { class: "button", href: `/runs/${wanted}/replay` }, "Replay"), h("a", { class: "button", href: `${path}/report?form=html`, download: `run-${short(wanted)}.html` }, "Report")),
      facts([["run", wanted], ["task", h("a", { href: `/tasks/${found.task}` }, found.task)], ["claimed", moment(found.claimed_at)], ["ended", found.finished_at ? moment(found.finished_at) : ""], ["bundle", found.bundle_sha256],
        ["summary", found.outcome && found.outcome.operator_summary], ["warnings", found.outcome && (found.outcome.warnings || []).join("; ")]]),
      table("calls", ["call", "tool", "state", "how it ended", "output", "took"], found.calls.map((each) => [`c${each.call}`, each.tool, mark(each.state), each.signal || (each.exit_code === null ? each.cause : `exit ${each.exit_code}`),
        `${bytes(each.stdout_bytes + each.stderr_bytes)}${each.dropped_bytes ? `, ${bytes(each.dropped_bytes)} dropped` : ""}`, each.duration_s === null ? "" : duration(each.duration_s)]), "no calls yet"));
  }
  async function open() {
    const [name, rest] = (location.hash.slice(1) || "timeline").split("@");
    const is = SIDES.some(([each]) => each === name) ? name : "timeline";
    replace(nav, SIDES.map(([each, text]) => h("a", { href: `#${each}`, "aria-current": each === is ? "page" : null }, text)));
    if (side && side.leave) side.leave();
    replace(body, h("p", { class: "quiet" }, "loading…"));
    try { side = await SHOWN[is]({ page, path, run: wanted, at: rest, get about() { return found; } }); replace(body, side.element); } catch (problem) { side = null; replace(body, h("p", { class: "problem" }, words(problem))); }
  }
  drawHead();
  const onHash = () => open();
  addEventListener("hashchange", onHash);
  open();
  const reload = calmly(async () => { found = await get(path); drawHead(); }, 300);
  const again = calmly(async () => { if (side && side.more) await side.more(); }, 300);
  return {
    title: `run ${short(wanted)}`,
    element: h("div", {}, head, nav, body),
    told(events) {
      const mine = events.filter((each) => each.stream === wanted || each.stream === `${wanted}.output` || each.task === found.task);
      if (mine.some((each) => !each.topic.startsWith("output."))) reload();
      if (mine.length) again();
    },
    keys: { f() { if (side && side.follow) side.follow(); } },
    leave() { removeEventListener("hashchange", onHash); reload.stop(); again.stop(); if (side && side.leave) side.leave(); },
  };
}

const SHOWN = {
  async timeline({ path, page }) {
    const box = h("div");
    const load = async () => replace(box, timeline(await get(`${path}/timeline`)));
    await load();
    return { element: h("section", {}, h("h2", {}, "Timeline"), box, page ? h("p", { class: "quiet" }, "drag over it to zoom, double-click to see all; bars and ticks say what they are when pointed at") : null), more: load };
  },
  async log({ path, run, at }) {
    let items = [], shown = [], wanted = "", left = false;
    const detail = h("pre", { class: "detail", tabindex: 0, "aria-label": "the chosen event", hidden: true }), count = h("span", { role: "status" });
    const list = longList("events of the run", (event) => h("button", { type: "button", class: "line", on: { click: () => choose(event) } }, h("span", { class: "number" }, String(event.position)), h("span", { class: "since" }, since(event)), h("span", { class: "topic" }, topicName(event.topic)), h("span", { class: "quiet" }, fields(event.data))));
    const begin = () => (items.length ? date(items[0].at) : null);
    const since = (event) => `+${((date(event.at) - begin()) / 1000).toFixed(3)}`;
    function choose(event) { detail.hidden = false; replace(detail, JSON.stringify(event, null, 2)); history.replaceState(null, "", `#log@${event.position}`); }
    function draw() {
      shown = items.filter((each) => !wanted || `${each.topic} ${JSON.stringify(each.data)}`.toLowerCase().includes(wanted));
      list.set(shown);
      replace(count, `${shown.length} of ${items.length} events`);
    }
    async function load() {
      const after = items.length ? items[items.length - 1].position : 0;
      const had = items;
      await pages(`${path}/events`, { after }, (found) => { if (left) return false; items = had.concat(found); draw(); return true; });
    }
    const first = load().then(() => { const chosen = items.find((each) => String(each.position) === at); if (chosen) { choose(chosen); list.show(shown.indexOf(chosen)); } });
    await Promise.race([first, new Promise((done) => setTimeout(done, 250))]);
    const field = h("input", { type: "search", id: "find", placeholder: "topic or text", on: { input: () => { wanted = field.value.toLowerCase(); draw(); } } });
    const follow = h("input", { type: "checkbox", id: "follow", on: { change: () => list.follow(follow.checked) } });
    return {
      element: h("section", {}, h("h2", { class: "unseen" }, "Log"), h("p", { class: "buttons" }, h("label", { for: "find" }, "Search "), field, h("label", {}, follow, " follow (f)"), count, command(`rt run log ${short(run)}`)), list.element, detail),
      more: load, follow() { follow.checked = !follow.checked; list.follow(follow.checked); }, leave() { left = true; },
    };
  },
  async output({ path, run, at }) {
    let lines = [], stream = "", pieces = [], left = false, after = 0, tail = {};
    const count = h("span", { role: "status" });
    const list = longList("output of the run", (line) => h("div", { class: `line ${line.stream}` }, h("span", { class: "number" }, String(line.number)), h("span", { class: "since" }, line.stream === "stdout" ? "" : line.stream), h("span", { class: "text" }, line.text)), 20);
    function take(found) {
      for (const piece of found) {
        pieces.push(piece);
        if (piece.erased) { lines.push({ stream: piece.data.stream, text: "[erased]", number: lines.length + 1, position: piece.position }); continue; }
        const key = `${piece.data.call}/${piece.data.stream}`, text = (piece.text || "").split("\n");
        if (tail[key]) { tail[key].text += clean(text.shift()); }
        const rest = text.map((each) => ({ stream: piece.data.stream, call: piece.data.call, text: clean(each), number: 0, position: piece.position }));
        const last = rest.pop();
        for (const line of rest) { line.number = lines.length + 1; lines.push(line); }
        tail[key] = null;
        if (last && last.text) { last.number = lines.length + 1; lines.push(last); tail[key] = last; }
      }
    }
    function draw() {
      const shown = lines.filter((each) => !stream || each.stream === stream);
      list.set(shown);
      replace(count, `${shown.length} lines`);
    }
    async function load() {
      await pages(`${path}/output`, { after }, (found, answer) => {
        if (left) return false;
        take(answer.items);
        if (answer.items.length) after = answer.items[answer.items.length - 1].version;
        draw();
        return true;
      });
    }
    const first = load();
    await Promise.race([first, new Promise((done) => setTimeout(done, 250))]);
    if (at) first.then(() => { const index = lines.findIndex((each) => each.position >= Number(at)); if (index >= 0) list.show(index); });
    const choice = h("select", { id: "stream", on: { change: () => { stream = choice.value; draw(); } } }, [["", "both"], ["stdout", "stdout"], ["stderr", "stderr"]].map(([value, text]) => h("option", { value }, text)));
    const follow = h("input", { type: "checkbox", id: "follow", on: { change: () => list.follow(follow.checked) } });
    return {
      element: h("section", {}, h("h2", { class: "unseen" }, "Output"), h("p", { class: "buttons" }, h("label", { for: "stream" }, "stream "), choice, h("label", {}, follow, " follow (f)"), count, command(`rt run output ${short(run)}`)), list.element),
      more: load, follow() { follow.checked = !follow.checked; list.follow(follow.checked); }, leave() { left = true; },
    };
  },
  async state({ page, path, run, at }) {
    let positions = [];
    const box = h("div"), slider = h("input", { type: "range", id: "scrub", min: 1, value: 1, "aria-label": "event of the run" }), label = h("output", { for: "scrub" });
    async function load() { const known = []; await pages(`${path}/events`, { after: positions.length ? positions[positions.length - 1] : 0 }, (found) => { known.length = 0; known.push(...found.map((each) => each.position)); return true; }); positions = positions.concat(known); slider.max = positions.length; }
    const show = calmly(async () => {
      const position = positions[Number(slider.value) - 1];
      const found = await get(`${path}/state`, { at: position });
      history.replaceState(null, "", `#state@${position}`);
      replace(label, `event ${found.number} of ${positions.length}, position ${found.position}: ${topicName(found.event.topic)}`);
      replace(box, h("h3", {}, "Changed"), table("changes", ["field", "before", "after"], found.changes.map((each) => [each.path, plain(each.before), plain(each.after)]), "nothing"),
        h("details", {}, h("summary", {}, "The whole state"), table("state", ["field", "value"], Object.entries(found.state).filter(([, value]) => value !== null && value !== "" && value !== false && value !== 0).map(([name, value]) => [name, plain(value)]))),
        h("details", {}, h("summary", {}, "The event"), h("pre", {}, JSON.stringify(found.event, null, 2))), forking(page, path, run, position));
    }, 80);
    await load();
    const from = at ? positions.findIndex((each) => each >= Number(at)) + 1 : positions.length;
    slider.value = from || positions.length;
    slider.addEventListener("input", show);
    const by = (n) => () => { slider.value = Number(slider.value) + n; show(); };
    show();
    return { element: h("section", {}, h("h2", {}, "State at a position"), h("p", { class: "buttons" }, h("button", { type: "button", on: { click: by(-1) } }, "◀ before"), slider, h("button", { type: "button", on: { click: by(1) } }, "after ▶")), h("p", {}, label, " ", command(`rt replay ${short(run)} --step`)), box), more: load, leave: show.stop };
  },
  async decisions({ path, run }) {
    const box = h("div");
    async function load() {
      const found = await get(`${path}/decisions`);
      replace(box, table("decisions", ["#", "decision", "why", "by", "took", "tokens", "cost", "position"], found.items.map((each) => [each.number === null || each.number === undefined ? "" : `@decision${each.number}`, each.decision, each.cause || each.rule || "", each.controller || each.model || "", each.latency_s === null || each.latency_s === undefined ? "" : duration(each.latency_s),
        each.tokens_in === null || each.tokens_in === undefined ? "" : `${each.tokens_in} + ${each.tokens_out}`, each.cost_usd === null || each.cost_usd === undefined ? "" : `$${each.cost_usd}`, h("a", { href: `#state@${each.position}` }, String(each.position))]), "no decision yet"));
    }
    await load();
    return { element: h("section", {}, h("h2", {}, "Decisions"), h("p", {}, command(`rt why ${short(run)} @decision1`)), box), more: load };
  },
  async artifacts({ path }) {
    const found = await get(`${path}/artifacts`);
    return { element: h("section", {}, h("h2", {}, "Artifacts"), table("artifacts", ["path", "", ""], found.paths.map((each) => [each, h("a", { href: `/files?path=${encodeURIComponent(each)}` }, "look"), h("a", { href: `/api/v1/artifacts/file?path=${encodeURIComponent(each)}`, download: true }, "download")]), "it names no artifacts"),
      h("h3", {}, "Checks"), table("checks", ["what", "result", "path", "why", "sha256"], found.checks.map((each) => [each.what, each.result, each.path || "", each.why || "", (each.sha256 || "").slice(0, 16)]), "nothing was checked")) };
  },
  async why({ path, run }) {
    const about = h("input", { id: "about", placeholder: "@decision3, a position, an event, a field" }), box = h("div");
    async function load() { const found = await get(`${path}/why`, { about: about.value.trim() }); replace(box, h("ol", { class: "chain" }, found.items.map((each) => h("li", {}, h("a", { href: `#state@${each.position}` }, String(each.position)), " ", moment(each.at), " ", each.says)))); }
    await load();
    return { element: h("section", {}, h("h2", {}, "Why"), h("form", { class: "buttons", on: { submit: async (event) => { event.preventDefault(); try { await load(); } catch (problem) { replace(box, h("p", { class: "problem" }, words(problem))); } } } }, h("label", { for: "about" }, "what about"), about, h("button", {}, "Ask"), command(`rt why ${short(run)}`)), box) };
  },
};

function plain(value) { return value === null || value === undefined || value === "" ? "—" : typeof value === "object" ? JSON.stringify(value) : String(value); }

function forking(page, path, run, position) {
  if (!page.may("read") || !page.may("operate")) return null;
  const controller = h("input", { id: "controller", placeholder: "controller" }), sets = h("textarea", { id: "sets", rows: 2, placeholder: "budgets.wall_us=5000000" }), said = h("div");
  return h("details", {}, h("summary", {}, "Fork here: how would it have gone on otherwise?"), h("form", { on: { submit: async (event) => {
    event.preventDefault();
    replace(said, "…");
    try {
      const found = await post(`${path}/fork`, { at: String(position), controller: controller.value.trim(), set: sets.value.split("\n").map((each) => each.trim()).filter(Boolean) });
      replace(said, h("p", {}, mark(found.state), found.stopped ? ` stops here: ${found.stopped}` : "", found.assumed ? ` · ${found.assumed} ends of calls are assumed` : ""),
        found.difference ? facts([["first difference", `its event ${found.difference.number}`], ["fork", found.difference.fork], ["recorded", found.difference.parent]]) : h("p", {}, "it says the same as the recorded run, as far as it goes"),
        table("events of the fork", ["from", "event", "fields"], found.events.slice(0, 200).map((each) => [each.source, topicName(each.topic), fields(each.data)])));
    } catch (problem) { replace(said, h("p", { class: "problem" }, words(problem))); }
  } } }, h("p", {}, h("label", { for: "controller" }, "who decides "), controller), h("p", {}, h("label", { for: "sets" }, "inputs, PATH=JSON a line "), sets), h("button", {}, "Fork"), " ", command(`rt fork ${short(run)} --at ${position}`)), said);
}

export async function replay(page, [id]) {
  const run = (await get(`/api/v1/runs/${encodeURIComponent(id)}`)).run, path = `/api/v1/runs/${run}`;
  const found = await post(`${path}/replay`);
  const events = [];
  await pages(`${path}/events`, {}, (items) => { events.length = 0; events.push(...items); return true; });
  const d = found.difference, at = d ? events.findIndex((each) => each.position >= d.position) : events.length, same = at < 0 ? events.length : at;
  const rows = (part) => table("events", ["position", "event", "fields"], part.map((each) => [h("a", { href: `/runs/${run}#state@${each.position}` }, String(each.position)), topicName(each.topic), fields(each.data)]));
  return {
    title: `replay ${short(run)}`,
    element: h("div", {}, h("h1", {}, "Replay"), h("p", {}, d ? h("strong", { class: "problem" }, "✗ diverged") : h("strong", { class: "state completed" }, "✓ identical"), ` · ${found.events} events, ${found.consequences} consequences, ${found.state} · ${duration(found.took_s)}, nothing was run `, command(`rt replay ${short(run)}`)),
      found.erased ? h("p", { class: "quiet" }, "texts of it were erased: compared as far as they are there") : null,
      h("p", { class: "buttons" }, h("a", { class: "button", href: `/runs/${run}` }, "The run"), h("button", { type: "button", on: { click: () => save(`replay-${short(run)}.json`, found) } }, "Download"), d ? h("a", { class: "button", href: `/runs/${run}#state@${d.position}` }, "Fork here") : null),
      h("div", { class: "two", role: "group", "aria-label": "recorded and today" }, h("div", {}, h("h2", {}, "Recorded")), h("div", {}, h("h2", {}, "Today"))),
      h("details", {}, h("summary", {}, `${same} events identical`), rows(events.slice(0, same).slice(-500))),
      d ? h("section", { class: "card" }, h("h3", {}, `First difference at position ${d.position}`), facts([["event", d.event], ["field", d.field], ["decision", d.decision || ""], ["derived from", `${d.fact} at position ${d.fact_position}`], ["cause", found.cause]]), (d.inputs || []).length ? h("ul", {}, d.inputs.map((each) => h("li", {}, each))) : null,
        h("div", { class: "two" }, h("pre", { "aria-label": "recorded" }, plain(d.recorded)), h("pre", { "aria-label": "today" }, plain(d.today))), h("details", {}, h("summary", {}, "All of it"), h("pre", {}, JSON.stringify(d, null, 2)))) : null,
      d && events.length > same ? h("details", {}, h("summary", {}, `${events.length - same} events recorded from there on`), rows(events.slice(same, same + 500))) : null),
  };
}

function save(name, document_) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(document_, null, 2)], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url; link.download = name; link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// The rest of the house: schedules, sensors, workflows, adapters, outbox, files, the log, SQL, reports.

import { get, patch, post, remove } from "./api.js";
import { action, calmly, words } from "./actions.js";
import { clean, facts, h, replace, svg, table } from "./dom.js";
import { bytes, command, fields, mark, moment, quoted, short, topicName } from "./format.js";
import { eventLine } from "./work.js";
import { machine } from "./machine.js";

export async function schedules(page) {
  const box = h("div"), said = h("p", { role: "status" });
  async function load() {
    const found = await get("/api/v1/schedules");
    replace(box, table("schedules", ["name", "when", "state", "next", "last", "fired", "skipped", ""], found.items.map((each) => {
      const path = `/api/v1/schedules/${encodeURIComponent(each.name)}`, name = quoted(each.name);
      return [each.name, each.cron ? `${each.cron} ${each.timezone}` : `every ${each.interval_seconds} s`, mark(each.status), moment(each.next_run_at), moment(each.last_run_at), each.fired, each.skipped, h("span", { class: "buttons" },
        each.status === "enabled" ? action(page, { label: "Disable", says: `rt schedule disable ${name} --reason …`, ask: "why", does: (reason) => patch(path, { enabled: false, reason }) }) : each.status === "disabled" ? action(page, { label: "Enable", says: `rt schedule enable ${name}`, does: () => patch(path, { enabled: true }) }) : null,
        action(page, { label: "Run now", says: `rt schedule run ${name}`, does: () => post("/api/v1/schedules/tick", { name: each.name }) }),
        action(page, { label: "Remove", danger: true, says: `rt schedule remove ${name}`, does: () => remove(path) }))];
    }), "no schedules; rt schedule create NAME --every 30m -- COMMAND"));
  }
  const name = h("input", { id: "name", required: true }), every = h("input", { id: "every", type: "number", min: 1, value: 1800 }), cron = h("input", { id: "cron", placeholder: "0 7 * * *" }), task = h("textarea", { id: "task", rows: 5 }, JSON.stringify({ kind: "goal", source: "schedule", payload: { objective: "…" } }, null, 2));
  async function create(event) {
    event.preventDefault();
    try {
      const when = cron.value.trim() ? { cron: cron.value.trim() } : { interval_seconds: Number(every.value) };
      const done = await post("/api/v1/schedules", { name: name.value, task: JSON.parse(task.value), ...when });
      replace(said, `${done.changed ? "scheduled" : "unchanged"} at position ${done.position}`);
      await load();
    } catch (problem) { replace(said, h("span", { class: "problem" }, problem instanceof SyntaxError ? `the task is not JSON: ${problem.message}` : words(problem))); }
  }
  await load();
  const reload = calmly(load, 400);
  return { title: "schedules", element: h("div", {}, h("h1", {}, "Schedules"), h("p", { class: "buttons" }, action(page, { label: "Evaluate now", says: "rt schedule tick", does: () => post("/api/v1/schedules/tick", {}) })), box,
    page.may("operate") ? h("details", {}, h("summary", {}, "New schedule"), h("form", { on: { submit: create } }, h("p", {}, h("label", { for: "name" }, "name "), name), h("p", {}, h("label", { for: "every" }, "every so many seconds "), every, h("label", { for: "cron" }, " or cron "), cron), h("p", {}, h("label", { for: "task" }, "task "), task), h("button", { class: "primary" }, "Create"), " ", command("rt schedule create NAME --every 30m TASK"))) : null, said),
    told(found) { if (found.some((each) => each.topic.startsWith("schedule."))) reload(); }, leave: reload.stop };
}

export async function sensors(page) {
  const list = h("div"), events = h("div");
  async function load() {
    const [known, told] = await Promise.all([get("/api/v1/sensors"), get("/api/v1/sensors/events", { limit: 100 })]);
    replace(list, table("sensors", ["sensor", "state", "every", "next", "program"], known.items.map((each) => [each.sensor, mark(each.status), `${each.every_s} s`, moment(each.next_at), each.argv.join(" ")]), "no sensors are configured"));
    replace(events, table("sensor events", ["position", "sensor", "event", "key", "made", "again", "when"], told.items.map((each) => [h("a", { href: `/log?at=${each.position}`, class: "row" }, String(each.position)), each.sensor, each.event, each.key,
      each.task ? h("a", { href: `/tasks/${each.task}` }, short(each.task)) : each.workflow ? h("a", { href: `/workflows/${each.workflow}` }, short(each.workflow)) : "", each.repetitions, moment(each.recorded_at)]), "nothing was told yet; rt sensor ingest"));
  }
  await load();
  const reload = calmly(load, 800);
  return { title: "sensors", element: h("div", {}, h("h1", {}, "Sensors"), h("p", {}, command("rt sensor list")), list, h("h2", {}, "What they told"), events), told(found) { if (found.some((each) => each.topic.startsWith("sensor."))) reload(); }, leave: reload.stop };
}

export async function workflows(page, _ids, query) {
  const all = query.get("all") === "1", box = h("div");
  async function load() {
    const found = await get("/api/v1/workflows", { all: all ? "true" : "" });
    replace(box, table("workflows", ["key", "template", "where", "state", "cause", "task", "changed"], found.items.map((each) => [h("a", { href: `/workflows/${encodeURIComponent(each.instance_key)}`, class: "row" }, each.instance_key), each.template, each.current_state, mark(each.status), each.cause, each.task_id ? h("a", { href: `/tasks/${each.task_id}` }, short(each.task_id)) : "", moment(each.updated_at)]), "no workflows; rt workflow create --template T --key K"));
  }
  await load();
  const reload = calmly(load, 500);
  return { title: "workflows", element: h("div", {}, h("h1", {}, "Workflows"), h("nav", { class: "tabs", "aria-label": "which" }, h("a", { href: "/workflows", "aria-current": all ? null : "page" }, "open"), h("a", { href: "/workflows?all=1", "aria-current": all ? "page" : null }, "all")), h("p", {}, command("rt workflow list")), box), told(found) { if (found.some((each) => each.topic.startsWith("workflow."))) reload(); }, leave: reload.stop };
}

export async function workflow(page, [key]) {
  const path = `/api/v1/workflows/${encodeURIComponent(key)}`, box = h("div"), name = quoted(key);
  let id = "";
  async function load() {
    const found = await get(path);
    id = found.workflow_id;
    const going = !["completed", "canceled"].includes(found.status);
    replace(box, h("h1", {}, found.instance_key), h("p", {}, mark(found.status), ` in ${found.current_state}`, found.cause ? ` · ${found.cause} ${found.message}` : "", " ", command(`rt workflow show ${name}`)),
      going ? h("p", { class: "buttons" }, Object.entries(found.ways_on).map(([signal, to]) => action(page, { label: `${signal} → ${to}`, says: `rt workflow transition ${name} --signal ${signal}`, does: () => post(`${path}/transition`, { signal }) })),
        action(page, { label: "Skip", says: `rt workflow skip ${name}`, does: () => post(`${path}/skip`, {}) }), found.status === "parked" ? action(page, { label: "Retry", says: `rt workflow retry ${name}`, does: () => post(`${path}/retry`, {}) }) : null,
        action(page, { label: "Complete", says: `rt workflow complete ${name}`, does: () => post(`${path}/complete`, {}) }), action(page, { label: "Cancel", danger: true, says: `rt workflow cancel ${name} --reason …`, ask: "why", does: (reason) => post(`${path}/cancel`, { reason }) })) : null,
      found.machine ? machine(found.machine, found.current_state, found.status) : null,
      facts([["template", found.template], ["iteration", found.iteration], ["task", found.task_id ? h("a", { href: `/tasks/${found.task_id}` }, `${short(found.task_id)} ${found.task_status || ""}`) : ""], ["began", moment(found.created_at)], ["changed", moment(found.updated_at)]]),
      h("h2", {}, "Moves"), table("moves", ["position", "event", "fields", "when"], found.moves.map((each) => [h("a", { href: `/log?at=${each.position}` }, String(each.position)), topicName(each.topic), fields(each.data), moment(each.at)])), h("details", {}, h("summary", {}, "Context"), h("pre", {}, JSON.stringify(found.context, null, 2))));
  }
  await load();
  const reload = calmly(load, 300);
  return { title: `workflow ${key}`, element: box, told(found) { if (found.some((each) => each.stream === id)) reload(); }, leave: reload.stop };
}

export async function adapters(page) {
  const box = h("div"), checks = h("div"), said = h("span", { role: "status" });
  const draw = (found) => replace(box, table("adapters", ["adapter", "kind", "health", "fallback", "detail"], found.items.map((each) => [`${each.id}${each.isDefault ? " (default)" : ""}`, each.mode, each.ok ? mark("ok") : h("span", { class: "problem" }, `✗ ${each.broken_reason}`), each.fallback_adapter || "", each.detail])));
  draw(await get("/api/v1/adapters"));
  async function look(path, query, shown) { replace(said, "looking…"); try { shown(await get(path, query)); replace(said, ""); } catch (problem) { replace(said, h("span", { class: "problem" }, words(problem))); } }
  const health = (found) => replace(checks, h("p", {}, found.ok ? mark("ok") : h("strong", { class: "problem" }, "✗ not ok")), table("checks", ["what", "", "detail"], [...found.configIssues.map((each) => ["config", "✗", each]), ...found.profileChecks.flatMap((each) => each.issues.map((issue) => [`profile ${each.profileId}`, "✗", issue])), ...found.adapterChecks.map((each) => [`adapter ${each.adapterId}`, each.ok ? "✓" : each.needed ? "✗" : "▲", each.detail]), ...found.checks.map((each) => [each.what, each.ok ? "✓" : each.warning ? "▲" : "✗", each.detail])]));
  return { title: "adapters", element: h("div", {}, h("h1", {}, "Adapters"), h("p", { class: "buttons" }, h("button", { type: "button", on: { click: () => look("/api/v1/adapters", { probe: "true" }, draw) } }, "Look at them now"), command("rt adapter list"), h("button", { type: "button", on: { click: () => look("/api/v1/health/checks", {}, health) } }, "Check everything"), command("rt health"), said), box, h("h2", {}, "Health"), checks) };
}

export async function outbox(page) {
  const box = h("div");
  async function load() {
    const found = await get("/api/v1/outbox", { limit: 200 });
    replace(box, table("outbox", ["message", "state", "kind", "to", "attempts", "task", "cause", "queued", ""], found.items.map((each) => [short(each.message), mark(each.status), each.kind, each.target, each.attempts, each.task ? h("a", { href: `/tasks/${each.task}` }, short(each.task)) : "", each.cause, moment(each.queued_at), ["queued", "failed", "held"].includes(each.status) ? h("span", { class: "buttons" },
      action(page, { label: each.status === "held" ? "Release" : "Retry", says: `rt outbox retry ${short(each.message)}`, does: () => post(`/api/v1/outbox/${each.message}/retry`, {}) }), action(page, { label: "Drop", danger: true, says: `rt outbox drop ${short(each.message)} --reason …`, ask: "why", does: (reason) => post(`/api/v1/outbox/${each.message}/drop`, { reason }) })) : ""]), "nothing went out; rt outbox list"));
  }
  await load();
  const reload = calmly(load, 400);
  return { title: "outbox", element: h("div", {}, h("h1", {}, "Outbox"), h("p", {}, command("rt outbox list")), box), told(found) { if (found.some((each) => each.topic.startsWith("outbox."))) reload(); }, leave: reload.stop };
}

export async function files(page, _ids, query) {
  const path = query.get("path") || "", found = await get("/api/v1/artifacts", { path }), parts = path.split("/").filter(Boolean);
  const crumbs = h("nav", { "aria-label": "folders" }, h("a", { href: "/files" }, "artifacts"), parts.map((each, at) => [" / ", h("a", { href: `/files?path=${encodeURIComponent(parts.slice(0, at + 1).join("/"))}` }, each)]));
  const file = (where) => h("a", { href: `/api/v1/artifacts/file?path=${encodeURIComponent(where)}`, download: true, class: "button" }, "Download");
  if (found.type === "file") {
    const text = await get("/api/v1/artifacts/text", { path });
    return { title: path, element: h("div", {}, h("h1", {}, parts[parts.length - 1]), crumbs, h("p", { class: "buttons" }, bytes(found.size), moment(found.updated_at), file(path)), h("pre", {}, clean(text.content)), text.cut ? h("p", { class: "quiet" }, "cut at 1 MiB") : null) };
  }
  return { title: "files", element: h("div", {}, h("h1", {}, "Files"), crumbs, table("files", ["name", "size", "changed", ""], found.entries.map((each) => [each.type === "other" ? each.name : h("a", { href: `/files?path=${encodeURIComponent(each.path)}`, class: "row" }, each.type === "directory" ? `${each.name}/` : each.name), each.type === "file" ? bytes(each.size) : "", moment(each.updated_at), each.type === "file" ? file(each.path) : ""]), "no artifacts yet")) };
}

export async function log(page, _ids, query) {
  const topic = h("input", { type: "search", id: "topic", value: query.get("topic") || "", placeholder: "run.*, task." }), box = h("div"), follow = h("input", { type: "checkbox", id: "follow", checked: !query.get("at") });
  let items = [], next = null;
  const at = Number(query.get("at") || 0);
  async function load(more) {
    const found = await get("/api/v1/events", { topic: topic.value.trim(), before: more ? next : at ? at + 26 : "", limit: 100 });
    items = more ? items.concat(found.items) : found.items;
    next = found.next;
    draw();
  }
  function draw() {
    replace(box, items.length ? h("ol", { class: "events", "aria-label": "events" }, items.map((each) => { const line = eventLine(each); if (each.position === at) { line.className = "one chosen"; line.append(h("pre", {}, JSON.stringify(each, null, 2))); } return line; })) : h("p", { class: "quiet" }, "no such events"), next ? h("button", { type: "button", on: { click: () => load(true) } }, "Older") : null);
  }
  topic.addEventListener("change", () => page.go(topic.value ? `/log?topic=${encodeURIComponent(topic.value)}` : "/log"));
  await load();
  const wants = (each) => { const t = topic.value.trim(); return !t || (t.includes("*") ? new RegExp(`^${t.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*")}$`).test(each.topic) : each.topic.startsWith(t)); };
  return { title: "log", element: h("div", {}, h("h1", {}, "Log"), h("p", { class: "buttons" }, h("label", { for: "topic" }, "topic "), topic, h("label", {}, follow, " follow (f)"), command(`rt log tail -f${topic.value ? ` --topic ${quoted(topic.value)}` : ""}`)), box),
    told(found) { if (!follow.checked) return; const known = items.length ? items[0].position : 0; items = found.filter((each) => each.position > known && wants(each)).reverse().concat(items).slice(0, 1000); draw(); },
    keys: { f() { follow.checked = !follow.checked; } } };
}

export async function sql(page, _ids, query) {
  const text = h("textarea", { id: "query", rows: 6, spellcheck: "false", value: query.get("q") || "SELECT status, count(*) AS tasks FROM tasks GROUP BY status ORDER BY tasks DESC" }), at = h("input", { id: "at", placeholder: "position or time", value: query.get("at") || "" }), box = h("div"), said = h("p", { role: "status" }), says = h("span");
  const asks = h("select", { id: "asks" }, h("option", { value: "" }, "a question that people ask…"));
  get("/api/v1/sql/questions").then((found) => { asks.append(...found.items.map((each, index) => h("option", { value: String(index) }, each.asks))); asks.addEventListener("change", () => { if (asks.value) { text.value = found.items[Number(asks.value)].sql; ask(); } }); }).catch(() => 0);
  async function ask() {
    replace(said, "asking…");
    replace(says, command(`rt sql ${quoted(text.value)}${at.value ? ` --at ${at.value}` : ""}`));
    history.replaceState(null, "", `?${new URLSearchParams({ q: text.value, ...(at.value && { at: at.value }) })}`);
    try {
      const found = await post("/api/v1/sql", { query: text.value, at: at.value.trim() });
      replace(said, `${found.rows.length} rows at position ${found.position}${found.truncated ? ", cut: there are more" : ""} `, h("button", { type: "button", on: { click: () => navigator.clipboard.writeText([found.columns, ...found.rows].map((row) => row.map((cell) => `"${String(cell ?? "").replace(/"/g, '""')}"`).join(",")).join("\n")) } }, "copy as CSV"));
      replace(box, chart(found), table("result", found.columns, found.rows.slice(0, 1000).map((row) => row.map((cell) => typeof cell === "number" ? cell : cell === null ? h("span", { class: "quiet" }, "null") : typeof cell === "object" ? JSON.stringify(cell) : String(cell))), "no rows"));
    } catch (problem) { replace(box); replace(said, h("span", { class: "problem" }, words(problem))); }
  }
  text.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(); } });
  if (query.get("q")) ask();
  return { title: "SQL", element: h("div", {}, h("h1", {}, "SQL"), h("form", { on: { submit: (event) => { event.preventDefault(); ask(); } } }, h("p", {}, h("label", { for: "asks" }, "Examples "), asks), h("label", { for: "query" }, "One SELECT; Ctrl+Enter asks"), text, h("p", { class: "buttons" }, h("label", { for: "at" }, "as it was at "), at, h("button", { class: "primary" }, "Ask"), says)), said, box) };
}

/** Bars of the first number beside the first word of each row, where there are such. */
function chart(found) {
  const number = found.columns.findIndex((_, at) => found.rows.length && found.rows.every((row) => row[at] === null || typeof row[at] === "number" || /^-?\d+(\.\d+)?$/.test(row[at]))), word = found.columns.findIndex((_, at) => at !== number);
  if (number < 0 || word < 0 || found.rows.length < 2 || found.rows.length > 60) return null;
  const values = found.rows.map((row) => Number(row[number] || 0)), most = Math.max(...values.map(Math.abs)) || 1;
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "chart" }, svg("svg", { class: "chart", viewBox: `0 0 640 ${values.length * 20 + 4}`, role: "img", "aria-label": `${found.columns[number]} by ${found.columns[word]}` }, values.map((value, at) => [
    svg("text", { x: 150, y: at * 20 + 15, "text-anchor": "end" }, String(found.rows[at][word] ?? "null").slice(0, 22)), svg("rect", { class: "call", x: 156, y: at * 20 + 3, height: 14, width: Math.max(1, (Math.abs(value) / most) * 400) }, svg("title", {}, `${found.rows[at][word]}: ${value}`)), svg("text", { x: 162 + (Math.abs(value) / most) * 400, y: at * 20 + 15 }, String(found.rows[at][number]))])));
}

export async function report(page, _ids, query) {
  const since = query.get("since") || "24h", before = query.get("before") || "", after = query.get("after") || "", box = h("div");
  const period = h("input", { id: "since", value: since }), one = h("input", { id: "before", value: before, placeholder: "position, time, label" }), two = h("input", { id: "after", value: after, placeholder: "now" });
  const snapshots = h("div");
  async function load() {
    if (before) {
      const found = await get("/api/v1/report/compare", { before, after });
      replace(box, h("h2", {}, `${found.before_captured_at} to ${found.after_captured_at}`), table("tasks by state", ["state", "before", "after", "change"], Object.entries(found.status_deltas).map(([name, each]) => [mark(name), each.before, each.after, each.delta])), h("h3", {}, "Workflows"), table("moves", ["workflow", "change", "from", "to"], found.workflow_state_changes.map((each) => [each.instance_key, each.change, each.from_state || "", each.to_state || each.state || ""]), "no moves"), facts([["spent", `$${found.cost_usd}`], ["seconds of runs", found.run_seconds], ["ended idle", found.ended_idle ? "yes" : "no"]]), h("p", {}, command(`rt report --before ${quoted(before)}${after ? ` --after ${quoted(after)}` : ""}`)));
      return;
    }
    const found = await get("/api/v1/report", { since });
    replace(box, h("p", {}, `${found.since} to ${found.until}, position ${found.position} `, command(`rt report --since ${since}`), " ", h("a", { class: "button", href: `/api/v1/report?form=html&since=${encodeURIComponent(since)}`, download: "rt-report.html" }, "The whole report as a file")), facts(Object.entries(found.totals).map(([name, value]) => [name.replace(/_/g, " "), String(value)])),
      found.pictures.map((each) => h("section", { class: "card" }, h("h3", {}, each.finding), each.rows && each.rows.length ? chart({ columns: Object.keys(each.rows[0]), rows: each.rows.map(Object.values) }) : null, each.rows && each.rows.length ? h("details", {}, h("summary", {}, `${each.rows.length} rows`), table(each.name, Object.keys(each.rows[0]), each.rows.slice(0, 100).map((row) => Object.values(row).map((cell) => typeof cell === "number" ? cell : cell === null ? "" : typeof cell === "object" ? JSON.stringify(cell) : String(cell))))) : null, each.query && /^\s*(SELECT|WITH|FROM)/i.test(each.query) ? h("p", {}, h("a", { href: `/sql?q=${encodeURIComponent(each.query)}` }, "ask it again in SQL")) : null)));
  }
  async function loadSnapshots() { const found = await get("/api/v1/snapshots"); replace(snapshots, table("snapshots", ["name", "of", "queued", "completed", ""], found.items.slice(0, 50).map((each) => [each.name, each.error ? h("span", { class: "problem" }, each.error) : moment(each.captured_at), each.queued_tasks ?? "", each.completed_tasks ?? "", each.error ? "" : h("a", { href: `/report?before=${encodeURIComponent(each.name)}` }, "compare with now")]), "no snapshots; rt snapshot --label NAME")); }
  await Promise.all([load(), loadSnapshots()]);
  return { title: "report", element: h("div", {}, h("h1", {}, "Report"), h("form", { class: "buttons", on: { submit: (event) => { event.preventDefault(); page.go(`/report?since=${encodeURIComponent(period.value)}`); } } }, h("label", { for: "since" }, "since "), period, h("button", {}, "Show")),
    h("form", { class: "buttons", on: { submit: (event) => { event.preventDefault(); page.go(`/report?before=${encodeURIComponent(one.value)}&after=${encodeURIComponent(two.value)}`); } } }, h("label", { for: "before" }, "or compare "), one, h("label", { for: "after" }, " with "), two, h("button", {}, "Compare")), box,
    h("h2", {}, "Snapshots"), action(page, { label: "Take one", says: "rt snapshot --label …", ask: "label (may be empty)", does: (label) => post("/api/v1/snapshots", { label }) }), snapshots) };
}

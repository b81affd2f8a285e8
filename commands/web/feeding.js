// What brings work in again and again: schedules, sensors, workflows.

import { get, parsed, patch, post, remove } from "./api.js";
import { action, calmly, words } from "./actions.js";
import { facts, h, replace, table } from "./dom.js";
import { command, fields, mark, moment, quoted, short, topicName } from "./format.js";
import { machine } from "./machine.js";

export async function schedules(page) {
  const box = h("div"),
    said = h("p", { role: "status" });
  async function load() {
    const found = await get("/api/v1/schedules");
    replace(
      box,
      table(
        "schedules",
        ["name", "when", "state", "next", "last", "fired", "skipped", ""],
        found.items.map((each) => {
          const path = `/api/v1/schedules/${encodeURIComponent(each.name)}`,
            name = quoted(each.name);
          return [
            each.name,
            each.cron ? `${each.cron} ${each.timezone}` : `every ${each.interval_seconds} s`,
            mark(each.status),
            moment(each.next_run_at),
            moment(each.last_run_at),
            each.fired,
            each.skipped,
            h(
              "span",
              { class: "buttons" },
              each.status === "enabled"
                ? action(page, {
                    label: "Disable",
                    says: `rt schedule disable ${name} --reason …`,
                    ask: "why",
                    does: (reason) => patch(path, { enabled: false, reason }),
                  })
                : each.status === "disabled"
                  ? action(page, {
                      label: "Enable",
                      says: `rt schedule enable ${name}`,
                      does: () => patch(path, { enabled: true }),
                    })
                  : null,
              action(page, {
                label: "Run now",
                says: `rt schedule run ${name}`,
                does: () => post("/api/v1/schedules/tick", { name: each.name }),
              }),
              action(page, {
                label: "Remove",
                danger: true,
                says: `rt schedule remove ${name}`,
                does: () => remove(path),
              }),
            ),
          ];
        }),
        "no schedules; rt schedule create NAME --every 30m -- COMMAND",
      ),
    );
  }
  const name = h("input", { id: "name", required: true }),
    every = h("input", { id: "every", type: "number", min: 1, value: 1800 }),
    cron = h("input", { id: "cron", placeholder: "0 7 * * *" }),
    task = h(
      "textarea",
      { id: "task", rows: 5 },
      JSON.stringify({ kind: "goal", source: "schedule", payload: { objective: "…" } }, null, 2),
    );
  async function create(event) {
    event.preventDefault();
    try {
      const when = cron.value.trim() ? { cron: cron.value.trim() } : { interval_seconds: Number(every.value) };
      const done = await post("/api/v1/schedules", { name: name.value, task: parsed(task.value), ...when });
      replace(said, `${done.changed ? "scheduled" : "unchanged"} at position ${done.position}`);
      await load();
    } catch (problem) {
      replace(
        said,
        h(
          "span",
          { class: "problem" },
          problem instanceof SyntaxError ? `the task is not JSON: ${problem.message}` : words(problem),
        ),
      );
    }
  }
  await load();
  const reload = calmly(load, 400);
  return {
    title: "schedules",
    element: h(
      "div",
      {},
      h("h1", {}, "Schedules"),
      h(
        "p",
        { class: "buttons" },
        action(page, {
          label: "Evaluate now",
          says: "rt schedule tick",
          does: () => post("/api/v1/schedules/tick", {}),
        }),
      ),
      box,
      page.may("operate")
        ? h(
            "details",
            {},
            h("summary", {}, "New schedule"),
            h(
              "form",
              { on: { submit: create } },
              h("p", {}, h("label", { for: "name" }, "name "), name),
              h(
                "p",
                {},
                h("label", { for: "every" }, "every so many seconds "),
                every,
                h("label", { for: "cron" }, " or cron "),
                cron,
              ),
              h("p", {}, h("label", { for: "task" }, "task "), task),
              h("button", { class: "primary" }, "Create"),
              " ",
              command("rt schedule create NAME --every 30m TASK"),
            ),
          )
        : null,
      said,
    ),
    told(found) {
      if (found.some((each) => each.topic.startsWith("schedule."))) reload();
    },
    leave: reload.stop,
  };
}

export async function sensors() {
  const list = h("div"),
    events = h("div");
  async function load() {
    const [known, told] = await Promise.all([get("/api/v1/sensors"), get("/api/v1/sensors/events", { limit: 100 })]);
    replace(
      list,
      table(
        "sensors",
        ["sensor", "state", "every", "next", "program"],
        known.items.map((each) => [
          each.sensor,
          mark(each.status),
          `${each.every_s} s`,
          moment(each.next_at),
          each.argv.join(" "),
        ]),
        "no sensors are configured",
      ),
    );
    replace(
      events,
      table(
        "sensor events",
        ["position", "sensor", "event", "key", "made", "again", "when"],
        told.items.map((each) => [
          h("a", { href: `/log?at=${each.position}`, class: "row" }, String(each.position)),
          each.sensor,
          each.event,
          each.key,
          each.task
            ? h("a", { href: `/tasks/${each.task}` }, short(each.task))
            : each.workflow
              ? h("a", { href: `/workflows/${each.workflow}` }, short(each.workflow))
              : "",
          each.repetitions,
          moment(each.recorded_at),
        ]),
        "nothing was told yet; rt sensor ingest",
      ),
    );
  }
  await load();
  const reload = calmly(load, 800);
  return {
    title: "sensors",
    element: h(
      "div",
      {},
      h("h1", {}, "Sensors"),
      h("p", {}, command("rt sensor list")),
      list,
      h("h2", {}, "What they told"),
      events,
    ),
    told(found) {
      if (found.some((each) => each.topic.startsWith("sensor."))) reload();
    },
    leave: reload.stop,
  };
}

export async function workflows(page, _ids, query) {
  const all = query.get("all") === "1",
    box = h("div");
  async function load() {
    const found = await get("/api/v1/workflows", { all: all ? "true" : "" });
    replace(
      box,
      table(
        "workflows",
        ["key", "template", "where", "state", "cause", "task", "changed"],
        found.items.map((each) => [
          h("a", { href: `/workflows/${encodeURIComponent(each.instance_key)}`, class: "row" }, each.instance_key),
          each.template,
          each.current_state,
          mark(each.status),
          each.cause,
          each.task_id ? h("a", { href: `/tasks/${each.task_id}` }, short(each.task_id)) : "",
          moment(each.updated_at),
        ]),
        "no workflows; rt workflow create --template T --key K",
      ),
    );
  }
  await load();
  const reload = calmly(load, 500);
  return {
    title: "workflows",
    element: h(
      "div",
      {},
      h("h1", {}, "Workflows"),
      h(
        "nav",
        { class: "tabs", "aria-label": "which" },
        h("a", { href: "/workflows", "aria-current": all ? null : "page" }, "open"),
        h("a", { href: "/workflows?all=1", "aria-current": all ? "page" : null }, "all"),
      ),
      h("p", {}, command("rt workflow list")),
      box,
    ),
    told(found) {
      if (found.some((each) => each.topic.startsWith("workflow."))) reload();
    },
    leave: reload.stop,
  };
}

export async function workflow(page, [key]) {
  const path = `/api/v1/workflows/${encodeURIComponent(key)}`,
    box = h("div"),
    name = quoted(key);
  let id = "";
  async function load() {
    const found = await get(path);
    id = found.workflow_id;
    const going = !["completed", "canceled"].includes(found.status);
    replace(
      box,
      h("h1", {}, found.instance_key),
      h(
        "p",
        {},
        mark(found.status),
        ` in ${found.current_state}`,
        found.cause ? ` · ${found.cause} ${found.message}` : "",
        " ",
        command(`rt workflow show ${name}`),
      ),
      going
        ? h(
            "p",
            { class: "buttons" },
            Object.entries(found.ways_on).map(([signal, to]) =>
              action(page, {
                label: `${signal} → ${to}`,
                says: `rt workflow transition ${name} --signal ${signal}`,
                does: () => post(`${path}/transition`, { signal }),
              }),
            ),
            action(page, { label: "Skip", says: `rt workflow skip ${name}`, does: () => post(`${path}/skip`, {}) }),
            found.status === "parked"
              ? action(page, {
                  label: "Retry",
                  says: `rt workflow retry ${name}`,
                  does: () => post(`${path}/retry`, {}),
                })
              : null,
            action(page, {
              label: "Complete",
              says: `rt workflow complete ${name}`,
              does: () => post(`${path}/complete`, {}),
            }),
            action(page, {
              label: "Cancel",
              danger: true,
              says: `rt workflow cancel ${name} --reason …`,
              ask: "why",
              does: (reason) => post(`${path}/cancel`, { reason }),
            }),
          )
        : null,
      found.machine ? machine(found.machine, found.current_state, found.status) : null,
      facts([
        ["template", found.template],
        ["iteration", found.iteration],
        [
          "task",
          found.task_id
            ? h("a", { href: `/tasks/${found.task_id}` }, `${short(found.task_id)} ${found.task_status || ""}`)
            : "",
        ],
        ["began", moment(found.created_at)],
        ["changed", moment(found.updated_at)],
      ]),
      h("h2", {}, "Moves"),
      table(
        "moves",
        ["position", "event", "fields", "when"],
        found.moves.map((each) => [
          h("a", { href: `/log?at=${each.position}` }, String(each.position)),
          topicName(each.topic),
          fields(each.data),
          moment(each.at),
        ]),
      ),
      h("details", {}, h("summary", {}, "Context"), h("pre", {}, JSON.stringify(found.context, null, 2))),
    );
  }
  await load();
  const reload = calmly(load, 300);
  return {
    title: `workflow ${key}`,
    element: box,
    told(found) {
      if (found.some((each) => each.stream === id)) reload();
    },
    leave: reload.stop,
  };
}

// Looking back over everything: the log, SQL, reports.

import { get, post } from "./api.js";
import { action, words } from "./actions.js";
import { facts, h, replace, svg, table } from "./dom.js";
import { command, mark, moment, quoted } from "./format.js";
import { eventLine } from "./work.js";

export async function log(page, _ids, query) {
  const topic = h("input", {
      type: "search",
      id: "topic",
      value: query.get("topic") || "",
      placeholder: "run.*, task.",
    }),
    box = h("div"),
    follow = h("input", { type: "checkbox", id: "follow", checked: !query.get("at") });
  let items = [],
    next = null;
  const at = Number(query.get("at") || 0);
  async function load(more) {
    const found = await get("/api/v1/events", {
      topic: topic.value.trim(),
      before: more ? next : at ? at + 26 : "",
      limit: 100,
    });
    items = more ? items.concat(found.items) : found.items;
    next = found.next;
    draw();
  }
  function draw() {
    replace(
      box,
      items.length
        ? h(
            "ol",
            { class: "events", "aria-label": "events" },
            items.map((each) => {
              const line = eventLine(each);
              if (each.position === at) {
                line.className = "one chosen";
                line.append(h("pre", {}, JSON.stringify(each, null, 2)));
              }
              return line;
            }),
          )
        : h("p", { class: "quiet" }, "no such events"),
      next ? h("button", { type: "button", on: { click: () => load(true) } }, "Older") : null,
    );
  }
  topic.addEventListener("change", () =>
    page.go(topic.value ? `/log?topic=${encodeURIComponent(topic.value)}` : "/log"),
  );
  await load();
  const wants = (each) => {
    const t = topic.value.trim();
    return (
      !t ||
      (t.includes("*")
        ? new RegExp(`^${t.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*")}$`).test(each.topic)
        : each.topic.startsWith(t))
    );
  };
  return {
    title: "log",
    element: h(
      "div",
      {},
      h("h1", {}, "Log"),
      h(
        "p",
        { class: "buttons" },
        h("label", { for: "topic" }, "topic "),
        topic,
        h("label", {}, follow, " follow (f)"),
        command(`rt log tail -f${topic.value ? ` --topic ${quoted(topic.value)}` : ""}`),
      ),
      box,
    ),
    told(found) {
      if (!follow.checked) return;
      const known = items.length ? items[0].position : 0;
      items = found
        .filter((each) => each.position > known && wants(each))
        .reverse()
        .concat(items)
        .slice(0, 1000);
      draw();
    },
    keys: {
      f() {
        follow.checked = !follow.checked;
      },
    },
  };
}

export async function sql(page, _ids, query) {
  const text = h("textarea", {
      id: "query",
      rows: 6,
      spellcheck: "false",
      value: query.get("q") || "SELECT status, count(*) AS tasks FROM tasks GROUP BY status ORDER BY tasks DESC",
    }),
    at = h("input", { id: "at", placeholder: "position or time", value: query.get("at") || "" }),
    box = h("div"),
    said = h("p", { role: "status" }),
    says = h("span");
  const asks = h("select", { id: "asks" }, h("option", { value: "" }, "a question that people ask…"));
  get("/api/v1/sql/questions")
    .then((found) => {
      asks.append(...found.items.map((each, index) => h("option", { value: String(index) }, each.asks)));
      asks.addEventListener("change", () => {
        if (asks.value) {
          text.value = found.items[Number(asks.value)].sql;
          ask();
        }
      });
    })
    .catch(() => 0);
  const plain = (cell) => (cell === null ? "" : typeof cell === "object" ? JSON.stringify(cell) : String(cell));
  async function ask() {
    replace(said, "asking…");
    replace(says, command(`rt sql ${quoted(text.value)}${at.value ? ` --at ${at.value}` : ""}`));
    history.replaceState(null, "", `?${new URLSearchParams({ q: text.value, ...(at.value && { at: at.value }) })}`);
    try {
      const found = await post("/api/v1/sql", { query: text.value, at: at.value.trim() });
      replace(
        said,
        `${found.rows.length} rows at position ${found.position}${found.truncated ? ", cut: there are more" : ""} `,
        h(
          "button",
          {
            type: "button",
            on: {
              click: () =>
                navigator.clipboard.writeText(
                  [found.columns, ...found.rows]
                    .map((row) => row.map((cell) => `"${plain(cell).replace(/"/g, '""')}"`).join(","))
                    .join("\n"),
                ),
            },
          },
          "copy as CSV",
        ),
      );
      replace(
        box,
        chart(found),
        table(
          "result",
          found.columns,
          found.rows
            .slice(0, 1000)
            .map((row) =>
              row.map((cell) =>
                typeof cell === "number"
                  ? cell
                  : cell === null
                    ? h("span", { class: "quiet" }, "null")
                    : typeof cell === "object"
                      ? JSON.stringify(cell)
                      : String(cell),
              ),
            ),
          "no rows",
        ),
      );
    } catch (problem) {
      replace(box);
      replace(said, h("span", { class: "problem" }, words(problem)));
    }
  }
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      ask();
    }
  });
  if (query.get("q")) ask();
  return {
    title: "SQL",
    element: h(
      "div",
      {},
      h("h1", {}, "SQL"),
      h(
        "form",
        {
          on: {
            submit: (event) => {
              event.preventDefault();
              ask();
            },
          },
        },
        h("p", {}, h("label", { for: "asks" }, "Examples "), asks),
        h("label", { for: "query" }, "One SELECT; Ctrl+Enter asks"),
        text,
        h(
          "p",
          { class: "buttons" },
          h("label", { for: "at" }, "as it was at "),
          at,
          h("button", { class: "primary" }, "Ask"),
          says,
        ),
      ),
      said,
      box,
    ),
  };
}

/** Bars of the first number beside the first word of each row, where there are such. */
function chart(found) {
  const number = found.columns.findIndex(
      (_, at) =>
        found.rows.length &&
        found.rows.every((row) => row[at] === null || typeof row[at] === "number" || /^-?\d+(\.\d+)?$/.test(row[at])),
    ),
    word = found.columns.findIndex((_, at) => at !== number);
  if (number < 0 || word < 0 || found.rows.length < 2 || found.rows.length > 60) return null;
  const values = found.rows.map((row) => Number(row[number] || 0)),
    most = Math.max(...values.map(Math.abs)) || 1;
  // all words of a row name its bar: a day alone may stand there several times
  const plain = (cell) => (cell === null ? "null" : typeof cell === "object" ? JSON.stringify(cell) : String(cell)),
    wordy = found.columns
      .map((_, at) => at)
      .filter((at) => at !== number && found.rows.some((row) => Number.isNaN(Number(row[at])))),
    names = found.rows.map((row) => (wordy.length ? wordy : [word]).map((at) => plain(row[at])).join(" · "));
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "chart" },
    svg(
      "svg",
      {
        class: "chart",
        viewBox: `0 0 640 ${values.length * 20 + 4}`,
        role: "img",
        "aria-label": `${found.columns[number]} by ${found.columns[word]}`,
      },
      values.map((value, at) => [
        svg(
          "text",
          { x: 150, y: at * 20 + 15, "text-anchor": "end" },
          names[at].length > 22 ? `${names[at].slice(0, 21)}…` : names[at],
          svg("title", {}, names[at]),
        ),
        svg(
          "rect",
          { class: "call", x: 156, y: at * 20 + 3, height: 14, width: Math.max(1, (Math.abs(value) / most) * 400) },
          svg("title", {}, `${names[at]}: ${value}`),
        ),
        svg("text", { x: 162 + (Math.abs(value) / most) * 400, y: at * 20 + 15 }, String(found.rows[at][number])),
      ]),
    ),
  );
}

export async function report(page, _ids, query) {
  const since = query.get("since") || "24h",
    before = query.get("before") || "",
    after = query.get("after") || "",
    box = h("div");
  const period = h("input", { id: "since", value: since }),
    one = h("input", { id: "before", value: before, placeholder: "position, time, label" }),
    two = h("input", { id: "after", value: after, placeholder: "now" });
  const snapshots = h("div");
  async function load() {
    if (before) {
      const found = await get("/api/v1/report/compare", { before, after });
      replace(
        box,
        h("h2", {}, `${found.before_captured_at} to ${found.after_captured_at}`),
        table(
          "tasks by state",
          ["state", "before", "after", "change"],
          Object.entries(found.status_deltas).map(([name, each]) => [mark(name), each.before, each.after, each.delta]),
        ),
        h("h3", {}, "Workflows"),
        table(
          "moves",
          ["workflow", "change", "from", "to"],
          found.workflow_state_changes.map((each) => [
            each.instance_key,
            each.change,
            each.from_state || "",
            each.to_state || each.state || "",
          ]),
          "no moves",
        ),
        facts([
          ["spent", `$${found.cost_usd}`],
          ["seconds of runs", found.run_seconds],
          ["ended idle", found.ended_idle ? "yes" : "no"],
        ]),
        h("p", {}, command(`rt report --before ${quoted(before)}${after ? ` --after ${quoted(after)}` : ""}`)),
      );
      return;
    }
    const found = await get("/api/v1/report", { since });
    replace(
      box,
      h(
        "p",
        {},
        `${found.since} to ${found.until}, position ${found.position} `,
        command(`rt report --since ${since}`),
        " ",
        h(
          "a",
          {
            class: "button",
            href: `/api/v1/report?form=html&since=${encodeURIComponent(since)}`,
            download: "rt-report.html",
          },
          "The whole report as a file",
        ),
      ),
      facts(Object.entries(found.totals).map(([name, value]) => [name.replace(/_/g, " "), String(value)])),
      found.pictures.map((each) =>
        h(
          "section",
          { class: "card" },
          h("h2", {}, each.finding),
          each.rows && each.rows.length
            ? chart({ columns: Object.keys(each.rows[0]), rows: each.rows.map(Object.values) })
            : null,
          each.rows && each.rows.length
            ? h(
                "details",
                {},
                h("summary", {}, `${each.rows.length} rows`),
                table(
                  each.name,
                  Object.keys(each.rows[0]),
                  each.rows
                    .slice(0, 100)
                    .map((row) =>
                      Object.values(row).map((cell) =>
                        typeof cell === "number"
                          ? cell
                          : cell === null
                            ? ""
                            : typeof cell === "object"
                              ? JSON.stringify(cell)
                              : String(cell),
                      ),
                    ),
                ),
              )
            : null,
          each.query && /^\s*(SELECT|WITH|FROM)/i.test(each.query)
            ? h("p", {}, h("a", { href: `/sql?q=${encodeURIComponent(each.query)}` }, "ask it again in SQL"))
            : null,
        ),
      ),
    );
  }
  async function loadSnapshots() {
    const found = await get("/api/v1/snapshots");
    replace(
      snapshots,
      table(
        "snapshots",
        ["name", "of", "queued", "completed", ""],
        found.items
          .slice(0, 50)
          .map((each) => [
            each.name,
            each.error ? h("span", { class: "problem" }, each.error) : moment(each.captured_at),
            each.queued_tasks ?? "",
            each.completed_tasks ?? "",
            each.error ? "" : h("a", { href: `/report?before=${encodeURIComponent(each.name)}` }, "compare with now"),
          ]),
        "no snapshots; rt snapshot --label NAME",
      ),
    );
  }
  await Promise.all([load(), loadSnapshots()]);
  return {
    title: "report",
    element: h(
      "div",
      {},
      h("h1", {}, "Report"),
      h(
        "form",
        {
          class: "buttons",
          on: {
            submit: (event) => {
              event.preventDefault();
              page.go(`/report?since=${encodeURIComponent(period.value)}`);
            },
          },
        },
        h("label", { for: "since" }, "since "),
        period,
        h("button", {}, "Show"),
      ),
      h(
        "form",
        {
          class: "buttons",
          on: {
            submit: (event) => {
              event.preventDefault();
              page.go(`/report?before=${encodeURIComponent(one.value)}&after=${encodeURIComponent(two.value)}`);
            },
          },
        },
        h("label", { for: "before" }, "or compare "),
        one,
        h("label", { for: "after" }, " with "),
        two,
        h("button", {}, "Compare"),
      ),
      box,
      h("h2", {}, "Snapshots"),
      action(page, {
        label: "Take one",
        says: "rt snapshot --label …",
        ask: "label (may be empty)",
        does: (label) => post("/api/v1/snapshots", { label }),
      }),
      snapshots,
    ),
  };
}

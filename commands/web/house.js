// Adapters and health, what goes out, and the files that runs left.

import { get, post } from "./api.js";
import { action, calmly, words } from "./actions.js";
import { clean, h, replace, table } from "./dom.js";
import { bytes, command, mark, moment, short } from "./format.js";

export async function adapters() {
  const box = h("div"),
    checks = h("div"),
    said = h("span", { role: "status" });
  const draw = (found) =>
    replace(
      box,
      table(
        "adapters",
        ["adapter", "kind", "health", "fallback", "detail"],
        found.items.map((each) => [
          `${each.id}${each.isDefault ? " (default)" : ""}`,
          each.mode,
          each.ok ? mark("ok") : h("span", { class: "problem" }, `✗ ${each.broken_reason}`),
          each.fallback_adapter || "",
          each.detail,
        ]),
      ),
    );
  draw(await get("/api/v1/adapters"));
  async function look(path, query, shown) {
    replace(said, "looking…");
    try {
      shown(await get(path, query));
      replace(said, "");
    } catch (problem) {
      replace(said, h("span", { class: "problem" }, words(problem)));
    }
  }
  const health = (found) =>
    replace(
      checks,
      h("p", {}, found.ok ? mark("ok") : h("strong", { class: "problem" }, "✗ not ok")),
      table(
        "checks",
        ["what", "", "detail"],
        [
          ...found.configIssues.map((each) => ["config", "✗", each]),
          ...found.profileChecks.flatMap((each) =>
            each.issues.map((issue) => [`profile ${each.profileId}`, "✗", issue]),
          ),
          ...found.adapterChecks.map((each) => [
            `adapter ${each.adapterId}`,
            each.ok ? "✓" : each.needed ? "✗" : "▲",
            each.detail,
          ]),
          ...found.checks.map((each) => [each.what, each.ok ? "✓" : each.warning ? "▲" : "✗", each.detail]),
        ],
      ),
    );
  return {
    title: "adapters",
    element: h(
      "div",
      {},
      h("h1", {}, "Adapters"),
      h(
        "p",
        { class: "buttons" },
        h(
          "button",
          { type: "button", on: { click: () => look("/api/v1/adapters", { probe: "true" }, draw) } },
          "Look at them now",
        ),
        command("rt adapter list"),
        h(
          "button",
          { type: "button", on: { click: () => look("/api/v1/health/checks", {}, health) } },
          "Check everything",
        ),
        command("rt health"),
        said,
      ),
      box,
      h("h2", {}, "Health"),
      checks,
    ),
  };
}

export async function outbox(page) {
  const box = h("div");
  async function load() {
    const found = await get("/api/v1/outbox", { limit: 200 });
    replace(
      box,
      table(
        "outbox",
        ["message", "state", "kind", "to", "attempts", "task", "cause", "queued", ""],
        found.items.map((each) => [
          short(each.message),
          mark(each.status),
          each.kind,
          each.target,
          each.attempts,
          each.task ? h("a", { href: `/tasks/${each.task}` }, short(each.task)) : "",
          each.cause,
          moment(each.queued_at),
          ["queued", "failed", "held"].includes(each.status)
            ? h(
                "span",
                { class: "buttons" },
                action(page, {
                  label: each.status === "held" ? "Release" : "Retry",
                  says: `rt outbox retry ${short(each.message)}`,
                  does: () => post(`/api/v1/outbox/${each.message}/retry`, {}),
                }),
                action(page, {
                  label: "Drop",
                  danger: true,
                  says: `rt outbox drop ${short(each.message)} --reason …`,
                  ask: "why",
                  does: (reason) => post(`/api/v1/outbox/${each.message}/drop`, { reason }),
                }),
              )
            : "",
        ]),
        "nothing went out; rt outbox list",
      ),
    );
  }
  await load();
  const reload = calmly(load, 400);
  return {
    title: "outbox",
    element: h("div", {}, h("h1", {}, "Outbox"), h("p", {}, command("rt outbox list")), box),
    told(found) {
      if (found.some((each) => each.topic.startsWith("outbox."))) reload();
    },
    leave: reload.stop,
  };
}

export async function files(page, _ids, query) {
  const path = query.get("path") || "",
    found = await get("/api/v1/artifacts", { path }),
    parts = path.split("/").filter(Boolean);
  const crumbs = h(
    "nav",
    { "aria-label": "folders" },
    h("a", { href: "/files" }, "artifacts"),
    parts.map((each, at) => [
      " / ",
      h("a", { href: `/files?path=${encodeURIComponent(parts.slice(0, at + 1).join("/"))}` }, each),
    ]),
  );
  const file = (where) =>
    h(
      "a",
      { href: `/api/v1/artifacts/file?path=${encodeURIComponent(where)}`, download: true, class: "button" },
      "Download",
    );
  if (found.type === "file") {
    const text = await get("/api/v1/artifacts/text", { path });
    return {
      title: path,
      element: h(
        "div",
        {},
        h("h1", {}, parts[parts.length - 1]),
        crumbs,
        h("p", { class: "buttons" }, bytes(found.size), moment(found.updated_at), file(path)),
        h("pre", {}, clean(text.content)),
        text.cut ? h("p", { class: "quiet" }, "cut at 1 MiB") : null,
      ),
    };
  }
  return {
    title: "files",
    element: h(
      "div",
      {},
      h("h1", {}, "Files"),
      crumbs,
      table(
        "files",
        ["name", "size", "changed", ""],
        found.entries.map((each) => [
          each.type === "other"
            ? each.name
            : h(
                "a",
                { href: `/files?path=${encodeURIComponent(each.path)}`, class: "row" },
                each.type === "directory" ? `${each.name}/` : each.name,
              ),
          each.type === "file" ? bytes(each.size) : "",
          moment(each.updated_at),
          each.type === "file" ? file(each.path) : "",
        ]),
        "no artifacts yet",
      ),
    ),
  };
}

// How times, sizes, states and commands are written.

import { h } from "./dom.js";

const MARKS = {
  running: "●",
  resuming: "●",
  active: "●",
  enabled: "●",
  ok: "✓",
  waiting_for_approval: "◐",
  waiting: "◐",
  held: "◐",
  parked: "▲",
  needs_reconcile: "▲",
  completed: "✓",
  delivered: "✓",
  exited: "✓",
  returned: "✓",
  failed: "✗",
  permanent_failure: "✗",
  lost: "✗",
  not_started: "✗",
  canceled: "■",
  operator_canceled: "■",
  disabled: "■",
  removed: "■",
  dropped: "■",
  blocked: "▲",
  pending: "○",
  queued: "○",
  requested: "○",
  retryable_failure: "↻",
};

/** Glyph and word of a state: never colour alone. */
export function mark(state) {
  return h("span", { class: `state ${String(state).replace(/[^a-z_]/g, "")}` }, `${MARKS[state] || "·"} ${state}`);
}

export function short(id) {
  return String(id || "").slice(0, 8);
}

export function date(text) {
  return text ? new Date(text.endsWith("Z") ? text : `${text}Z`) : null;
}

/** A moment as it is read at a glance; the exact one on pointing. */
export function moment(text) {
  const at = date(text);
  if (!at || isNaN(at)) return "";
  return h(
    "time",
    { datetime: at.toISOString(), title: at.toISOString(), "data-ago": at.getTime() },
    ago(at.getTime()),
  );
}

export function ago(ms) {
  const s = Math.round((Date.now() - ms) / 1000);
  const a = Math.abs(s);
  const word =
    a < 90
      ? `${a} s`
      : a < 5400
        ? `${Math.round(a / 60)} min`
        : a < 129600
          ? `${Math.round(a / 3600)} h`
          : `${Math.round(a / 86400)} d`;
  return s >= 0 ? `${word} ago` : `in ${word}`;
}

export function seconds(from, to) {
  const a = date(from),
    b = to ? date(to) : new Date();
  if (!a) return "";
  return duration(Math.max(0, (b - a) / 1000));
}

export function duration(s) {
  return s < 0.0995
    ? `${(s * 1000).toFixed(0)} ms`
    : s < 100
      ? `${s.toFixed(s < 10 ? 2 : 1)} s`
      : s < 5400
        ? `${(s / 60).toFixed(1)} min`
        : `${(s / 3600).toFixed(1)} h`;
}

export function bytes(n) {
  return n < 1024 ? `${n} B` : n < 1048576 ? `${(n / 1024).toFixed(1)} KiB` : `${(n / 1048576).toFixed(1)} MiB`;
}

export function topicName(topic) {
  return topic.replace(/\.v\d+$/, "");
}

/** The fields of an event in one line. */
export function fields(data, most = 160) {
  const parts = [];
  for (const [name, value] of Object.entries(data || {})) {
    if (name === "type" || value === "" || value === null || (Array.isArray(value) && !value.length)) continue;
    parts.push(
      `${name}=${typeof value === "object" ? (value.sha256 ? `#${value.sha256.slice(0, 8)}` : JSON.stringify(value)) : value}`,
    );
    if (parts.join(" ").length > most) break;
  }
  const text = parts.join(" ").replace(/\s+/g, " ");
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/** A word as a shell takes it. */
export function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${String(word).replace(/'/g, "'\\''")}'`;
}

/** The command that does the same, to copy. */
export function command(text) {
  const code = h("code", {}, text);
  const button = h(
    "button",
    {
      type: "button",
      class: "copy",
      "aria-label": `copy ${text}`,
      title: "copy",
      on: {
        click: async () => {
          try {
            await navigator.clipboard.writeText(text);
            button.textContent = "copied";
          } catch {
            getSelection().selectAllChildren(code);
            button.textContent = "selected";
          }
          setTimeout(() => {
            button.textContent = "copy";
          }, 1500);
        },
      },
    },
    "copy",
  );
  return h("span", { class: "command" }, code, button);
}

// One run from each of its sides: timeline, log, output, state, decisions, artifacts, why.

import { get, pages, post } from "./api.js";
import { calmly, words } from "./actions.js";
import { clean, facts, h, longList, replace, table } from "./dom.js";
import { command, date, duration, fields, mark, moment, short, topicName } from "./format.js";
import { timeline } from "./timeline.js";

export const SHOWN = {
  async timeline({ path, page }) {
    const box = h("div");
    const zoom = {}; // stays while the run goes on
    const load = async () => replace(box, timeline(await get(`${path}/timeline`), zoom));
    await load();
    return {
      element: h(
        "section",
        {},
        h("h2", {}, "Timeline"),
        box,
        page
          ? h(
              "p",
              { class: "quiet" },
              "drag over it to zoom, double-click to see all; bars and ticks say what they are when pointed at",
            )
          : null,
      ),
      more: load,
    };
  },
  async log({ path, run, at }) {
    let items = [],
      shown = [],
      wanted = "",
      left = false;
    const detail = h("pre", { class: "detail", tabindex: 0, "aria-label": "the chosen event", hidden: true }),
      count = h("span", { role: "status" });
    const list = longList("events of the run", (event) =>
      h(
        "button",
        { type: "button", class: "line", on: { click: () => choose(event) } },
        h("span", { class: "number" }, String(event.position)),
        h("span", { class: "since" }, since(event)),
        h("span", { class: "topic" }, topicName(event.topic)),
        h("span", { class: "quiet" }, fields(event.data)),
      ),
    );
    const begin = () => (items.length ? date(items[0].at) : null);
    const since = (event) => `+${((date(event.at) - begin()) / 1000).toFixed(3)}`;
    function choose(event) {
      detail.hidden = false;
      replace(detail, JSON.stringify(event, null, 2));
      history.replaceState(null, "", `#log@${event.position}`);
    }
    function draw() {
      shown = items.filter(
        (each) => !wanted || `${each.topic} ${JSON.stringify(each.data)}`.toLowerCase().includes(wanted),
      );
      list.set(shown);
      replace(count, `${shown.length} of ${items.length} events`);
    }
    async function load() {
      const after = items.length ? items[items.length - 1].position : 0;
      const had = items;
      await pages(`${path}/events`, { after }, (found) => {
        if (left) return false;
        items = had.concat(found);
        draw();
        return true;
      });
    }
    const first = load().then(() => {
      const chosen = items.find((each) => String(each.position) === at);
      if (chosen) {
        choose(chosen);
        list.show(shown.indexOf(chosen));
      }
    });
    await Promise.race([first, new Promise((done) => setTimeout(done, 250))]);
    const field = h("input", {
      type: "search",
      id: "find",
      placeholder: "topic or text",
      on: {
        input: () => {
          wanted = field.value.toLowerCase();
          draw();
        },
      },
    });
    const follow = h("input", { type: "checkbox", id: "follow", on: { change: () => list.follow(follow.checked) } });
    return {
      element: h(
        "section",
        {},
        h("h2", { class: "unseen" }, "Log"),
        h(
          "p",
          { class: "buttons" },
          h("label", { for: "find" }, "Search "),
          field,
          h("label", {}, follow, " follow (f)"),
          count,
          command(`rt run log ${short(run)}`),
        ),
        list.element,
        detail,
      ),
      more: load,
      follow() {
        follow.checked = !follow.checked;
        list.follow(follow.checked);
      },
      leave() {
        left = true;
      },
    };
  },
  async output({ path, run, at }) {
    let lines = [],
      stream = "",
      pieces = [],
      left = false,
      after = 0,
      tail = {};
    const count = h("span", { role: "status" });
    const list = longList(
      "output of the run",
      (line) =>
        h(
          "div",
          { class: `line ${line.stream}` },
          h("span", { class: "number" }, String(line.number)),
          h("span", { class: "since" }, line.stream === "stdout" ? "" : line.stream),
          h("span", { class: "text" }, line.text),
        ),
      20,
    );
    function take(found) {
      for (const piece of found) {
        pieces.push(piece);
        if (piece.erased) {
          lines.push({
            stream: piece.data.stream,
            text: "[erased]",
            number: lines.length + 1,
            position: piece.position,
          });
          continue;
        }
        const key = `${piece.data.call}/${piece.data.stream}`,
          text = (piece.text || "").split("\n");
        if (tail[key]) {
          tail[key].text += clean(text.shift());
        }
        const rest = text.map((each) => ({
          stream: piece.data.stream,
          call: piece.data.call,
          text: clean(each),
          number: 0,
          position: piece.position,
        }));
        const last = rest.pop();
        for (const line of rest) {
          line.number = lines.length + 1;
          lines.push(line);
        }
        tail[key] = null;
        if (last && last.text) {
          last.number = lines.length + 1;
          lines.push(last);
          tail[key] = last;
        }
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
    if (at)
      first.then(() => {
        const index = lines.findIndex((each) => each.position >= Number(at));
        if (index >= 0) list.show(index);
      });
    const choice = h(
      "select",
      {
        id: "stream",
        on: {
          change: () => {
            stream = choice.value;
            draw();
          },
        },
      },
      [
        ["", "both"],
        ["stdout", "stdout"],
        ["stderr", "stderr"],
      ].map(([value, text]) => h("option", { value }, text)),
    );
    const follow = h("input", { type: "checkbox", id: "follow", on: { change: () => list.follow(follow.checked) } });
    return {
      element: h(
        "section",
        {},
        h("h2", { class: "unseen" }, "Output"),
        h(
          "p",
          { class: "buttons" },
          h("label", { for: "stream" }, "stream "),
          choice,
          h("label", {}, follow, " follow (f)"),
          count,
          command(`rt run output ${short(run)}`),
        ),
        list.element,
      ),
      more: load,
      follow() {
        follow.checked = !follow.checked;
        list.follow(follow.checked);
      },
      leave() {
        left = true;
      },
    };
  },
  async state({ page, path, run, at }) {
    let positions = [];
    const box = h("div"),
      slider = h("input", { type: "range", id: "scrub", min: 1, value: 1, "aria-label": "event of the run" }),
      label = h("output", { for: "scrub" });
    async function load() {
      const known = [];
      await pages(`${path}/events`, { after: positions.length ? positions[positions.length - 1] : 0 }, (found) => {
        known.length = 0;
        known.push(...found.map((each) => each.position));
        return true;
      });
      positions = positions.concat(known);
      slider.max = positions.length;
    }
    const show = calmly(async () => {
      const position = positions[Number(slider.value) - 1];
      const found = await get(`${path}/state`, { at: position });
      history.replaceState(null, "", `#state@${position}`);
      replace(
        label,
        `event ${found.number} of ${positions.length}, position ${found.position}: ${topicName(found.event.topic)}`,
      );
      replace(
        box,
        h("h3", {}, "Changed"),
        table(
          "changes",
          ["field", "before", "after"],
          found.changes.map((each) => [each.path, plain(each.before), plain(each.after)]),
          "nothing",
        ),
        h(
          "details",
          {},
          h("summary", {}, "The whole state"),
          table(
            "state",
            ["field", "value"],
            Object.entries(found.state)
              .filter(([, value]) => value !== null && value !== "" && value !== false && value !== 0)
              .map(([name, value]) => [name, plain(value)]),
          ),
        ),
        h("details", {}, h("summary", {}, "The event"), h("pre", {}, JSON.stringify(found.event, null, 2))),
        forking(page, path, run, position),
      );
    }, 80);
    await load();
    const from = at ? positions.findIndex((each) => each >= Number(at)) + 1 : positions.length;
    slider.value = from || positions.length;
    slider.addEventListener("input", show);
    const by = (n) => () => {
      slider.value = Number(slider.value) + n;
      show();
    };
    show();
    return {
      element: h(
        "section",
        {},
        h("h2", {}, "State at a position"),
        h(
          "p",
          { class: "buttons" },
          h("button", { type: "button", on: { click: by(-1) } }, "◀ before"),
          slider,
          h("button", { type: "button", on: { click: by(1) } }, "after ▶"),
        ),
        h("p", {}, label, " ", command(`rt replay ${short(run)} --step`)),
        box,
      ),
      more: load,
      leave: show.stop,
    };
  },
  async decisions({ path, run }) {
    const box = h("div");
    async function load() {
      const found = await get(`${path}/decisions`);
      replace(
        box,
        table(
          "decisions",
          ["#", "decision", "why", "by", "took", "tokens", "cost", "position"],
          found.items.map((each) => [
            each.number === null || each.number === undefined ? "" : `@decision${each.number}`,
            each.decision,
            each.cause || each.rule || "",
            each.controller || each.model || "",
            each.latency_s === null || each.latency_s === undefined ? "" : duration(each.latency_s),
            each.tokens_in === null || each.tokens_in === undefined ? "" : `${each.tokens_in} + ${each.tokens_out}`,
            each.cost_usd === null || each.cost_usd === undefined ? "" : `$${each.cost_usd}`,
            h("a", { href: `#state@${each.position}` }, String(each.position)),
          ]),
          "no decision yet",
        ),
      );
    }
    await load();
    return {
      element: h("section", {}, h("h2", {}, "Decisions"), h("p", {}, command(`rt why ${short(run)} @decision1`)), box),
      more: load,
    };
  },
  async artifacts({ path }) {
    const box = h("div");
    async function load() {
      const found = await get(`${path}/artifacts`);
      replace(
        box,
        table(
          "artifacts",
          ["path", "", ""],
          found.paths.map((each) => [
            each,
            h("a", { href: `/files?path=${encodeURIComponent(each)}` }, "look"),
            h("a", { href: `/api/v1/artifacts/file?path=${encodeURIComponent(each)}`, download: true }, "download"),
          ]),
          "it names no artifacts",
        ),
        h("h3", {}, "Checks"),
        table(
          "checks",
          ["what", "result", "path", "why", "sha256"],
          found.checks.map((each) => [
            each.what,
            each.result,
            each.path || "",
            each.why || "",
            (each.sha256 || "").slice(0, 16),
          ]),
          "nothing was checked",
        ),
      );
    }
    await load();
    return { element: h("section", {}, h("h2", {}, "Artifacts"), box), more: load };
  },
  async why({ path, run }) {
    const about = h("input", { id: "about", placeholder: "@decision3, a position, an event, a field" }),
      box = h("div");
    async function load() {
      const found = await get(`${path}/why`, { about: about.value.trim() });
      replace(
        box,
        h(
          "ol",
          { class: "chain" },
          found.items.map((each) =>
            h(
              "li",
              {},
              h("a", { href: `#state@${each.position}` }, String(each.position)),
              " ",
              moment(each.at),
              " ",
              each.says,
            ),
          ),
        ),
      );
    }
    await load();
    return {
      element: h(
        "section",
        {},
        h("h2", {}, "Why"),
        h(
          "form",
          {
            class: "buttons",
            on: {
              submit: async (event) => {
                event.preventDefault();
                try {
                  await load();
                } catch (problem) {
                  replace(box, h("p", { class: "problem" }, words(problem)));
                }
              },
            },
          },
          h("label", { for: "about" }, "what about"),
          about,
          h("button", {}, "Ask"),
          command(`rt why ${short(run)}`),
        ),
        box,
      ),
      more: async () => {
        if (!about.value.trim()) await load();
      },
    };
  },
};

export function plain(value) {
  return value === null || value === undefined || value === ""
    ? "—"
    : typeof value === "object"
      ? JSON.stringify(value)
      : String(value);
}

function forking(page, path, run, position) {
  if (!page.may("read") || !page.may("operate")) return null;
  const controller = h("input", { id: "controller", placeholder: "controller" }),
    sets = h("textarea", { id: "sets", rows: 2, placeholder: "budgets.wall_us=5000000" }),
    said = h("div");
  return h(
    "details",
    {},
    h("summary", {}, "Fork here: how would it have gone on otherwise?"),
    h(
      "form",
      {
        on: {
          submit: async (event) => {
            event.preventDefault();
            replace(said, "…");
            try {
              const found = await post(`${path}/fork`, {
                at: String(position),
                controller: controller.value.trim(),
                set: sets.value
                  .split("\n")
                  .map((each) => each.trim())
                  .filter(Boolean),
              });
              replace(
                said,
                h(
                  "p",
                  {},
                  mark(found.state),
                  found.stopped ? ` stops here: ${found.stopped}` : "",
                  found.assumed ? ` · ${found.assumed} ends of calls are assumed` : "",
                ),
                found.difference
                  ? facts([
                      ["first difference", `its event ${found.difference.number}`],
                      ["fork", found.difference.fork],
                      ["recorded", found.difference.parent],
                    ])
                  : h("p", {}, "it says the same as the recorded run, as far as it goes"),
                table(
                  "events of the fork",
                  ["from", "event", "fields"],
                  found.events.slice(0, 200).map((each) => [each.source, topicName(each.topic), fields(each.data)]),
                ),
              );
            } catch (problem) {
              replace(said, h("p", { class: "problem" }, words(problem)));
            }
          },
        },
      },
      h("p", {}, h("label", { for: "controller" }, "who decides "), controller),
      h("p", {}, h("label", { for: "sets" }, "inputs, PATH=JSON a line "), sets),
      h("button", {}, "Fork"),
      " ",
      command(`rt fork ${short(run)} --at ${position}`),
    ),
    said,
  );
}

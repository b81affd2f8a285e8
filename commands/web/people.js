// What waits for a person, and conversations.

import { get, parsed, post, remove } from "./api.js";
import { action, calmly, confirmed, words } from "./actions.js";
import { clean, facts, h, replace, table, visible } from "./dom.js";
import { command, date, duration, mark, moment, quoted, short } from "./format.js";

/** Cards of all that waits; the whole of it is looked at before it is answered. */
export function waitingCards(page, items) {
  return items.map((each) =>
    h(
      "article",
      { class: "card wait" },
      h(
        "p",
        {},
        mark(each.kind === "unknown outcome" ? "needs_reconcile" : "waiting_for_approval"),
        " ",
        h("strong", {}, each.tool),
        ` · ${each.kind} · run `,
        h("a", { href: `/runs/${each.run}` }, short(each.run)),
        left(each.expires_at),
      ),
      h("pre", { class: "cut" }, visible(each.shown)),
      h(
        "p",
        { class: "buttons" },
        each.kind === "unknown outcome"
          ? settling(page, each)
          : h("a", { class: "button row primary", href: `/approvals/${each.run}/c${each.call}` }, "Look and answer"),
      ),
    ),
  );
}

function left(expires) {
  if (!expires) return null;
  const s = (date(expires) - Date.now()) / 1000;
  return s > 0 ? [" · ", duration(s), " left"] : h("strong", { class: "problem" }, " · its time is over");
}

function settling(page, each) {
  const path = `/api/v1/runs/${each.run}/effects/${each.call}`,
    name = short(each.run);
  return [
    action(page, {
      scope: "approve",
      label: "It happened",
      says: `rt settle ${name} ${each.call} --happened`,
      ask: "how do you know",
      does: (note) => post(path, { happened: true, note }),
    }),
    action(page, {
      scope: "approve",
      label: "It did not",
      says: `rt settle ${name} ${each.call} --did-not-happen`,
      ask: "how do you know",
      does: (note) => post(path, { happened: false, note }),
    }),
  ];
}

export async function approvals(page) {
  const box = h("div");
  async function load() {
    const found = await get("/api/v1/approvals");
    replace(
      box,
      found.items.length
        ? waitingCards(page, found.items)
        : h("p", { class: "quiet" }, "nothing waits for you; ", command("rt approval list")),
    );
  }
  const grants = h("div");
  async function loadGrants() {
    const found = await get("/api/v1/grants");
    replace(
      grants,
      table(
        "standing grants",
        ["grant", "tool", "profile", "arguments", "until", ""],
        found.items.map((each) => [
          short(each.id),
          each.tool,
          each.profile,
          JSON.stringify(each.arguments),
          moment(each.until),
          action(page, {
            scope: "approve",
            label: "Revoke",
            danger: true,
            says: `rt grant revoke ${short(each.id)}`,
            does: () => remove(`/api/v1/grants/${each.id}`),
          }),
        ]),
        "no standing grants",
      ),
    );
  }
  await Promise.all([load(), loadGrants()]);
  const reload = calmly(load, 250);
  return {
    title: "approvals",
    element: h("div", {}, h("h1", {}, "Waiting for you"), box, h("h2", {}, "Standing grants"), grants),
    told(found) {
      if (found.some((each) => /approval|call_|task\.(parked|resumed)/.test(each.topic))) reload();
    },
    leave: reload.stop,
  };
}

export async function approval(page, [run, call]) {
  const path = `/api/v1/runs/${encodeURIComponent(run)}/approvals/${call}`;
  let found;
  try {
    found = await get(path);
  } catch (problem) {
    if (problem.status !== 404 && problem.status !== 409) throw problem;
    return {
      title: "approval",
      element: h(
        "div",
        {},
        h("h1", {}, "Answered, or never asked"),
        h("p", { role: "alert" }, problem.message),
        h(
          "p",
          {},
          h("a", { href: `/runs/${encodeURIComponent(run)}` }, "the run"),
          " · ",
          h("a", { href: "/approvals" }, "what waits"),
        ),
      ),
    };
  }
  const name = short(found.run),
    says = (verb, rest = "") => `rt ${verb} ${name} ${found.call} --digest ${found.digest.slice(0, 16)}${rest}`;
  const said = h("p", { role: "status" }),
    isQuestion = found.kind === "question";
  const argv = Array.isArray(found.arguments.argv) ? found.arguments.argv : null;
  const exact = h(
    "pre",
    { class: "exact", tabindex: 0, "aria-label": "exactly what waits" },
    isQuestion ? visible(String(found.arguments.question || "")) : visible(JSON.stringify(found.arguments, null, 2)),
  );
  const list = argv
    ? h(
        "ol",
        { start: 0, class: "argv" },
        argv.map((each) => h("li", {}, h("code", {}, visible(String(each))))),
      )
    : null;
  let mine = false;
  async function answer(label, danger, ask, needs, command_, body) {
    const text = await confirmed({
      label,
      danger,
      ask,
      needs,
      says: command_,
      body: h(
        "div",
        {},
        h("p", {}, h("strong", {}, found.tool), " · digest ", h("code", {}, found.digest.slice(0, 16))),
        exact.cloneNode(true),
      ),
    });
    if (text === null) return;
    replace(said, "…");
    mine = true;
    try {
      const done = await post(path, { shown_sha256: found.digest, ...body(text) });
      replace(said, `${done.decision} at position ${done.position}`);
      buttons.replaceChildren();
      setTimeout(() => page.go(`/runs/${found.run}`), 900);
    } catch (problem) {
      mine = false;
      replace(said, h("span", { class: "problem" }, words(problem)));
    }
  }
  const approve = () => {
    if (!yes.disabled)
      answer(
        isQuestion ? "Answer" : "Approve",
        false,
        isQuestion ? "your answer" : "a note (may be empty)",
        isQuestion,
        says("approve", isQuestion ? " --note …" : ""),
        (note) => ({ answer: "approve", note }),
      );
  };
  const reject = () =>
    answer("Reject", true, "why; the agent is told", true, says("reject", " --reason …"), (reason) => ({
      answer: "reject",
      reason,
    }));
  const edited = h("textarea", {
    id: "edit",
    rows: 8,
    "aria-label": "other arguments, as JSON",
    value: visible(JSON.stringify(found.arguments, null, 2)),
  });
  const yes = h(
    "button",
    { type: "button", class: "primary", on: { click: approve } },
    isQuestion ? "Answer (a)" : "Approve (a)",
  );
  const buttons = h(
    "p",
    { class: "buttons" },
    page.may("approve")
      ? [yes, h("button", { type: "button", class: "danger", on: { click: reject } }, "Reject (r)")]
      : "this token cannot answer; it needs the scope approve",
  );
  // what does not fit has to be scrolled through before it can be approved
  let asEdited = null;
  const seen = () => {
    yes.disabled = exact.scrollTop + exact.clientHeight < exact.scrollHeight - 2;
    yes.title = yes.disabled ? "scroll to its end first" : says("approve");
    if (asEdited) asEdited.disabled = yes.disabled;
  };
  exact.addEventListener("scroll", seen);
  requestAnimationFrame(seen);
  const box = h(
    "div",
    {},
    h("h1", {}, isQuestion ? "A question for you" : "May this be done?"),
    h("p", {}, mark("waiting_for_approval"), left(found.expires_at)),
    facts([
      ["tool", found.tool],
      ["run", h("a", { href: `/runs/${found.run}#state@${found.asked_at_position}` }, found.run)],
      ["call", `c${found.call}`],
      ["asked by", found.requested_by],
      ["profile", found.profile],
      ["because of", found.rules.join(", ")],
      ["in the folder", found.folder],
      ["effect", found.effect],
      ["digest", h("code", {}, found.digest)],
    ]),
    list ? [h("h2", {}, "The command, word by word"), list] : null,
    h("h2", {}, isQuestion ? "The question" : "Exactly"),
    exact,
    h(
      "p",
      { class: "quiet" },
      "Approve: it is done exactly so, once. Reject: the agent is told your reason and ",
      found.on_reject === "fail" ? "the run fails." : "decides again.",
      isQuestion ? "" : " Edit: it is done with your arguments instead.",
    ),
    buttons,
    said,
    isQuestion || !page.may("approve")
      ? null
      : h(
          "details",
          {},
          h("summary", {}, "Edit"),
          edited,
          h(
            "p",
            { class: "buttons" },
            (asEdited = h(
              "button",
              {
                type: "button",
                on: {
                  click: () => {
                    let document_;
                    try {
                      document_ = parsed(edited.value);
                    } catch (problem) {
                      replace(said, h("span", { class: "problem" }, `not JSON: ${problem.message}`));
                      return;
                    }
                    answer(
                      "Approve as edited",
                      false,
                      "",
                      false,
                      says("approve", ` --edit ${quoted(JSON.stringify(document_))}`),
                      () => ({ answer: "edit", edit: document_ }),
                    );
                  },
                },
              },
              "Approve as edited",
            )),
          ),
        ),
    h(
      "p",
      { class: "quiet" },
      "the same as ",
      command(says("approve")),
      " or ",
      command(says("reject", " --reason …")),
    ),
  );
  return {
    title: `approval ${name} c${found.call}`,
    element: box,
    keys: page.may("approve") ? { a: approve, r: reject } : {},
    told(events) {
      const given = events.find(
        (each) =>
          each.stream === found.run &&
          /call_(approved|rejected|edited)|approval_closed/.test(each.topic) &&
          each.data.call === found.call,
      );
      if (!given || mine) return;
      buttons.replaceChildren();
      const how = (given.data.how || given.topic).replace(/^run\.call_|\.v\d+$/g, "");
      const closed = { expired: "closed, as nobody answered in time: ", withdrawn: "withdrawn, as the run ends: " };
      replace(
        said,
        closed[how] || `${how} by ${given.actor.replace(/^\w+:/, "")} meanwhile: `,
        h("a", { href: `/runs/${found.run}` }, "the run"),
      );
    },
  };
}

export async function threads(page) {
  const found = await get("/api/v1/threads");
  const name = h("input", {
    id: "thread",
    pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]{0,63}",
    placeholder: "name",
    required: true,
  });
  return {
    title: "threads",
    element: h(
      "div",
      {},
      h("h1", {}, "Threads"),
      table(
        "threads",
        ["thread", "profile", "messages", "state", "latest"],
        found.items.map((each) => [
          h("a", { href: `/threads/${encodeURIComponent(each.thread)}`, class: "row" }, each.thread),
          each.profile,
          each.messages,
          mark(each.status),
          clean(each.latest).slice(0, 120),
        ]),
        "no threads; rt reply THREAD TEXT",
      ),
      h(
        "form",
        {
          class: "buttons",
          on: {
            submit: (event) => {
              event.preventDefault();
              page.go(`/threads/${encodeURIComponent(name.value)}`);
            },
          },
        },
        h("label", { for: "thread" }, "Open or begin "),
        name,
        h("button", {}, "Open"),
        command("rt thread list"),
      ),
    ),
  };
}

export async function thread(page, [name]) {
  const box = h("div", { class: "talk" }),
    said = h("p", { role: "status" });
  async function load() {
    let items = [];
    try {
      items = (await get(`/api/v1/threads/${encodeURIComponent(name)}`, { limit: 200 })).items;
    } catch (problem) {
      if (problem.status !== 404) throw problem;
    }
    const last = items[items.length - 1];
    replace(
      box,
      items.length
        ? items.map((each) =>
            h(
              "article",
              { class: `said-by ${each.role}` },
              h(
                "p",
                { class: "quiet" },
                each.role,
                " · ",
                h(
                  "a",
                  { href: each.run ? `/runs/${each.run}` : `/tasks/${each.task}` },
                  each.run ? short(each.run) : short(each.task),
                ),
                each.synthetic ? " · not part of the history" : "",
              ),
              h("p", { class: "words" }, each.content),
            ),
          )
        : h("p", { class: "quiet" }, "nothing was said here yet"),
      last && last.role === "user"
        ? h("p", { class: "quiet" }, "… an answer is to come, once a dispatcher runs it")
        : null,
    );
  }
  const text = h("textarea", { id: "say", rows: 2, placeholder: "Enter sends, Shift+Enter breaks the line" });
  async function send() {
    const words_ = text.value.trim();
    if (!words_) return;
    replace(said, "…");
    try {
      const done = await post(`/api/v1/threads/${encodeURIComponent(name)}/messages`, { text: words_ });
      text.value = "";
      replace(said, `said at position ${done.position}`);
      await load();
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
  await load();
  const reload = calmly(load, 300),
    path = `/api/v1/threads/${encodeURIComponent(name)}`;
  return {
    title: `thread ${name}`,
    element: h(
      "div",
      {},
      h("h1", {}, `Thread ${name}`),
      h(
        "p",
        { class: "buttons" },
        action(page, { label: "Restart", says: `rt thread restart ${name}`, does: () => post(`${path}/restart`, {}) }),
        action(page, {
          label: "Delete",
          danger: true,
          says: `rt thread delete ${name}`,
          does: async () => {
            const done = await remove(path);
            page.go("/threads");
            return done;
          },
        }),
      ),
      box,
      page.may("operate")
        ? h(
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
            h("label", { for: "say" }, "Say"),
            text,
            h("span", { class: "buttons" }, h("button", { class: "primary" }, "Send"), command(`rt reply ${name} …`)),
            said,
          )
        : null,
    ),
    told: () => reload(),
    leave: reload.stop,
  };
}

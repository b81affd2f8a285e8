// What a person can do here: each with the command that does the same, asked once more where it matters.

import { Problem } from "./api.js";
import { h, replace } from "./dom.js";
import { command } from "./format.js";

/** A button that does one thing. `ask` names a text that is needed first; `does(text)` answers with a position. */
export function action(
  page,
  { label, scope = "operate", says, does, ask = "", needs = false, danger = false, done = "" },
) {
  if (!page.may(scope)) return null;
  const said = h("span", { class: "said", role: "status" });
  const button = h("button", { type: "button", class: danger ? "danger" : "", title: says }, label);
  button.addEventListener("click", async () => {
    const text = await confirmed({ label, says, ask, needs, danger });
    if (text === null) return;
    button.disabled = true;
    page.tell("");
    replace(said, "…");
    try {
      const answer = await does(text);
      replace(said);
      page.tell(`${label}: ${done || "done"}${answer && answer.position ? ` at position ${answer.position}` : ""}`);
      await page.refresh();
    } catch (problem) {
      replace(said, h("span", { class: "problem" }, words(problem)));
    } finally {
      button.disabled = false;
    }
  });
  return h("span", { class: "action" }, button, said);
}

export function words(problem) {
  if (!(problem instanceof Problem)) {
    console.error(problem);
    return "this page has a bug; the console tells more";
  }
  return `${problem.message}${problem.hint ? ` (try: ${problem.hint})` : ""}`;
}

/** Ask before it is done, with the command that would do the same; the text that was given, or null. */
export function confirmed({ label, says, ask = "", needs = false, danger = false, body = null }) {
  return new Promise((answer) => {
    const field = ask ? h("textarea", { id: "asked", rows: 2, required: needs }) : null;
    const yes = h("button", { class: danger ? "danger" : "primary", value: "yes" }, label);
    const dialog = h(
      "dialog",
      { "aria-label": label },
      h(
        "form",
        { method: "dialog" },
        h("h2", {}, label),
        body,
        field ? [h("label", { for: "asked" }, ask), field] : null,
        h("p", { class: "quiet" }, "the same as ", command(says)),
        h("p", { class: "buttons" }, yes, h("button", { value: "", formnovalidate: true }, "Back")),
      ),
    );
    dialog.addEventListener("close", () => {
      answer(dialog.returnValue === "yes" ? (field ? field.value.trim() : "") : null);
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
    (field || yes).focus();
  });
}

/** Call it a little later, once for however many calls come meanwhile; at most so often. */
export function calmly(work, ms = 300) {
  let timer = 0,
    busy = false,
    again = false;
  async function run() {
    timer = 0;
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      await work();
    } catch (problem) {
      if (!(problem instanceof Problem)) console.error(problem);
    } finally {
      busy = false;
    }
    if (again) {
      again = false;
      call();
    }
  }
  function call() {
    if (!timer) timer = setTimeout(run, ms);
  }
  call.stop = () => clearTimeout(timer);
  return call;
}

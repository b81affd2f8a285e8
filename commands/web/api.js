// Talking to the server: answers with their position, problems as they are, and one stream of events for the whole page.

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || `status ${status}`);
    this.status = status;
    this.code = document.code || "";
    this.hint = document.hint || "";
    this.where = document.where || "";
  }
}

export let position = 0;

/** A document; whole numbers that a JavaScript number cannot hold keep all their digits. */
export function parsed(text) {
  return JSON.parse(text, (_name, value, context) => {
    if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
    const source = context && context.source; // an old browser does not tell: then it says that this is not exact
    if (source === undefined) return Number.isInteger(value) ? `≈${value}` : value;
    return /^-?\d+$/.test(source) ? BigInt(source) : value;
  });
}

BigInt.prototype.toJSON = function () {
  return JSON.rawJSON(String(this));
};

async function ask(method, path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      cache: "no-store",
      redirect: "error",
      headers: body === undefined ? headers : { "content-type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Problem(0, { detail: "the server does not answer", hint: "rt serve" });
  }
  const kind = answer.headers.get("content-type") || "";
  const document = kind.includes("json") ? parsed(await answer.text()) : await answer.text();
  if (!answer.ok) throw new Problem(answer.status, document);
  position = Math.max(position, Number(answer.headers.get("rt-position") || 0));
  return document;
}

export function get(path, query = {}) {
  const named = new URLSearchParams(
    Object.entries(query).filter(([, value]) => value !== "" && value !== undefined && value !== null),
  );
  const text = named.toString();
  return ask("GET", text ? `${path}?${text}` : path);
}

/** A write: its key makes a second click the same request. */
export function post(path, body = {}, key = crypto.randomUUID ? crypto.randomUUID() : String(Math.random())) {
  return ask("POST", path, body, { "idempotency-key": key });
}

export const patch = (path, body) => ask("PATCH", path, body);
export const remove = (path) => ask("DELETE", path);

/** Every item of a list of pages, a page after the other; `each` gets what came so far. */
export async function pages(path, query, each, most = 20000) {
  let items = [],
    after = query.after || 0;
  for (;;) {
    const page = await get(path, { ...query, after, limit: 500 });
    items = items.concat(page.items);
    if (each(items, page) === false || page.next === null || items.length >= most) return items;
    after = page.next;
  }
}

/** The stream: tells events in batches, and whether it is connected. It comes back by itself, from where it was. */
export class Live {
  constructor(from, onEvents, onState) {
    this.position = from;
    position = Math.max(position, from);
    this.onEvents = onEvents;
    this.onState = onState;
    this.wait = 500;
    this.stopped = false;
    this.controller = null;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.pause();
      else this.run();
    });
    this.run();
  }

  pause() {
    if (this.controller) {
      const it = this.controller;
      this.controller = null;
      it.abort();
    }
  }

  async run() {
    if (this.controller || this.stopped) return;
    const mine = (this.controller = new AbortController());
    while (this.controller === mine && !this.stopped) {
      try {
        await this.listen(mine.signal);
      } catch (problem) {
        if (this.controller !== mine) return;
        if (problem instanceof Problem && (problem.status === 401 || problem.status === 409)) {
          this.onState("gone", problem);
          this.stopped = true;
          return;
        }
      }
      if (this.controller !== mine) return;
      this.onState("lost");
      await new Promise((done) => setTimeout(done, this.wait));
      this.wait = Math.min(this.wait * 2, 5000);
    }
  }

  async listen(signal) {
    const answer = await fetch("/api/v1/stream", {
      signal,
      cache: "no-store",
      headers: { "last-event-id": String(this.position) },
    });
    if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
    this.wait = 500;
    this.onState("live");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
      const parts = text.split("\n\n");
      text = parts.pop();
      const events = parts.map((part) => this.read(part)).filter(Boolean);
      if (events.length) this.onEvents(events);
    }
  }

  read(part) {
    const found = {};
    for (const line of part.split("\n")) {
      const at = line.indexOf(": ");
      if (at > 0) found[line.slice(0, at)] = line.slice(at + 2);
    }
    if (found.id) {
      this.position = Number(found.id);
      position = Math.max(position, this.position);
    }
    return found.data && found.event !== "caught_up" && found.event !== "overflow" ? parsed(found.data) : null;
  }
}

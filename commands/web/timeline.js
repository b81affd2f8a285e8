// A run as lanes: bars for what took time, ticks for what happened; dragged over, it zooms in.

import { h, replace, svg } from "./dom.js";
import { duration } from "./format.js";

const WIDTH = 960,
  LEFT = 150,
  LANE = 26,
  BAR = 14,
  TOP = 30;

/** Round moments between two, about six, with how they are written. */
function ticks(from, to) {
  const [factor, unit] = to < 1 ? [1000, "ms"] : to < 600 ? [1, "s"] : to < 36000 ? [1 / 60, "min"] : [1 / 3600, "h"];
  const wanted = ((to - from) * factor) / 6,
    power = 10 ** Math.floor(Math.log10(wanted)),
    step = [1, 2, 5, 10].find((each) => each * power >= wanted) * power,
    digits = Math.max(0, Math.min(9, Math.ceil(-Math.log10(step) - 1e-9)));
  const found = [];
  for (let at = Math.ceil((from * factor) / step - 1e-9); at * step <= to * factor + step * 1e-9; at++)
    found.push([(at * step) / factor, `${(at * step).toFixed(digits)} ${unit}`]);
  return found;
}

export function timeline(found, kept = {}) {
  const box = h("div"),
    whole = Math.max(found.whole_s, 0.001);
  let from = kept.from || 0,
    to = kept.to || whole;
  const zoom = (a, b) => {
    from = Math.max(0, a);
    to = Math.min(whole, Math.max(b, a + whole / 10000));
    const isAll = from === 0 && to === whole;
    Object.assign(kept, isAll ? { from: 0, to: 0 } : { from, to });
    draw();
  };
  const by = (factor) => () => {
    const middle = (from + to) / 2,
      half = ((to - from) / 2) * factor;
    zoom(middle - half, middle + half);
  };
  function draw() {
    const lanes = [...new Set([...found.bars, ...found.ticks].map((each) => each.lane))],
      height = TOP + LANE * lanes.length + 10;
    const x = (s) => LEFT + ((WIDTH - LEFT - 20) * (s - from)) / (to - from),
      y = (lane) => TOP + LANE * lanes.indexOf(lane);
    const inside = (s) => s >= from && s <= to,
      kept = (s) => Math.min(WIDTH - 20, Math.max(LEFT, x(s)));
    const grid = ticks(from, to);
    const brush = svg("rect", { class: "brush", y: TOP - 8, height: height - TOP, width: 0 });
    const picture = svg(
      "svg",
      {
        class: "timeline",
        viewBox: `0 0 ${WIDTH} ${height}`,
        role: "img",
        "aria-label": `timeline of the run, ${duration(from)} to ${duration(to)} of ${duration(whole)}`,
      },
      grid.map(([s, text]) => [
        svg("path", { class: "grid", d: `M${x(s)} ${TOP - 8}V${height - 6}` }),
        svg("text", { class: "grid", x: x(s), y: TOP - 14, "text-anchor": "middle" }, text),
      ]),
      lanes.map((lane) =>
        svg("text", { class: "lane", x: 4, y: y(lane) + 12 }, lane.length > 20 ? `${lane.slice(0, 19)}…` : lane),
      ),
      found.bars
        .filter((bar) => bar.end_s >= from && bar.begin_s <= to)
        .map((bar) =>
          svg(
            "rect",
            {
              class: bar.kind,
              x: kept(bar.begin_s),
              y: y(bar.lane),
              height: BAR,
              rx: 2,
              width: Math.max(1.5, kept(bar.end_s) - kept(bar.begin_s)),
            },
            svg("title", {}, bar.text),
          ),
        ),
      found.ticks
        .filter((tick) => inside(tick.at_s))
        .map((tick) =>
          svg(
            "path",
            { class: tick.kind, d: `M${x(tick.at_s)} ${y(tick.lane) - 2}v${BAR + 4}` },
            svg("title", {}, tick.text),
          ),
        ),
      brush,
    );
    const at = (event) => {
      const place = picture.getBoundingClientRect();
      return Math.min(
        to,
        Math.max(
          from,
          from + ((((event.clientX - place.left) / place.width) * WIDTH - LEFT) / (WIDTH - LEFT - 20)) * (to - from),
        ),
      );
    };
    let begun = null;
    picture.addEventListener("pointerdown", (event) => {
      begun = at(event);
      picture.setPointerCapture(event.pointerId);
    });
    picture.addEventListener("pointermove", (event) => {
      if (begun !== null) {
        const a = x(Math.min(begun, at(event))),
          b = x(Math.max(begun, at(event)));
        brush.setAttribute("x", a);
        brush.setAttribute("width", b - a);
      }
    });
    picture.addEventListener("pointerup", (event) => {
      if (begun === null) return;
      const end = at(event),
        first = Math.min(begun, end),
        last = Math.max(begun, end);
      begun = null;
      if (last - first > (to - from) / 100) zoom(first, last);
      else brush.setAttribute("width", 0);
    });
    picture.addEventListener("dblclick", () => zoom(0, whole));
    replace(
      box,
      h(
        "p",
        { class: "buttons" },
        h("button", { type: "button", on: { click: by(0.5) }, "aria-label": "zoom in" }, "+"),
        h("button", { type: "button", on: { click: by(2) }, "aria-label": "zoom out" }, "−"),
        h("button", { type: "button", on: { click: () => zoom(0, whole) } }, "all"),
        found.cut ? h("span", { class: "quiet" }, "only the first 2000 ticks are drawn") : null,
      ),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "timeline" }, picture),
    );
  }
  draw();
  return box;
}

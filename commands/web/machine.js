// A state machine as a picture: states in the order in which they are reached, the present one marked, ways as arrows.

import { h, svg } from "./dom.js";

const W = 150,
  H = 34,
  GAP_Y = 26;

const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

export function machine(found, current, status) {
  const depth = {},
    order = [found.start];
  depth[found.start] = 0;
  for (let at = 0; at < order.length; at++)
    for (const way of found.ways)
      if (way.from === order[at] && depth[way.to] === undefined) {
        depth[way.to] = depth[order[at]] + 1;
        order.push(way.to);
      }
  for (const state of found.states)
    if (depth[state] === undefined) {
      depth[state] = 0;
      order.push(state);
    }
  const merged = {};
  for (const way of found.ways) {
    const key = `${way.from}\n${way.to}`;
    (merged[key] = merged[key] || { ...way, signals: [] }).signals.push(way.signal);
  }
  for (const way of Object.values(merged)) way.text = cut(way.signals.join(", "), 26);
  const ahead = Object.values(merged).filter((way) => depth[way.to] > depth[way.from]);
  const gap = Math.max(70, ...ahead.map((way) => way.text.length * 6 + 16)); // what stands at an arrow has room
  const columns = [];
  for (const state of order) (columns[depth[state]] = columns[depth[state]] || []).push(state);
  const place = {};
  columns.forEach((column, x) =>
    column.forEach((state, y) => {
      place[state] = [10 + x * (W + gap), 34 + y * (H + GAP_Y)];
    }),
  );
  const width = 20 + columns.length * (W + gap) - gap,
    back = found.ways.filter((way) => depth[way.to] <= depth[way.from] && way.to !== way.from);
  const deep = 34 + Math.max(...columns.map((each) => each.length)) * (H + GAP_Y),
    height = deep + 14 + back.length * 14;
  let low = 0;
  const arrows = Object.values(merged).map((way) => {
    const [ax, ay] = place[way.from],
      [bx, by] = place[way.to];
    let path, tx, ty;
    if (way.from === way.to) {
      path = `M${ax + W - 40} ${ay}c0 -22 30 -22 30 0`;
      tx = ax + W - 25;
      ty = ay - 18;
    } else if (depth[way.to] > depth[way.from]) {
      const y1 = ay + H / 2,
        y2 = by + H / 2,
        x1 = ax + W,
        middle = (x1 + bx) / 2;
      path = `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${bx - 3} ${y2}`;
      tx = middle;
      ty = (y1 + y2) / 2 - 6;
    } else {
      const y = deep + low++ * 14;
      path = `M${ax + W / 2} ${ay + H}V${y}H${bx + W / 2 + 12}V${by + H + 3}`;
      tx = (ax + bx) / 2 + W / 2;
      ty = y - 3;
    }
    return [
      svg("path", { class: "way", d: path, "marker-end": "url(#arrow)" }),
      svg(
        "text",
        { class: "way", x: tx, y: ty, "text-anchor": "middle" },
        way.text,
        svg("title", {}, `${way.from} → ${way.to}: ${way.signals.join(", ")}`),
      ),
    ];
  });
  const words = found.ways.map((way) => `${way.from} goes to ${way.to} on ${way.signal}`).join("; ");
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "state machine" },
    svg(
      "svg",
      {
        class: "machine",
        viewBox: `0 0 ${Math.max(width, 200)} ${height}`,
        width: Math.max(width, 200),
        role: "img",
        "aria-label": `state machine, now in ${current}: ${words}`,
      },
      svg(
        "defs",
        {},
        svg(
          "marker",
          {
            id: "arrow",
            viewBox: "0 0 8 8",
            refX: 7,
            refY: 4,
            markerWidth: 7,
            markerHeight: 7,
            orient: "auto-start-reverse",
          },
          svg("path", { d: "M0 0L8 4L0 8z", class: "head" }),
        ),
      ),
      arrows,
      order.map((state) =>
        svg(
          "g",
          { class: state === current ? `is ${status}` : "other" },
          svg("rect", { x: place[state][0], y: place[state][1], width: W, height: H, rx: 6 }),
          svg(
            "text",
            { x: place[state][0] + W / 2, y: place[state][1] + 21, "text-anchor": "middle" },
            `${state === current ? "● " : ""}${cut(state, 20)}`,
          ),
          svg("title", {}, state),
        ),
      ),
    ),
  );
}

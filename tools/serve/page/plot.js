"use strict";
// Power over time: the total with what lies between its least and most, and both elements;
// received is below zero.

import { clock, drawn, made, number, put } from "./text.js";

const HEIGHT = 230;
const LEFT = 46;
const TOP = 8;
const BOTTOM = 24;
const SERIES = [["one", 4], ["two", 7], ["total", 1]];
const MEAN = 1;
const LEAST = 2;
const MOST = 3;

/** Round steps, of which about `count` fill the span. */
const step = (span, count) => {
  const size = 10 ** Math.floor(Math.log10(span / count));
  return [1, 2, 2.5, 5, 10].map((k) => k * size).find((of) => span / of <= count);
};

/** A plot in `section` (.drawing, output).  show(answer of /api/history) draws it. */
export const plot = (section) => {
  const drawing = section.querySelector(".drawing");
  const output = section.querySelector("output");
  const hours = Number(section.dataset.hours);
  const svg = drawn("svg", { height: HEIGHT, tabindex: 0, role: "img" });
  const key = made("p", { class: "key" },
    made("span", { class: "total" }, "total"), made("span", { class: "one" }, "element 1"),
    made("span", { class: "two" }, "element 2"), made("span", { class: "received" }, "received, below zero"));
  drawing.append(svg, key);
  let told = null;
  let scale = null;
  let cursor = null;

  const draw = () => {
    const width = Math.floor(drawing.clientWidth);
    if (!told || !width) return;
    svg.setAttribute("width", width);
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const { points, seconds, to } = told;
    const from = to - hours * 3600;
    let low = 0;
    let high = 0;
    for (const of of points) {
      low = Math.min(low, of[LEAST], of[4], of[7]);
      high = Math.max(high, of[MOST], of[4], of[7]);
    }
    if (high - low < 20) high = low + 20;
    const by = step(high - low, 5);
    low = Math.floor(low / by) * by;
    high = Math.ceil(high / by) * by;
    const x = (at) => LEFT + (width - LEFT - 6) * Math.min(1, Math.max(0, (at - from) / (to - from)));
    const y = (watts) => TOP + (HEIGHT - TOP - BOTTOM) * (high - watts) / (high - low);
    scale = { x, from, to };

    const parts = [];
    const inKw = Math.max(high, -low) >= 2000;
    const places = (unit) => Math.max(0, Math.ceil(-Math.log10(by / unit) - 1e-9) + (by / unit * 10 % 10 && /25/.test(String(by)) ? 1 : 0));
    for (let k = Math.round(low / by); k <= Math.round(high / by); k++) {
      const watts = k * by;
      parts.push(drawn("line", { class: watts ? "grid" : "zero", x1: LEFT, x2: width - 6, y1: y(watts), y2: y(watts) }));
      const said = inKw ? number(watts / 1000, Math.min(2, places(1000))) : number(watts, 0);
      parts.push(drawn("text", { x: LEFT - 6, y: y(watts) + 4, "text-anchor": "end" }, said));
    }
    parts.push(drawn("text", { x: 0, y: HEIGHT - 8 }, inKw ? "kW" : "W"));
    parts.push(...times(from, to, x, width));
    for (const run of runs(points, seconds)) {
      const middle = (of) => x(of[0] + seconds / 2).toFixed(1);
      const line = (k) => run.map((of) => `${middle(of)},${y(of[k]).toFixed(1)}`);
      const band = (a, b, name) => {
        const edge = (k) => run.map((of) => `${middle(of)},${y(Math[name === "in" ? "max" : "min"](0, of[k])).toFixed(1)}`);
        return drawn("path", { class: name, d: `M${edge(a).join("L")}L${edge(b).reverse().join("L")}Z` });
      };
      const base = (name) => {
        const edge = run.map((of) => `${middle(of)},${y(Math[name === "in" ? "max" : "min"](0, of[MEAN])).toFixed(1)}`);
        return drawn("path", { class: name, d: `M${middle(run[0])},${y(0).toFixed(1)}L${edge.join("L")}L${middle(run[run.length - 1])},${y(0).toFixed(1)}Z` });
      };
      parts.push(base("in"), base("out"), band(LEAST, MOST, "in"), band(LEAST, MOST, "out"));
      for (const [name, k] of SERIES) {
        // One alone is a dot.
        const d = run.length > 1 ? `M${line(k).join("L")}` : `M${line(k)}h1`;
        parts.push(drawn("path", { class: name, d }));
      }
    }
    svg.replaceChildren(...parts);
    svg.setAttribute("aria-label", summary(points));
    if (cursor !== null) point(Math.min(cursor, points.length - 1));
  };

  const summary = (points) => {
    const name = section.querySelector("h2").textContent;
    if (!points.length) return `${name}: nothing recorded`;
    const low = Math.min(...points.map((of) => of[LEAST]));
    const high = Math.max(...points.map((of) => of[MOST]));
    return `${name}: total power from ${number(low, 0)} to ${number(high, 0)} W, last ${number(points[points.length - 1][MEAN], 0)} W`;
  };

  const point = (k) => {
    const of = told && told.points[k];
    svg.querySelector(".cursor")?.remove();
    cursor = of ? k : null;
    if (!of) {
      put(output, told && !told.points.length ? "Nothing has been recorded yet." : "Point at it, or go through it by arrow keys, for values.");
      return;
    }
    const at = scale.x(of[0] + told.seconds / 2);
    svg.append(drawn("line", { class: "cursor", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }));
    put(output, `${clock(of[0])}: total ${number(of[MEAN], 0)} W (${number(of[LEAST], 0)} to ${number(of[MOST], 0)}), element 1 ${number(of[4], 0)} W, element 2 ${number(of[7], 0)} W`);
  };

  svg.addEventListener("pointermove", (event) => {
    if (!told?.points.length) return;
    const place = event.clientX - svg.getBoundingClientRect().left;
    const off = (of) => Math.abs(scale.x(of[0] + told.seconds / 2) - place);
    point(told.points.reduce((best, of, k) => (off(of) < off(told.points[best]) ? k : best), 0));
  });
  svg.addEventListener("pointerleave", () => point(null));
  svg.addEventListener("blur", () => point(null));
  svg.addEventListener("keydown", (event) => {
    const last = (told?.points.length || 0) - 1;
    const now = cursor ?? last + 1;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    point(Math.max(0, Math.min(last, to)));
  });
  new ResizeObserver(draw).observe(drawing);
  return {
    hours,
    show: (answer) => {
      told = answer;
      draw();
      if (cursor === null) point(null);
    },
  };
};

/** Points in a row, without those that are missing. */
const runs = (points, seconds) => {
  const found = [];
  let before = null;
  for (const of of points) {
    if (before === null || of[0] - before > 2.5 * seconds) found.push([]);
    found[found.length - 1].push(of);
    before = of[0];
  }
  return found;
};

const times = (from, to, x, width) => {
  const parts = [];
  const room = Math.max(2, Math.floor((width - LEFT) / 70));
  const minutes = [5, 10, 15, 30, 60, 120, 180, 240, 360, 720].find((of) => (to - from) / 60 / of <= room) || 1440;
  // By the clock here: hours of the day, whatever the zone.
  const start = new Date(from * 1000);
  start.setHours(0, 0, 0, 0);
  for (let k = 0; k < 5000; k++) {
    const time = new Date(start);
    time.setMinutes(k * minutes);
    const at = time / 1000;
    if (at > to) break;
    if (at < from) continue;
    parts.push(drawn("line", { class: "grid", x1: x(at), x2: x(at), y1: TOP, y2: HEIGHT - BOTTOM }));
    if (x(at) > LEFT + 14 && x(at) < width - 20) {
      parts.push(drawn("text", { x: x(at), y: HEIGHT - 8, "text-anchor": "middle" }, clock(at)));
    }
  }
  return parts;
};

"use strict";
// Both elements' phasors: V1 to the right, angles counterclockwise.

import { drawn } from "./text.js";

const SIZE = 260;
const CENTER = SIZE / 2;
const RADIUS = 96;
const HEAD = 11;

const at = (degrees, length) => {
  const angle = degrees * Math.PI / 180;
  return [CENTER + length * Math.cos(angle), CENTER - length * Math.sin(angle)];
};

const arrow = ([name, degrees, length]) => {
  const which = name[1] === "1" ? "one" : "two";
  const isCurrent = name[0] === "I";
  const reach = length * RADIUS;
  const [x, y] = at(degrees, Math.max(reach - HEAD, 0));
  const tip = at(degrees, reach);
  const side = (turn) => {
    const angle = (degrees + turn) * Math.PI / 180;
    return [tip[0] + HEAD * 1.25 * Math.cos(angle), tip[1] - HEAD * 1.25 * Math.sin(angle)];
  };
  return drawn("g", { class: which },
    drawn("line", { x1: CENTER, y1: CENTER, x2: x, y2: y, ...(isCurrent ? { class: "amps" } : {}) }),
    drawn("path", { d: `M${[tip, side(154), side(-154)].map((p) => p.map((v) => v.toFixed(1))).join("L")}Z` }));
};

/** Names beside the tips; where two would be on one another the later one goes further round. */
const names = (phasors) => {
  const places = [];
  return phasors.map(([name, degrees, length]) => {
    // Voltages outside of the circle, currents beside their arrows.
    const isCurrent = name[0] === "I";
    const tries = [0, 1, -1, 2, -2, 3, -3].map((turn) =>
      at(degrees + turn * (isCurrent ? 16 : 9), length * RADIUS + (turn && isCurrent ? -2 : 18)));
    const free = ([x, y]) => places.every(([a, b]) => Math.hypot(x - a, y - b) > 19);
    const place = tries.find(free) || tries[0];
    places.push(place);
    const text = drawn("text", { x: place[0].toFixed(1), y: place[1].toFixed(1) }, name);
    return drawn("g", { class: name[1] === "1" ? "one" : "two" }, text);
  });
};

/** The drawing of [name, degrees, length in radii] each; words: what it says. */
export const phasors = (found, words) => drawn("svg",
  { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img", "aria-label": `Phasors. ${words}` },
  drawn("circle", { cx: CENTER, cy: CENTER, r: RADIUS }),
  drawn("line", { class: "axis", x1: CENTER - RADIUS, y1: CENTER, x2: CENTER + RADIUS, y2: CENTER }),
  drawn("line", { class: "axis", x1: CENTER, y1: CENTER - RADIUS, x2: CENTER, y2: CENTER + RADIUS }),
  ...found.map(arrow),
  ...names(found));

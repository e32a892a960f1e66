"use strict";
// One meter on the page: what its last report says.

import { phasors } from "./phasors.js";
import { made, number, put, putKwh } from "./text.js";

const LAMPS = { kwh: "lamp-kwh", ten: "lamp-ten", reverse: "lamp-reverse" };
// Name, key, places; of both elements, and of the total where it has it.
const ROWS = [
  ["V", "volts", 2], ["A", "amps", 3], ["W", "watts", 1], ["var", "var", 1], ["VA", "va", 1],
  ["PF", "power_factor", 4],
];
// Below half a degree the firmware calls a current neither leading nor lagging.
const UNITY = 0.009;

const by = (id) => document.getElementById(id);

const powerFactor = (of) => {
  let word = "";
  if (of.power_factor < 0) word = " lead";
  else if (of.power_factor && Math.abs(of.var) > UNITY * of.va) word = " lag";
  return number(Math.abs(of.power_factor), 4) + word;
};

const cells = {};

const makeTables = () => {
  for (const [name, key] of ROWS) {
    const row = made("tr", {}, made("th", { scope: "row" }, made("abbr", { title: key.replace("_", " ") }, name)));
    cells[key] = [0, 1, 2].map(() => row.appendChild(made("td")));
    by("readings").tBodies[0].append(row);
  }
  for (const name of ["total", "element 1", "element 2"]) {
    by("registers").tBodies[0].append(
      made("tr", {}, made("th", { scope: "row" }, name), made("td"), made("td")));
  }
};

const showReadings = (state) => {
  const all = [...state.elements, state];
  for (const [, key, places] of ROWS) {
    all.forEach((of, k) => {
      const cell = cells[key][k];
      const value = of[key];
      const text = value === undefined ? "" : key === "power_factor" ? powerFactor(of) : number(value, places);
      put(cell, text);
      cell.classList.toggle("minus", key === "watts" && value < -0.05);
    });
  }
  put(by("watts"), `${number(state.watts, 1)} W`);
  put(by("direction"), Math.abs(state.watts) < 0.05 ? "nothing flows"
    : state.watts > 0 ? "delivered: from the line to the load" : "received: back to the line");
  const hertz = state.hertz ? `${number(state.hertz, 3)} Hz` : "no mains frequency";
  put(by("mains"), `${hertz}, ${state.service === "unknown" ? "service unknown" : state.service}`);
};

const showRegisters = (state) => {
  for (const place of document.querySelectorAll("[data-kwh]")) putKwh(place, state[place.dataset.kwh]);
  [state, ...state.elements].forEach((of, k) => {
    const row = by("registers").tBodies[0].rows[k];
    putKwh(row.cells[1], of.delivered_kwh);
    putKwh(row.cells[2], of.received_kwh);
  });
};

const showLamps = (leds) => {
  for (const [name, id] of Object.entries(LAMPS)) {
    const lamp = by(id);
    lamp.classList.toggle("lit", leds[name]);
    put(lamp.querySelector(".is"), leds[name] ? "lit" : "dark");
  }
};

let drawnLast = "";

const showPhasors = (found) => {
  const words = found.angles.join(", ");
  const said = JSON.stringify([found.phasors, words]);
  if (said === drawnLast) return;
  drawnLast = said;
  by("phasors").replaceChildren(phasors(found.phasors, words));
  put(by("angles"), found.angles.join("\n"));
};

let doctorLast = "";

const showDoctor = (found) => {
  const said = JSON.stringify([found.state.elements.map((of) => [of.verdict, of.advice]), found.checks]);
  if (said === doctorLast) return;
  doctorLast = said;
  by("doctor").replaceChildren(...found.state.elements.map((of, k) => {
    const line = made("li", {}, of.advice);
    line.className = of.verdict;
    if (found.checks[k].length) line.append(made("span", {}, `Check ${found.checks[k].join(", ")}.`));
    return line;
  }));
};

const showFaults = (found) => {
  const counted = Object.entries(found.faults).map(([name, count]) => `${name} ${count}`);
  const parts = [];
  if (found.active.length) parts.push(`Now: ${found.active.join(", ")}.`);
  if (counted.length) parts.push(`Counted: ${counted.join(", ")}.`);
  put(by("faults"), parts.join(" ") || "None.");
  by("faults").classList.toggle("active", found.active.length > 0);
};

const showDemand = ({ watts, least, most, peak }) => {
  const said = (value) => number(value ?? 0, 1);
  put(by("demand"), watts === null ? "No whole 15 minutes yet."
    : `${said(watts)} W in the last 15 minutes (${said(least)} to ${said(most)}), peak ${said(peak)} W.`);
};

/** Shows what /live or /api/devices has of a device. */
export const show = (found) => {
  if (!cells.volts) makeTables();
  const { device, state } = found;
  put(by("name"), device.name);
  put(by("about"), `${device.board}, firmware ${device.version}, id ${device.key}, Modbus unit ${device.unit}`);
  showReadings(state);
  showRegisters(state);
  showLamps(state.leds);
  showPhasors(found);
  showDoctor(found);
  showFaults(found);
  showDemand(found.demand);
  by("demo").hidden = !found.demo;
  if (found.demo) put(by("demo"), `A demonstration is on: the board's own lamps show a made-up house for ${found.demo} s more. All here is the meter's.`);
};

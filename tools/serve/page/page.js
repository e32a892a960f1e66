"use strict";
// The page: the live connection, which board is shown, and what of the past is asked for.

import { show } from "./meter.js";
import { plot } from "./plot.js";
import { made, number, put, putKwh } from "./text.js";

const by = (id) => document.getElementById(id);
const AGAIN_MS = 3000;
// Something comes each second where a board reports, and every 15 s where none does.
const SILENT_MS = 25000;
const PAST_MS = 60000;
const devices = new Map();
const links = new Map();
const plots = Array.from(document.querySelectorAll(".plot"), plot);
let shown = null;
let hasHistory = false;
let said = { link: "", boards: new Map() };

/** One line for a screen reader, of what somebody would look up for. */
const say = (text) => put(by("said"), text);

// ---- the connection to the gateway

let source = null;
let heardAt = 0;
let lostAt = null;
let again = 0;

const setLink = (state) => {
  document.body.dataset.link = state;
  if (state === "live") lostAt = null;
  else if (state === "lost") lostAt ??= new Date();
  const text = state === "live" ? "live" : state === "starting" ? "connecting"
    : `no connection to the gateway since ${lostAt.toLocaleTimeString()}; trying again`;
  put(by("link-text"), text);
  if (state !== said.link && said.link) say(state === "live" ? "The gateway is back." : "The connection to the gateway is lost.");
  if (state !== "starting") said.link = state;
};

const disconnect = () => {
  clearTimeout(again);
  source?.close();
  source = null;
};

const connect = () => {
  disconnect();
  heardAt = Date.now();
  source = new EventSource("/live");
  source.addEventListener("open", () => {
    setLink("live");
    refresh();
  });
  source.addEventListener("message", (event) => {
    heardAt = Date.now();
    take(JSON.parse(event.data));
  });
  source.addEventListener("boards", (event) => {
    heardAt = Date.now();
    showMissing(JSON.parse(event.data));
  });
  source.addEventListener("quiet", () => {
    heardAt = Date.now();
  });
  source.addEventListener("error", () => {
    setLink("lost");
    // A browser tries again by itself, but not after every answer, nor always soon.
    disconnect();
    again = setTimeout(connect, AGAIN_MS);
  });
};

setInterval(() => {
  if (source && Date.now() - heardAt > SILENT_MS) {
    setLink("lost");
    connect();
  }
}, 5000);

// ---- the boards

const take = (found) => {
  const { key, name } = found.device;
  devices.set(key, found);
  showLink(found);
  const before = said.boards.get(key);
  const { is_live: isLive, state: { leds: { reverse } } } = found;
  if (before && before.isLive !== isLive) say(`${name} ${isLive ? "is back" : "does not report any more"}.`);
  else if (before && before.reverse !== reverse) say(`${name}: the reverse lamp is ${reverse ? "lit" : "dark"}.`);
  said.boards.set(key, { isLive, reverse });
  if (shown === null || (key === asked() && key !== shown)) choose();
  else if (key === shown) showDevice(found);
};

const showDevice = (found) => {
  show(found);
  const main = by("meter");
  main.hidden = false;
  main.classList.toggle("away", !found.is_live);
  by("away").hidden = found.is_live;
  if (!found.is_live) {
    const time = new Date(found.state.time).toLocaleString();
    put(by("away"), `This board does not report; what is shown is of ${time}. ${found.why}`);
  }
};

/** A board's place in the list. */
const showLink = (found) => {
  const { key, name } = found.device;
  let link = links.get(key);
  if (!link) {
    link = made("a", { href: `#${key}` }, made("span", { class: "dot", "aria-hidden": "true" }), made("b"), made("span", { class: "watts" }));
    links.set(key, link);
    by("boards").firstElementChild.append(made("li", {}, link));
    by("boards").hidden = links.size < 2;
  }
  put(link.querySelector("b"), name);
  const { watts, leds } = found.state;
  put(link.querySelector(".watts"), found.is_live ? `${number(watts, 1)} W${leds.reverse ? ", reverse lit" : ""}` : "does not report");
  link.classList.toggle("away", !found.is_live);
  link.classList.toggle("reverse", found.is_live && leds.reverse);
};

/** The key in the address; its letters are such as are written there as they are. */
const asked = () => location.hash.slice(1);

const choose = () => {
  const key = devices.has(asked()) ? asked() : devices.keys().next().value;
  if (key === undefined || key === shown) return;
  shown = key;
  for (const [of, link] of links) {
    if (of === key) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  document.title = `${devices.get(key).device.name} – Threewire`;
  by("csv").elements.device.value = key;
  for (const of of plots) of.show({ points: [], seconds: 60, to: Date.now() / 1000 });
  showDevice(devices.get(key));
  showPast();
};

const showMissing = (boards) => {
  by("missing").replaceChildren(...boards.filter((of) => !of.device).map((of) => {
    const name = [of.name, of.port && `at ${of.port}`].filter(Boolean).join(" ") || "of the only port";
    return made("li", {}, `Board ${name}: ${of.state}${of.why ? `. ${of.why}` : ""}`);
  }));
};

// ---- the past

const ask = async (path) => {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
};

const refresh = async () => {
  try {
    const found = await ask("/api/devices");
    hasHistory = found.has_history;
    for (const of of document.querySelectorAll(".plot, .energy, #csv")) of.hidden = !hasHistory;
    showMissing(found.boards);
    found.devices.forEach(take);
    await showPast();
  } catch {
    // The live connection tells that the gateway is gone, and asks again when it is back.
  }
};

const showPast = async () => {
  const key = shown;
  if (key === null || !hasHistory) return;
  const device = encodeURIComponent(key);
  const [energy, ...power] = await Promise.allSettled([
    ask(`/api/energy?device=${device}`),
    ...plots.map((of) => ask(`/api/history?device=${device}&hours=${of.hours}`)),
  ]);
  if (key !== shown) return;
  power.forEach((of, k) => of.status === "fulfilled" && plots[k].show(of.value));
  if (energy.status === "fulfilled") showEnergy(energy.value);
};

const showEnergy = (days) => {
  const names = ["today so far", "yesterday"];
  const rows = [];
  const notes = [];
  days.forEach((day, k) => {
    const parts = [[names[k], day], ...(day.elements || []).map((of, n) => [`element ${n + 1}`, of])];
    for (const [name, of] of parts) {
      const row = made("tr", {}, made("th", { scope: "row" }, name), made("td"), made("td"));
      row.className = of === day ? "day" : "part";
      if (of.delivered_kwh === undefined) row.cells[1].textContent = row.cells[2].textContent = "–";
      else {
        putKwh(row.cells[1], of.delivered_kwh, false);
        putKwh(row.cells[2], of.received_kwh, false);
      }
      rows.push(row);
    }
    if (day.from && !day.is_whole) {
      const time = (of) => new Date(of).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
      notes.push(`${k ? "Yesterday's" : "Today's"} is from ${time(day.from)} to ${time(day.to)} only.`);
    }
  });
  by("energy").tBodies[0].replaceChildren(...rows);
  put(by("energy-note"), notes.join(" "));
  const form = by("csv").elements;
  form.from.value ||= days[0].day;
  form.to.value ||= days[0].day;
};

setInterval(() => source && showPast(), PAST_MS);
addEventListener("hashchange", choose);
// What nobody looks at costs neither side anything.
document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
setLink("starting");
connect();

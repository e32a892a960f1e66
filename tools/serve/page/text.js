"use strict";
// Numbers and elements: whatever is shown is text, never markup.

const SVG = "http://www.w3.org/2000/svg";
const MINUS = "\u2212";
const NARROW = "\u202f";

/** A number with so many places, its thousands apart. */
export const number = (value, places) => {
  const [whole, part] = Math.abs(value).toFixed(places).split(".");
  const zero = !Number(`${whole}.${part || 0}`);
  return (value < 0 && !zero ? MINUS : "") + grouped(whole) + (part ? `.${part}` : "");
};

const grouped = (whole) => whole.replace(/\B(?=(\d{3})+$)/g, NARROW);

/** Kilowatt-hours of a decimal text, in two parts: to the watt-hour, and what is beyond. */
export const kwh = (text) => {
  const [whole, part = ""] = text.split(".");
  return [`${grouped(whole)}.${part.slice(0, 3).padEnd(3, "0")}`, part.slice(3)];
};

/** Fills an element with kilowatt-hours, those beyond the watt-hour small. */
export const putKwh = (element, text, withAll = true) => {
  const [main, more] = kwh(text);
  element.textContent = main;
  if (withAll && more) element.append(made("span", { class: "more" }, NARROW + more.replace(/(\d{3})(?=\d)/g, `$1${NARROW}`)));
};

/** An element with attributes and what is in it, texts or elements. */
export const made = (name, attributes = {}, ...inside) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...inside);
  return element;
};

export const drawn = (name, attributes = {}, ...inside) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...inside);
  return element;
};

/** Sets a text only where it changes, so that nothing is drawn or read again. */
export const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

export const clock = (seconds) =>
  new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

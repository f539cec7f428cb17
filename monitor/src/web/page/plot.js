"use strict";

/* Everything that comes from the wire is put in as text, by textContent or createTextNode, never as markup. */

const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

/** An element with attributes and children; a child that is no element becomes text. */
function el(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) if (value !== undefined) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

function svg(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Changes text only where it is different, so that nothing is read out twice. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const number = (n) => (n ?? 0).toLocaleString("en");
const sum = (list) => list.reduce((a, b) => a + b, 0);
const clock = (time, seconds = true) =>
  new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined, hour12: false });

function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} days`;
}

/** A round number that is not smaller. */
function nice(n) {
  for (let power = 1; ; power *= 10) for (const part of [1, 2, 3, 4, 5, 6, 8]) if (part * power >= n) return part * power;
}

/** Steps added up to bars of half a minute; the last bar is now. */
const BARS = 60, EACH = 6;
function bars(steps) {
  const out = new Array(BARS).fill(0);
  steps.forEach((count, i) => {
    const bar = BARS - 1 - Math.floor((steps.length - 1 - i) / EACH);
    if (bar >= 0) out[bar] += count;
  });
  return out;
}

/** Draws series ({name, style, steps}) as stacked bars and gives them a text that says the same. */
function plot(box, caption, series, end, what) {
  const width = Math.max(200, box.clientWidth), height = Math.max(100, box.clientHeight);
  const left = 34, right = 4, upper = 12, lower = 18;
  const stacks = series.map((one) => bars(one.steps));
  const totals = Array.from({ length: BARS }, (_, i) => sum(stacks.map((stack) => stack[i])));
  const top = nice(Math.max(...totals, 1)), w = (width - left - right) / BARS, h = height - upper - lower;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  for (const part of top % 2 ? [0, 1] : [0, 0.5, 1]) {
    const y = upper + h * (1 - part);
    picture.append(svg("line", { x1: left, x2: width - right, y1: y, y2: y }));
    picture.append(svg("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, number(top * part)));
  }
  for (const minutes of [30, 20, 10, 0]) {
    const x = left + (width - left - right) * (1 - minutes / 30);
    const anchor = minutes === 30 ? "start" : minutes === 0 ? "end" : "middle";
    picture.append(svg("text", { x, y: height - 4, "text-anchor": anchor }, clock(end - minutes * 60000, false)));
  }
  for (let i = 0; i < BARS; i++) {
    let y = upper + h;
    series.forEach((one, s) => {
      const count = stacks[s][i];
      if (!count) return;
      const tall = Math.max(1.5, (count / top) * h);
      y -= tall;
      const bar = svg("rect", { class: one.style, x: (left + i * w + 0.5).toFixed(1), y: y.toFixed(1), width: Math.max(1, w - 1).toFixed(1), height: tall.toFixed(1) });
      bar.append(svg("title", {}, `${clock(end - (BARS - i) * 30000, false)}  ${one.name}: ${number(count)}`));
      picture.append(bar);
    });
  }
  const all = sum(totals), worst = totals.indexOf(Math.max(...totals));
  const text = all
    ? `${number(all)} ${what} in the last 30 minutes, most around ${clock(end - (BARS - worst - 0.5) * 30000, false)} (${number(totals[worst])} in half a minute)`
    : `No ${what} in the last 30 minutes`;
  picture.setAttribute("aria-label", `${text}. ${series.map((one) => `${one.name}: ${number(sum(one.steps))}`).join(", ")}`);
  box.replaceChildren(picture);
  say(caption, text);
}

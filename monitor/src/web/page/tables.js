
/** Replaces the rows of a table's body. The first cell heads its row. */
function fill(table, rows, empty) {
  const body = table.tBodies[0];
  const columns = table.tHead.rows[0].cells.length;
  if (!rows.length) rows = [[empty]];
  body.replaceChildren(...rows.map((cells) => el("tr", {}, ...cells.map((cell, i) =>
    el("td", { class: cell === "0" ? "zero" : undefined, colspan: cells.length < columns && i === 0 ? columns : undefined }, cell)))));
}

const OUTCOMES = { retried: ["asked again", "good"], given_up: ["visitor failed", "bad"], truncated: ["response cut off", "bad"], unknown: ["outcome unknown", "warn"] };
const EVENTS = {
  reset: (e) => [e.error_name, e.error_code === 13 ? "bad" : e.error_code === 0 || e.error_code === 8 ? "" : "warn"],
  case: (e) => OUTCOMES[e.outcome] || [e.outcome, ""],
  origin_error: (e) => [`origin ${e.status ?? "5xx"}`, "warn"],
  suspected: () => ["suspected", "warn"],
  gap: () => ["gap", ""], dark: () => ["not readable", ""], anomaly: () => ["anomaly", ""],
};
const PHASES = { before_response: "before any response", in_body: "within the response", after_end: "after the response", unknown: "at an unknown point" };
const ENDS = { fin: "its connection was closed", rst: "its connection was reset", alert: "a TLS alert ended its connection", goaway: "GOAWAY ended its connection" };
const ms = (n) => (n < 10 ? `${n.toFixed(1)} ms` : n < 10000 ? `${Math.round(n)} ms` : span(n));

/** What happened, in words. */
function story(e) {
  switch (e.event) {
    case "reset": {
      const what = e.frame === "GOAWAY" ? "GOAWAY" : `stream ${e.stream_id} reset`;
      return `${what} by the ${e.sender}, ${PHASES[e.phase] || e.phase}${e.age_ms === undefined ? "" : `, ${ms(e.age_ms)} after the request`}${e.verified === false ? " (not authenticated)" : ""}`;
    }
    case "case": {
      const why = e.kind === "downgrade" ? "refused HTTP/2" : e.ended_by ? ENDS[e.ended_by] || e.ended_by : "failed";
      const asked = e.attempts > 1 ? `, asked ${number(e.attempts)} times` : "";
      if (e.retry) return `${why}${asked}; asked again over ${e.retry.protocol} after ${ms(e.retry.delay_ms)}: ${e.retry.status ?? e.retry.result}${e.retry.result === "truncated" ? ", cut off" : ""}`;
      return `${why}${asked}${e.why ? ` (${e.why})` : e.basis === "absence" ? "; nothing came after it" : ""}`;
    }
    case "origin_error": return `the server that was asked itself answered ${e.status} over ${e.protocol}`;
    case "suspected": return "an http/1.1 hello right after an h2 connection that cannot be read";
    case "gap": return `${number(e.bytes)} bytes are missing (${e.why})`;
    case "dark": return `${e.sender ? `the ${e.sender}’s side` : "both sides"}: ${e.why}`;
    case "anomaly": return e.what;
    default: return "";
  }
}

function asked(e) {
  const r = e.request;
  if (!r) return e.sni ? `(${e.sni})` : "–";
  return `${r.method ?? "?"} ${r.authority ?? e.sni ?? ""}${r.path ?? ""}`;
}

/** Rows by the number of their event. */
const shown = new Map();

function eventRow(n, e) {
  const [text, tone] = (EVENTS[e.event] || (() => [e.event, ""]))(e);
  const id = `event-${n}`;
  const button = el("button", { type: "button", "aria-expanded": "false", "aria-controls": id }, clock(e.time));
  const cell = (...children) => el("td", { role: "cell" }, ...children);
  const row = el("tr", { class: "row", role: "row" }, cell(button), cell(el("span", { class: `tag ${tone}` }, text)), cell(el("div", { class: "clip" }, asked(e))), cell(story(e)), cell(`${e.client ?? ""}${e.edge ? ` (${e.edge})` : ""}`));
  const about = e.error_code !== undefined ? `0x${e.error_code.toString(16)}` : e.kind === "downgrade" ? "0xd" : undefined;
  const detail = el("tr", { class: "detail", role: "row", id, hidden: "" }, el("td", { role: "cell", colspan: 5 }));
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    detail.hidden = !open;
    const inner = detail.cells[0];
    if (open && !inner.firstChild) {
      inner.append(el("pre", {}, JSON.stringify(e, null, 2)));
      if (about) inner.append(el("p", {}, "What this code means, who sends it, what to do: ", el("code", {}, `h2watch explain ${about}`)));
    }
  });
  return [row, detail];
}

/** Events that are shown at first. */
const FEW = 12;
let whole = false;

/** Shows these events, the newest first; rows that are there stay, with what is open in them. */
function showEvents(all) {
  const list = whole ? all : all.slice(0, FEW);
  $("more").hidden = all.length <= FEW;
  say($("more"), whole ? `Show the latest ${FEW} only` : `Show ${all.length - FEW} more`);
  const body = $("events").tBodies[0];
  const wanted = new Set(list.map((one) => one.number));
  for (const [n, rows] of shown) {
    if (wanted.has(n)) continue;
    rows.forEach((row) => row.remove());
    shown.delete(n);
  }
  let before = null;
  for (const { number: n, event } of [...list].reverse()) {
    let rows = shown.get(n);
    if (!rows) {
      rows = eventRow(n, event);
      shown.set(n, rows);
      body.insertBefore(rows[1], before);
      body.insertBefore(rows[0], rows[1]);
    }
    before = rows[0];
  }
  $("events").hidden = !list.length;
  $("no-events").hidden = list.length > 0;
}

function showTop(table, list, other) {
  const rows = list.slice(0, 12).map((one) => [one.name, number(one.failed), number(one.downgrade + one.failure), number(one.origin_errors)]);
  if (other.downgrade + other.failure + other.origin_errors) rows.push(["(others)", number(other.failed), number(other.downgrade + other.failure), number(other.origin_errors)]);
  fill(table, rows, "Nothing in the last hour.");
}

const tag = (text, tone) => el("span", { class: `tag ${tone}` }, text);

function showHealth(s) {
  const items = [];
  const add = (tone, word, text) => items.push(el("li", {}, tag(word, tone), text));
  for (const one of s.interfaces) {
    const drops = one.dropped_kernel + one.dropped_interface;
    add(!one.up ? "bad" : drops ? "warn" : "good", one.up ? "up" : "down", `Interface ${one.name} (${one.kind}): ${number(one.received)} packets, ${number(drops)} dropped${one.error ? `; ${one.error}` : ""}${one.reopened ? `; opened again ${number(one.reopened)}×` : ""}`);
  }
  for (const one of s.key_logs) {
    const quiet = one.quiet_ms === undefined ? "has not grown yet" : `grew ${span(one.quiet_ms)} ago`;
    add(!one.readable ? "bad" : one.exposed ? "warn" : "good", one.readable ? "read" : "missing", `Key log ${one.path}: ${one.readable ? `${number(one.bytes)} bytes, ${quiet}` : one.error ?? "not there"}${one.exposed ? "; others may read it" : ""}`);
  }
  if (!s.key_logs.length) add("warn", "none", "No key log: TLS cannot be read");
  for (const one of s.event_targets) add(one.error ? "bad" : one.dropped ? "warn" : "good", one.error ? "failing" : "written", `Events to ${one.name}: ${number(one.written)} written, ${number(one.dropped)} dropped${one.error ? `; ${one.error}` : ""}`);
  const keys = s.counts?.keys;
  if (keys) add("", "keys", `${number(keys.secrets)} secrets for ${number(keys.randoms)} connections; ${number(keys.matched)} matched, ${number(keys.found_late)} found for connections joined late`);
  add("", "flows", `${number(s.flows.open)} open connections, ${(s.flows.memory_bytes / 1048576).toFixed(1)} MiB held, ${number(s.flows.evicted)} given up for room`);
  const delay = s.detection_delay;
  if (delay.count) add("", "delay", `Resets counted ${ms(delay.sum_ms / delay.count)} after their packet on average`);
  if (s.clock_steps) add("warn", "clock", `The system’s clock was stepped ${number(s.clock_steps)}×`);
  if (s.reload_error) add("bad", "reload", s.reload_error);
  if (s.web_config_error) add("bad", "web", s.web_config_error);
  $("health").replaceChildren(...items);
}

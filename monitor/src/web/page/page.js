
const EVERY = 1500;
let kind = "", paused = false, timer = 0, running = false, again = false, lastGood = 0;

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(8000), cache: "no-store" });
  if (!answer.ok) throw new Error(answer.status === 401 ? "a password is needed: load the page again" : `it answered ${answer.status}`);
  return answer.json();
}

const total = (list, which = () => true) => sum((list || []).filter(which).map((one) => one.count));

/** The tiles, from the same counts as /metrics. */
function showTotals(s, history) {
  const c = s.counts || {};
  const outcome = (...names) => total(c.cases, (one) => names.includes(one.outcome));
  const counts = {
    requests: total(c.requests), resets: total(c.resets), failed: outcome("given_up", "truncated") + total(s.failed_retries), retried: outcome("retried"),
    unknown: outcome("unknown"), origin_errors: total(c.origin_errors), dark: s.blindness.dark_connections, lost: s.blindness.lost_packets,
  };
  const last = (list) => sum(list.slice(-60));
  const both = (name) => last(history.downgrade[name]) + last(history.failure[name]);
  const recent = {
    failed: both("given_up") + both("truncated") + last(history.retry_failed), retried: both("retried"), unknown: both("unknown"), lost: last(history.lost),
    resets: sum(Object.values(history.resets).map(last)), origin_errors: last(history.origin_errors),
  };
  for (const node of document.querySelectorAll("[data-count]")) {
    const count = counts[node.dataset.count];
    say(node, number(count));
    node.closest("div").classList.toggle("some", count > 0);
  }
  for (const node of document.querySelectorAll("[data-recent]")) say(node, `${number(recent[node.dataset.recent])} in 5 min`);
  const steps = history.requests.slice(-13, -1);
  const rate = steps.length ? sum(steps) / (steps.length * history.step_ms / 1000) : 0;
  for (const node of document.querySelectorAll("[data-rate]")) say(node, `${rate < 10 ? rate.toFixed(1) : number(Math.round(rate))} / s`);
  say($("dark-share"), `of ${number(s.blindness.connections)} connections`);
}

function showPlots(s, history) {
  const c = s.counts || {}, end = Date.parse(s.time);
  const none = history.requests.map(() => 0);
  const codeOf = (one) => (one.error_name.startsWith("0x") ? "other" : one.error_name);
  const ever = (name) => total(c.resets, (one) => codeOf(one) === name);
  const names = new Set([...(c.resets || []).map(codeOf), ...Object.keys(history.resets)]);
  names.delete("HTTP_1_1_REQUIRED");
  const sorted = [...names].sort((a, b) => ever(b) - ever(a) || a.localeCompare(b));
  const codes = ["HTTP_1_1_REQUIRED", ...sorted].map((name, i) => ({ name, style: i < 7 ? `s${i}` : "s9", steps: history.resets[name] || none }));
  plot($("resets-plot"), $("resets-caption"), codes, end, "resets");
  legend($("resets-legend"), codes, ever);
  const d = history.downgrade;
  const outcomes = [
    { name: "Given up: visitor failed", key: "given_up", style: "s0" }, { name: "Truncated: response cut off", key: "truncated", style: "s2" },
    { name: "Retried: edge asked again", key: "retried", style: "ok" }, { name: "Unknown", key: "unknown", style: "s9" },
  ].map((one) => ({ ...one, steps: d[one.key] }));
  plot($("cases-plot"), $("cases-caption"), outcomes, end, "refused requests");
  legend($("cases-legend"), outcomes, (_, key) => total(c.cases, (one) => one.kind === "downgrade" && one.outcome === key));
}

function legend(table, series, ever) {
  fill(table, series.map((one) => {
    const name = el("span", {}, el("span", { class: `swatch ${one.style}`, "aria-hidden": "true" }), one.name);
    return [name, number(sum(one.steps)), number(ever(one.name, one.key))];
  }), "");
}

const REASONS = {
  no_key: "No key in any key log", joined_late: "Opened before the monitor, no key fits", joined_late_tls12: "Opened before the monitor (TLS 1.2)",
  handshake_lost: "Handshake seen in part only", suite: "Cipher suite not decrypted", version: "TLS version not decrypted", wrong_key: "Key does not open it",
  lost_sync: "Place in the TLS records lost", held_too_much: "Key came too late", not_tls: "Not TLS", h2_lost_sync: "HTTP/2 frame boundaries lost",
  not_http: "Not HTTP", http1: "HTTP/1 not parsed, or a tunnel", upgraded: "Upgraded to another protocol", too_little: "Too little seen",
};

function showRest(s, top) {
  const c = s.counts || {};
  showTop($("hosts"), top.hosts, top.other_hosts);
  showTop($("paths"), top.paths, top.other_paths);
  const of = (name) => total(c.cases, (one) => one.outcome === name);
  const own = (c.origin_errors || []).map((one) => [`Origin, status ${one.status}`, number(one.count)]);
  fill($("makers"), [...own, ["Edge, for requests left without a response (inferred)", number(of("given_up"))], ["Nobody: response cut off", number(of("truncated"))]], "");
  const dark = (c.connections?.dark || []).map((one) => [`Connections: ${REASONS[one.why] || one.why}`, number(one.count)]);
  const now = s.blindness.open_dark_connections.map((one) => [`Open now: ${REASONS[one.why] || one.why}`, number(one.count)]);
  const b = s.blindness, share = b.bytes ? ` of ${(b.bytes / 1048576).toFixed(1)} MiB` : "";
  fill($("blind"), [...now, ...dark, [`Unread payload (MiB)${share}`, (b.unread_bytes / 1048576).toFixed(1)], ["Holes in connections", number(b.gaps)], ["Packets lost", number(b.lost_packets)]], "");
}

function show(s, history, events, top) {
  const verdict = $("verdict");
  verdict.dataset.level = s.headline.level;
  say($("headline"), s.headline.text);
  const lines = s.headline.notes.map((note) => el("li", { "data-level": note.level }, note.text));
  const notes = $("notes");
  if (notes.textContent !== lines.map((line) => line.textContent).join("")) notes.replaceChildren(...lines);
  const failed = s.headline.level === "failed" || s.headline.level === "stopped" || s.headline.level === "blind";
  document.title = `${failed ? "● " : ""}${s.headline.text} – h2watch`;
  say($("where"), s.interfaces.map((one) => one.name).join(", "));
  say($("since"), `${span(Date.parse(s.time) - Date.parse(s.started))} ago`);
  say($("version"), `h2watch ${s.version}`);
  showTotals(s, history);
  showPlots(s, history);
  showEvents(events.events);
  showRest(s, top);
  showHealth(s);
}

function state() {
  const root = document.documentElement, age = Date.now() - lastGood;
  const gone = !$("lost").hidden;
  root.classList.toggle("live", !paused && !gone && lastGood > 0);
  root.classList.toggle("gone", gone);
  say($("state-text"), gone ? "not reached" : paused ? "paused" : lastGood ? (age < 4000 ? "live" : `${span(age)} old`) : "connecting");
}

async function poll() {
  again = running;
  if (running) return;
  running = true;
  clearTimeout(timer);
  try {
    const chosen = kind;
    const parts = ["status", "history", `events?limit=100${chosen && `&kind=${chosen}`}`, "top"].map((part) => ask(`/api/v1/${part}`));
    const [s, history, events, top] = await Promise.all(parts);
    lastGood = Date.now();
    $("lost").hidden = true;
    show(s, history, events, top);
    document.documentElement.dataset.snapshot = s.snapshot;
  } catch (error) {
    const since = lastGood ? ` What is shown is of ${clock(lastGood)}.` : "";
    const why = error instanceof TypeError || error.name === "TimeoutError" ? "no answer" : error.message;
    say($("lost"), `The monitor cannot be reached: ${why}.${since}`);
    $("lost").hidden = false;
  }
  running = false;
  state();
  if (again) poll();
  else if (!paused && !document.hidden) timer = setTimeout(poll, EVERY);
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  if (paused) clearTimeout(timer);
  else poll();
  state();
});
$("more").addEventListener("click", () => {
  whole = !whole;
  $("more").setAttribute("aria-pressed", String(whole));
  poll();
});
for (const button of document.querySelectorAll("#kinds button")) {
  button.addEventListener("click", () => {
    kind = button.dataset.kind;
    for (const other of document.querySelectorAll("#kinds button")) other.setAttribute("aria-pressed", String(other === button));
    poll();
  });
}
document.addEventListener("visibilitychange", () => { if (!document.hidden && !paused) poll(); });
setInterval(state, 1000);
poll();

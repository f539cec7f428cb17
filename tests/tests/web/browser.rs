//! The status page in a browser.

use serde_json::{Value, json};

use crate::client::get;
use crate::driver::Browser;
use crate::fake::{self, HOSTILE, Running};
use crate::metric;

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

/// A browser that shows the page of a run.
fn open(running: &Running) -> Option<Browser> {
    let browser = Browser::start();
    match &browser {
        None => println!("skipped: chromium and chromedriver are not installed"),
        Some(browser) => {
            browser.size(1_280, 900);
            browser.open(running.address);
            browser.until("return document.documentElement.dataset.snapshot !== undefined");
        }
    }
    browser
}

fn number(shown: &Value) -> f64 {
    shown.as_str().unwrap().replace(',', "").parse().unwrap_or_else(|_| panic!("no number: {shown}"))
}

#[test]
fn numbers_on_the_page_are_those_of_the_metrics() {
    let running = Running::start(fake::busy(), None);
    let Some(browser) = open(&running) else { return };
    let text = get(running.address, "/metrics").text();
    let shown =
        |name: &str| number(&browser.run(&format!("return document.querySelector('[data-count={name}]').textContent")));
    let cases = |outcome: &str| metric(&text, "h2watch_cases_total", &[&format!("outcome=\"{outcome}\"")]);
    assert_eq!(shown("requests"), metric(&text, "h2watch_requests_total", &[]));
    assert_eq!(shown("resets"), metric(&text, "h2watch_resets_total", &[]));
    assert_eq!(shown("failed"), cases("given_up") + cases("truncated"));
    assert_eq!(shown("retried"), cases("retried"));
    assert_eq!(shown("unknown"), cases("unknown"));
    assert_eq!(shown("origin_errors"), metric(&text, "h2watch_origin_errors_total", &[]));
    assert_eq!(shown("dark"), metric(&text, "h2watch_dark_connections_total", &[]));
    for (table, metrics) in [("resets", "error"), ("cases", "outcome")] {
        let script = format!(
            "return [...document.querySelectorAll('#{table}-legend tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
        );
        let rows = browser.run(&script);
        for row in rows.as_array().unwrap() {
            let name = row[0].as_str().unwrap();
            let label = match metrics {
                "error" => name.to_owned(),
                _ => name.split(':').next().unwrap().to_lowercase().replace(' ', "_"),
            };
            let family = format!("h2watch_{table}_total");
            let kind = if table == "cases" { "kind=\"downgrade\"" } else { "" };
            let metric = metric(&text, &family, &[&format!("{metrics}=\"{label}\""), kind]);
            assert_eq!(number(&row[2]), metric, "{name}");
        }
        assert!(rows.as_array().unwrap().len() >= 4);
    }
    assert!(
        browser
            .run("return document.getElementById('headline').textContent")
            .as_str()
            .unwrap()
            .contains("failed in the last 5 minutes")
    );
}

#[test]
fn what_comes_from_the_wire_is_text() {
    let running = Running::start(fake::busy(), None);
    let Some(browser) = open(&running) else { return };
    let seen = browser.run("return document.body.textContent");
    assert!(seen.as_str().unwrap().contains(HOSTILE));
    assert_eq!(browser.run("return document.querySelectorAll('img, iframe, object, body script + script').length"), 0);
    assert_ne!(browser.run("return document.title"), "broken");
    // Opened, an event shows all of itself, also as text.
    browser.run("[...document.querySelectorAll('#events .row')].find(row => row.textContent.includes('onerror')).querySelector('button').click()");
    let open = browser.run("return document.querySelector('.detail:not([hidden]) pre').textContent");
    let event: Value = serde_json::from_str(open.as_str().unwrap()).unwrap();
    assert_eq!(event["request"]["path"], HOSTILE);
    assert_eq!(browser.run("return document.querySelectorAll('img').length"), 0);
    let help = browser.run("return document.querySelector('.detail:not([hidden]) code').textContent");
    assert_eq!(help, "h2watch explain 0xd");
}

#[test]
fn the_page_fits_and_can_be_read_at_every_width_in_light_and_dark() {
    let running = Running::start(fake::busy(), None);
    let Some(browser) = open(&running) else { return };
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.scheme(scheme);
        for width in [320, 360, 768, 1_280, 1_920] {
            browser.size(width, 900);
            browser.run("document.querySelector('#events button').click()");
            let beyond = browser.run(BEYOND);
            assert_eq!(beyond, json!([]), "{scheme} {width}: too wide");
            browser.picture(&format!("{scheme}-{width}"));
            browser.run("document.querySelector('#events button').click()");
        }
        grounds.push(browser.run("return getComputedStyle(document.body).backgroundColor"));
        let faint = browser.run(CONTRAST);
        assert_eq!(faint, json!([]), "{scheme}: contrast below 4.5");
    }
    assert_ne!(grounds[0], grounds[1], "dark is another ground");
}

/// What makes the page wider than the window.
const BEYOND: &str = r"
if (document.scrollingElement.scrollWidth <= innerWidth) return [];
return [...document.querySelectorAll('body *')].filter(node => node.getBoundingClientRect().right > innerWidth + 0.5)
  .map(node => `${node.tagName}#${node.id} ${node.className.baseVal ?? node.className} ${Math.round(node.getBoundingClientRect().right)}`).slice(0, 20);";

/// Texts that stand out less from their ground than 4.5 to 1.
const CONTRAST: &str = r"
const parts = color => color.match(/[\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const ground = node => { for (; node; node = node.parentElement) { const c = parts(getComputedStyle(node).backgroundColor); if (c[3] !== 0) return c; } return [255, 255, 255]; };
const faint = [];
for (const node of document.querySelectorAll('body *')) {
  const own = [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
  if (!own || !node.checkVisibility() || node.closest('script, style, noscript')) continue;
  const style = getComputedStyle(node);
  const color = node.closest('svg') ? style.fill : style.color;
  const [a, b] = [light(parts(color)), light(ground(node.closest('svg') ? node.closest('.plot') : node))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5 && node.tagName !== 'title') faint.push(`${node.tagName}.${node.className.baseVal ?? node.className} ${node.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
}
return [...new Set(faint)].slice(0, 20);";

#[test]
fn every_control_is_reached_and_worked_by_keyboard() {
    let running = Running::start(fake::busy(), None);
    let Some(browser) = open(&running) else { return };
    // Nothing new comes, so that what is counted stays.
    browser.run("document.getElementById('pause').click(); document.activeElement.blur(); window.getSelection().removeAllRanges()");
    let count = browser.run("return document.querySelectorAll('a, button').length").as_u64().unwrap();
    assert!(count > 20);
    browser.run("window.reached = new Set()");
    browser.press(TAB);
    assert_eq!(
        browser.run("return document.activeElement.className"),
        "skip",
        "first of all, past the head of the page"
    );
    for _ in 0..count {
        let visible = browser.run(
            "reached.add(document.activeElement); const s = getComputedStyle(document.activeElement); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2",
        );
        assert_eq!(visible, true, "the focus is seen");
        browser.press(TAB);
    }
    let missed = browser.run(
        "return [...document.querySelectorAll('a, button')].filter(it => !reached.has(it)).map(it => it.outerText)",
    );
    assert_eq!(missed, json!([]));
    browser.run("document.querySelector('#events button').focus()");
    browser.press(ENTER);
    assert_eq!(browser.run("return document.querySelector('#events button').getAttribute('aria-expanded')"), "true");
    assert_eq!(browser.run("return document.querySelectorAll('.detail:not([hidden])').length"), 1);
    // Names for those who do not see.
    let nameless = browser.run(
        "return [...document.querySelectorAll('svg[role=img]')].filter(it => !it.getAttribute('aria-label')).length + [...document.querySelectorAll('section')].filter(it => !document.getElementById(it.getAttribute('aria-labelledby'))).length",
    );
    assert_eq!(nameless, 0);
    assert_eq!(browser.run("return document.getElementById('headline').getAttribute('aria-live')"), "polite");
}

#[test]
fn kinds_of_events_are_chosen_and_what_is_open_stays_open() {
    let running = Running::start(fake::busy(), None);
    let Some(browser) = open(&running) else { return };
    browser.run("document.querySelector('#events button').click()");
    let before = browser.run("return document.documentElement.dataset.snapshot");
    browser.until(&format!("return document.documentElement.dataset.snapshot !== {before}"));
    assert_eq!(browser.run("return document.querySelectorAll('.detail:not([hidden])').length"), 1);
    browser.run("document.querySelector('[data-kind=origin_error]').click()");
    browser.until("return document.querySelectorAll('#events .row').length === 1");
    assert!(
        browser
            .run("return document.querySelector('#events .row').textContent")
            .as_str()
            .unwrap()
            .contains("origin 503")
    );
    browser.run("document.querySelector('[data-kind=\"\"]').click()");
    browser.until("return document.querySelectorAll('#events .row').length > 10");
}

#[test]
fn a_monitor_that_is_gone_is_said_to_be_gone() {
    let mut running = Running::start(fake::quiet(), None);
    let Some(browser) = open(&running) else { return };
    assert_eq!(browser.run("return document.getElementById('verdict').dataset.level"), "good");
    browser.picture("quiet");
    browser.until("return document.getElementById('state-text').textContent === 'live'");
    // The run hangs: the numbers grow old.
    running.end_run();
    browser.until("return document.getElementById('verdict').dataset.level === 'stopped'");
    // The port is closed.
    running.close();
    browser.until("return !document.getElementById('lost').hidden");
    assert_eq!(browser.run("return document.getElementById('state-text').textContent"), "not reached");
    browser.picture("gone");
}

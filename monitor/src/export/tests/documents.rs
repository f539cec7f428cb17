//! What is written about the metrics, and made for them, agrees with what is exported.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::full;
use crate::export::{Kind, families};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every family: its type and its labels.
fn exported() -> BTreeMap<String, (&'static str, BTreeSet<String>)> {
    let of = |family: &crate::export::Family| {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        };
        let labels = family.series.iter().flat_map(|series| series.labels.iter().map(|(label, _)| (*label).to_owned()));
        (family.name.to_owned(), (kind, labels.collect()))
    };
    families(&full(), false).iter().map(of).collect()
}

#[test]
fn every_metric_is_documented_and_nothing_else() {
    let text = read("docs/metrics.md");
    let mut documented = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, meaning, ..] = cells[..] else { continue };
        let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) else { continue };
        let labels: BTreeSet<String> = labels
            .split(", ")
            .filter(|label| !label.is_empty())
            .map(|label| label.trim_matches('`').to_owned())
            .collect();
        assert!(meaning.len() > 3, "{name}");
        assert!(documented.insert(name.to_owned(), (kind, labels)).is_none(), "{name} twice");
    }
    let exported = exported();
    for (name, found) in &exported {
        assert_eq!(documented.get(name), Some(found), "{name} in docs/metrics.md");
    }
    for name in documented.keys() {
        assert!(exported.contains_key(name), "{name} is documented and not exported");
    }
}

const PREFIXES: [&str; 2] = ["h2watch_", "process_"];

/// The metrics of an expression, each with the labels that it is chosen by.
fn used(expression: &str) -> Vec<(String, Vec<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let next = |text: &str| PREFIXES.into_iter().filter_map(|start| text.find(start)).min();
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = next(rest) {
        let tail = &rest[start..];
        let (name, after) = tail.split_at(tail.find(|c| !is_name(c)).unwrap_or(tail.len()));
        let matchers = after.strip_prefix('{').and_then(|inner| inner.split_once('}')).map(|(inner, _)| inner);
        let label = |matcher: &str| matcher.trim().chars().take_while(|&c| is_name(c)).collect();
        let labels = matchers.into_iter().flat_map(|matchers| matchers.split("\",").map(label)).collect();
        found.push((name.to_owned(), labels));
        rest = after;
    }
    found
}

/// Fails on a metric or label that is not exported. `job`, `instance` and `up` are Prometheus' own.
fn known(place: &str, expression: &str) {
    let exported = exported();
    for (name, labels) in used(expression) {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|ending| {
            name.strip_suffix(ending).filter(|base| exported.get(*base).is_some_and(|(kind, _)| *kind == "histogram"))
        });
        let (_, all) =
            exported.get(family.unwrap_or(&name)).unwrap_or_else(|| panic!("{place}: {name} is not exported"));
        for label in labels {
            let own = ["job", "instance"].contains(&label.as_str());
            assert!(own || all.contains(&label), "{place}: {name} has no label {label}");
        }
    }
    // Labels to group by exist in some family.
    for group in expression.split("by (").skip(1) {
        for label in group.split(')').next().unwrap_or_default().split(',').map(str::trim) {
            let own = ["job", "instance", "le"].contains(&label);
            let somewhere = used(expression)
                .iter()
                .any(|(name, _)| exported.get(name).is_some_and(|(_, labels)| labels.contains(label)));
            assert!(own || somewhere, "{place}: nothing has the label {label}");
        }
    }
}

/// Runs promtool; false where there is none.
fn promtool(arguments: &[&str]) -> bool {
    match Command::new("promtool").args(arguments).current_dir(top().join("dashboards")).output() {
        Ok(answer) => {
            let (out, error) = (String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr));
            assert!(answer.status.success(), "promtool {arguments:?}: {out}{error}");
            true
        }
        Err(_) => {
            println!("skipped: no promtool");
            false
        }
    }
}

/// Writes expressions as recording rules, which promtool parses.
fn parsed_by_promtool(expressions: &[String]) {
    let folder = tempfile::tempdir().unwrap();
    let mut rules = "groups:\n  - name: expressions\n    rules:\n".to_owned();
    for (number, expression) in expressions.iter().enumerate() {
        let expression = serde_json::to_string(expression).unwrap();
        rules += &format!("      - record: e:{number}\n        expr: {expression}\n");
    }
    let path = folder.path().join("rules.yml");
    fs::write(&path, rules).unwrap();
    promtool(&["check", "rules", &path.to_string_lossy()]);
}

/// Every string under a key, however deep.
fn strings<'v>(value: &'v serde_json::Value, key: &str, out: &mut Vec<&'v str>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str().filter(|_| name == key) {
                    Some(text) => out.push(text),
                    None => strings(field, key, out),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| strings(item, key, out)),
        _ => {}
    }
}

#[test]
fn the_dashboard_shows_what_is_exported() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("dashboards/h2watch.json")).unwrap();
    let mut found = Vec::new();
    strings(&dashboard, "expr", &mut found);
    assert!(found.len() > 40);
    let mut expressions = Vec::new();
    for expression in found {
        known("dashboard", expression);
        let spans = ["$__rate_interval", "$__interval", "$__range"];
        let plain = spans.iter().fold(expression.to_owned(), |text, span| text.replace(span, "5m"));
        expressions.push(plain.replace("$job", ".*").replace("$instance", ".*"));
    }
    assert!(expressions.iter().all(|expression| !expression.contains('$')));
    parsed_by_promtool(&expressions);
    // Every panel takes the data source that is chosen, has a place of its own, and an id of its own.
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        let place = &panel["gridPos"];
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| place[side].as_u64().unwrap());
        assert!(x + w <= 24, "{panel}");
        for cell in (y..y + h).flat_map(|y| (x..x + w).map(move |x| (x, y))) {
            assert!(places.insert(cell), "{} lies on another panel", panel["title"]);
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}");
        }
    }
}

#[test]
fn the_queries_of_the_documentation_can_be_asked() {
    let text = read("docs/metrics.md");
    let blocks = text.split("```promql\n").skip(1).filter_map(|block| block.split("```").next());
    let queries: Vec<String> = blocks.flat_map(str::lines).map(str::to_owned).collect();
    assert!(queries.len() > 10);
    queries.iter().for_each(|query| known("docs/metrics.md", query));
    parsed_by_promtool(&queries);
}

#[test]
fn alerts_use_what_is_exported_and_have_runbooks_and_tests() {
    let rules = read("dashboards/h2watch.rules.yml");
    let tests = read("dashboards/h2watch.rules.test.yml");
    let mut names = BTreeSet::new();
    for alert in rules.split("- alert: ").skip(1) {
        let (name, body) = alert.split_once('\n').unwrap();
        assert!(names.insert(name.to_owned()), "{name} twice");
        let expression = body.split("expr:").nth(1).and_then(|rest| rest.split("labels:").next()).unwrap();
        known(name, &expression.split_whitespace().collect::<Vec<_>>().join(" "));
        assert!(body.contains(&format!("runbook_url: \"https://runbooks.example/h2watch/{name}.md\"")), "{name}");
        // Tested to be quiet and to be loud, but for those whose quiet is the loudness of another.
        assert!(tests.contains(&format!("alertname: {name}\n        exp_alerts:\n")), "{name} is not tested");
        let book = read(&format!("dashboards/runbooks/{name}.md"));
        for part in ["## What it means", "## What to look at", "## What to do"] {
            assert!(book.contains(part), "{name}: {part}");
        }
    }
    let books = fs::read_dir(top().join("dashboards/runbooks")).unwrap().map(|entry| entry.unwrap().file_name());
    let books: BTreeSet<String> =
        books.filter_map(|name| name.to_string_lossy().strip_suffix(".md").map(str::to_owned)).collect();
    assert_eq!(books, names, "a page for each alert");
    for name in books {
        let text = read(&format!("dashboards/runbooks/{name}.md"));
        let spans =
            text.split('`').skip(1).step_by(2).filter(|span| span.contains("h2watch_") || span.contains("process_"));
        let spans: Vec<String> = spans.map(str::to_owned).collect();
        spans.iter().for_each(|span| known(&name, span));
        parsed_by_promtool(&spans);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(top().join("dashboards/runbooks").join(link).exists(), "{name}: {link}");
        }
    }
    if promtool(&["check", "rules", "h2watch.rules.yml"]) {
        promtool(&["test", "rules", "h2watch.rules.test.yml"]);
    }
}

//! What the checks found.

use std::fmt::Write as _;

use serde::Serialize;

use crate::sink::printable;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, with something amiss.
    Warn,
    /// A run would not work, or would not see.
    Fail,
    /// It could not be found out.
    Unknown,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// How it went.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do about it; absent when all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// All checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

impl Report {
    pub(super) fn ok(&mut self, name: &'static str, found: impl Into<String>) {
        self.checks.push(Check { name, status: Status::Ok, found: found.into(), remedy: None });
    }

    /// A check that was made before turns out to be fine.
    pub(super) fn now_ok(&mut self, place: usize, found: String) {
        if let Some(check) = self.checks.get_mut(place) {
            *check = Check { name: check.name, status: Status::Ok, found, remedy: None };
        }
    }

    fn not_ok(&mut self, name: &'static str, status: Status, found: impl Into<String>, remedy: impl Into<String>) {
        self.checks.push(Check { name, status, found: found.into(), remedy: Some(remedy.into()) });
    }

    pub(super) fn warn(&mut self, name: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.not_ok(name, Status::Warn, found, remedy);
    }

    pub(super) fn fail(&mut self, name: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.not_ok(name, Status::Fail, found, remedy);
    }

    pub(super) fn unknown(&mut self, name: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.not_ok(name, Status::Unknown, found, remedy);
    }

    /// The worst of all checks; one that could not be made counts as a warning.
    #[must_use]
    pub fn result(&self) -> Status {
        let any = |status| self.checks.iter().any(|check| check.status == status);
        match () {
            () if any(Status::Fail) => Status::Fail,
            () if any(Status::Warn) || any(Status::Unknown) => Status::Warn,
            () => Status::Ok,
        }
    }

    /// One line a check.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        for check in &self.checks {
            let status = match check.status {
                Status::Ok => "ok",
                Status::Warn => "warn",
                Status::Fail => "FAIL",
                Status::Unknown => "unknown",
            };
            // Writing to a string cannot fail.
            let _ = write!(out, "{status:7}  {:width$}  {}", check.name, printable(&check.found));
            let _ = match &check.remedy {
                Some(remedy) => writeln!(out, ": {}", printable(remedy)),
                None => writeln!(out),
            };
        }
        out
    }

    /// One JSON document.
    #[must_use]
    pub fn json(&self) -> String {
        let document = serde_json::json!({
            "schema": "h2watch-doctor/1",
            "result": self.result(),
            "checks": self.checks,
        });
        format!("{document:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, Status};

    #[test]
    fn the_worst_decides_and_every_check_is_one_line() {
        let mut report = Report::default();
        assert_eq!(report.result(), Status::Ok);
        report.ok("clock", "synchronised");
        assert_eq!(report.result(), Status::Ok);
        report.unknown("traffic", "not looked at", "look");
        assert_eq!(report.result(), Status::Warn);
        report.fail("key log", "gone\nfor \u{1b}[31mgood", "bring it back");
        assert_eq!(report.result(), Status::Fail);
        let text = report.text();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("FAIL     key log  gone\\nfor \\u{1b}[31mgood: bring it back"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["result"], "fail");
        assert_eq!(json["checks"][0]["remedy"], serde_json::Value::Null);
        assert_eq!(json["checks"][2]["remedy"], "bring it back");
    }
}

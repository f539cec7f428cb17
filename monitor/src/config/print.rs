//! The configuration as TOML that says where each value comes from; and the reference in docs/config.md.

use std::fmt::Write as _;

use super::load::{DEFAULT_FILE, Loaded};
use super::settings::{Kind, OnReload, SETTINGS, Setting};

/// Every setting with its value and where that comes from. It reads back as the same configuration.
#[must_use]
pub fn print(loaded: &Loaded) -> String {
    let mut out = String::from("# Every setting of h2watch, its value, and where that comes from.\n");
    // Writing to a string cannot fail.
    let _ = match &loaded.file {
        Some(path) => writeln!(out, "# File: {}", one_line(&path.to_string_lossy())),
        None => writeln!(out, "# File: none ({DEFAULT_FILE} is not there)"),
    };
    for note in &loaded.notes {
        let _ = writeln!(out, "# Warning: {}", one_line(note));
    }
    let mut group = None;
    for (setting, origin) in SETTINGS.iter().zip(&loaded.origins) {
        if group != Some(setting.group) {
            group = Some(setting.group);
            let _ = write!(out, "\n## {}\n", setting.group.title());
        }
        let origin = one_line(&origin.to_string());
        let _ = match (setting.show)(&loaded.values) {
            Some(value) => write!(out, "\n# {}\n{} = {value} # {origin}\n", setting.help, setting.name),
            None => write!(out, "\n# {}\n# {} is not set: {} # {origin}\n", setting.help, setting.name, setting.unset),
        };
    }
    out
}

fn one_line(text: &str) -> String {
    crate::sink::printable(text).replace(['\n', '\r'], " ")
}

/// The reference of all settings in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = String::new();
    let mut group = None;
    for setting in SETTINGS {
        if group != Some(setting.group) {
            group = Some(setting.group);
            let _ = write!(out, "\n### {}\n", setting.group.title());
        }
        let _ = write!(out, "\n#### `{}`\n\n{}.", setting.name, setting.help);
        if !setting.more.is_empty() {
            let _ = write!(out, " {}", setting.more);
        }
        let _ = write!(out, "\n\n{}\n", facts(setting));
    }
    out
}

/// Flag, variable, type, default and what SIGHUP does, as one line.
fn facts(setting: &Setting) -> String {
    let mut flag = format!("`--{}`", setting.name);
    if let Some(short) = setting.short {
        let _ = write!(flag, " `-{short}`");
    }
    let default = match setting.default() {
        Some(value) => format!("`{value}`"),
        None => format!("not set ({})", setting.unset),
    };
    let on_reload = match setting.on_reload {
        OnReload::Applied => "applied by SIGHUP",
        OnReload::NeedsRestart => "needs a restart",
    };
    format!("{flag}, `{}`; {}; default {default}; {on_reload}", setting.variable(), kind(setting))
}

fn kind(setting: &Setting) -> String {
    let words;
    let kind = match setting.kind {
        Kind::Text => "text",
        Kind::Path => "path",
        Kind::Bool => "true or false",
        Kind::Number => "number",
        Kind::Size => "size",
        Kind::Span => "span",
        Kind::Address => "address and port",
        Kind::Word(all) => {
            words = format!("one of `{}`", all.join("`, `"));
            &words
        }
    };
    if setting.list { format!("list: {kind}") } else { kind.to_owned() }
}

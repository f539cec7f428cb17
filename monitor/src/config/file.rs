//! The configuration file: TOML, one key a setting.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::near::nearest;
use super::problem::{Origin, Problem};
use super::settings::{Kind, SETTINGS, Setting};

/// The largest file that is read.
const LARGEST: u64 = 1 << 20;

/// What a file sets: the place in the table, the line, the values.
pub(super) type Entry = (usize, usize, Vec<OsString>);

/// Reads the file.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("larger than 1 MiB: this is no configuration"));
    }
    Ok(bytes)
}

/// What the bytes of a file set, and everything that is wrong with them.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> (Vec<Entry>, Vec<Problem>) {
    let problem = |line: usize, key: &str, text: String| Problem {
        origin: Origin::File { path: path.to_owned(), line },
        key: crate::sink::printable(&key.chars().take(80).collect::<String>()).into(),
        text,
    };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = line_of(bytes, error.valid_up_to());
            return (Vec::new(), vec![problem(line, "", "not UTF-8: save the file as UTF-8".to_owned())]);
        }
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    // What follows the first is most often made by it.
    let mut problems: Vec<Problem> = errors
        .iter()
        .min_by_key(|error| error.span().map_or(0, |span| span.start))
        .into_iter()
        .map(|error| {
            let line = line_of(bytes, error.span().map_or(0, |span| span.start));
            let what = crate::sink::printable(error.message()).replace('\n', ", ");
            problem(line, "", format!("not TOML: {what}; write `key = value`, text in quotes"))
        })
        .collect();
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        let name = key.get_ref().as_ref();
        let line = line_of(bytes, key.span().start);
        let Some((place, setting)) = SETTINGS.iter().enumerate().find(|(_, setting)| setting.name == name) else {
            problems.push(problem(line, name, unknown(name, value.get_ref())));
            continue;
        };
        match values(setting, value.get_ref()) {
            Ok(values) => entries.push((place, line, values)),
            // After a syntax error a value may be what the parser made up.
            Err(_) if !errors.is_empty() => {}
            Err(text) => problems.push(problem(line, name, text)),
        }
    }
    problems.sort_by_key(|problem| match problem.origin {
        Origin::File { line, .. } => line,
        _ => 0,
    });
    (entries, problems)
}

fn unknown(name: &str, value: &DeValue<'_>) -> String {
    match nearest(name, SETTINGS.iter().map(|setting| setting.name)) {
        Some(near) => format!("no such setting: did you mean `{near}`?"),
        None if value.is_table() => {
            "no such setting: settings stand at the top of the file, not under a [table]".to_owned()
        }
        None => "no such setting: `h2watch config print` lists them all".to_owned(),
    }
}

/// The values as text, if they have the setting's type.
fn values(setting: &Setting, value: &DeValue<'_>) -> Result<Vec<OsString>, String> {
    match value.as_array() {
        Some(array) if setting.list => array.iter().map(|one| scalar(setting, one.get_ref())).collect(),
        Some(_) => Err(format!("a list, but it takes one value: write {}", example(setting))),
        None => scalar(setting, value).map(|one| vec![one]),
    }
}

fn scalar(setting: &Setting, value: &DeValue<'_>) -> Result<OsString, String> {
    let text = match (setting.kind, value) {
        (Kind::Bool, DeValue::Boolean(yes)) => Some(yes.to_string()),
        (Kind::Bool | Kind::Number, _) if value.as_integer().is_none() || setting.kind == Kind::Bool => None,
        (Kind::Number | Kind::Size, DeValue::Integer(number)) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        (_, DeValue::String(text)) => Some(text.clone().into_owned()),
        _ => None,
    };
    let found = match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    text.map(OsString::from).ok_or_else(|| format!("{found} is not what it takes: write {}", example(setting)))
}

/// What a line of the file may look like.
fn example(setting: &Setting) -> String {
    let value = match setting.kind {
        Kind::Bool => "true",
        Kind::Number => "4",
        Kind::Size => "\"64MiB\"",
        Kind::Span => "\"2s\"",
        Kind::Address => "\"127.0.0.1:9872\"",
        Kind::Path => "\"/var/log/h2watch.jsonl\"",
        Kind::Word(words) => return format!("{} = \"{}\"", setting.name, words.first().copied().unwrap_or_default()),
        Kind::Text => "\"eth0\"",
    };
    let value = match setting.name {
        "keylog" => "\"/run/keys.log\"",
        "web-config" => "\"/etc/h2watch/web.yml\"",
        "filter" => "\"tcp port 443\"",
        "user" => "\"h2watch\"",
        _ => value,
    };
    if setting.list { format!("{} = [{value}]", setting.name) } else { format!("{} = {value}", setting.name) }
}

/// The line of a place in the file, from 1.
fn line_of(bytes: &[u8], place: usize) -> usize {
    bytes.iter().take(place).filter(|&&byte| byte == b'\n').count() + 1
}

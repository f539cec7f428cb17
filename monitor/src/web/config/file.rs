//! Reads the file. Whatever it holds that cannot be done is an error that names file and line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::{Settings, tls};
use crate::web::auth::{Users, cost};

/// The format is small; what is larger is another file.
const LONGEST: u64 = 1 << 20;

/// A check at this cost takes about 20 seconds: nobody could log in.
const DEAREST: u32 = 18;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tls_server_config: Option<Tls>,
    http_server_config: Option<Http>,
    basic_auth_users: Option<BTreeMap<String, Spanned<String>>>,
}

/// `tls_server_config`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) cert_file: Option<Spanned<String>>,
    pub(super) key_file: Option<Spanned<String>>,
    pub(super) client_auth_type: Option<Spanned<String>>,
    pub(super) client_ca_file: Option<Spanned<String>>,
    pub(super) client_allowed_sans: Option<Spanned<Vec<String>>>,
    pub(super) min_version: Option<Spanned<String>>,
    pub(super) max_version: Option<Spanned<String>>,
    pub(super) cipher_suites: Option<Vec<Spanned<String>>>,
    pub(super) curve_preferences: Option<Vec<Spanned<String>>>,
    pub(super) prefer_server_cipher_suites: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    http2: Option<bool>,
    headers: Option<BTreeMap<String, Spanned<String>>>,
}

/// A file that is being read: says where an error is, and where the files are that it names.
#[derive(Debug)]
pub(super) struct Source<'p> {
    path: &'p Path,
    /// Every file that was named.
    pub(super) files: Vec<PathBuf>,
}

impl Source<'_> {
    /// An error at a place in the file.
    pub(super) fn at(&self, place: Location, what: &str) -> String {
        match place.line() {
            0 => self.whole(what),
            line => format!("{}:{line}: {what}", self.path.display()),
        }
    }

    /// An error of the file as a whole.
    pub(super) fn whole(&self, what: &str) -> String {
        format!("{}: {what}", self.path.display())
    }

    /// Reads a file that the file names; names are relative to where it is.
    pub(super) fn named(&mut self, name: &Spanned<String>) -> Result<Vec<u8>, String> {
        let path = self.path.parent().unwrap_or(Path::new("")).join(&name.value);
        let read = std::fs::read(&path);
        let read = read.map_err(|error| self.at(name.referenced, &format!("cannot read {}: {error}", path.display())));
        self.files.push(path);
        read
    }
}

/// Reads the web configuration file and the files that it names.
pub(super) fn read(path: &Path) -> Result<Settings, String> {
    let mut source = Source { path, files: vec![path.to_owned()] };
    let fail = |error: std::io::Error| format!("cannot read the web configuration {}: {error}", path.display());
    if std::fs::metadata(path).map_err(fail)?.len() > LONGEST {
        return Err(source.whole("too long for a web configuration file"));
    }
    let text = std::fs::read_to_string(path).map_err(fail)?;
    let file = parse(&text, &source)?;
    let http = file.http_server_config.unwrap_or_default();
    let http2 = http.http2.unwrap_or(true);
    let tls = file.tls_server_config.map(|tls| tls::server(&tls, http2, &mut source)).transpose()?.flatten();
    Ok(Settings {
        tls,
        users: users(file.basic_auth_users.unwrap_or_default(), &source)?,
        headers: headers(http.headers.unwrap_or_default(), &source)?,
        files: source.files,
    })
}

fn parse(text: &str, source: &Source<'_>) -> Result<File, String> {
    let parsed: Result<Option<File>, _> = serde_saphyr::from_str(text);
    parsed.map(Option::unwrap_or_default).map_err(|error| {
        let place = error.location();
        let options = serde_saphyr::render_options! { snippets: serde_saphyr::SnippetMode::Off };
        let whole = error.render_with_options(options);
        // The place stands in front already.
        let text = whole.lines().next().unwrap_or_default();
        let text = text.split(" at line ").next().unwrap_or(text);
        place.map_or_else(|| source.whole(text), |place| source.at(place, text))
    })
}

fn users(given: BTreeMap<String, Spanned<String>>, source: &Source<'_>) -> Result<Users, String> {
    let mut users = Users::new();
    for (user, hash) in given {
        let fail = |what: &str| source.at(hash.referenced, &format!("basic_auth_users, {user:?}: {what}"));
        bcrypt::HashParts::from_str(&hash.value)
            .map_err(|_| fail("not a bcrypt hash: make one with htpasswd -nBC 10 \"\" and leave out the colon"))?;
        if cost(&hash.value).is_none_or(|cost| cost > DEAREST) {
            return Err(fail("each check of this hash would take more than 20 seconds: use a cost of 10 to 12"));
        }
        users.insert(user, hash.value);
    }
    Ok(users)
}

/// Headers that may be set, and their values where these are limited.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

fn headers(
    given: BTreeMap<String, Spanned<String>>,
    source: &Source<'_>,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let mut headers = Vec::new();
    for (name, value) in given {
        let known = HEADERS.iter().find(|(known, _)| *known == name);
        let Some((_, values)) = known else {
            let all: Vec<&str> = HEADERS.iter().map(|(known, _)| *known).collect();
            let what = format!("headers: {name:?} cannot be set, only {}", all.join(", "));
            return Err(source.at(value.referenced, &what));
        };
        if !values.is_empty() && !values.contains(&value.value.as_str()) {
            let what = format!("headers: {name} is one of {}", values.join(", "));
            return Err(source.at(value.referenced, &what));
        }
        match (HeaderName::from_str(&name), HeaderValue::from_str(&value.value)) {
            (Ok(name), Ok(value)) => headers.push((name, value)),
            _ => return Err(source.at(value.referenced, "headers: not a value that a header can have")),
        }
    }
    Ok(headers)
}

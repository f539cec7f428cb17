//! What each visitor of a captured lab run really got.

use std::path::Path;

/// One line of a `.visitors` file: method, URL, HTTP version, status, curl's exit code; older files have version and status only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Request method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Asked the origin itself, over TLS, without an edge between.
    pub direct: bool,
    /// HTTP version between visitor and edge.
    pub version: String,
    /// Status, 0 for none.
    pub status: u16,
    /// curl's exit code: 0, 18 (cut-off body), 52, 56, 92, ...
    pub exit: i32,
}

/// The visitors of a run; `None` for a file of another client's output.
#[must_use]
pub fn read(file: &Path) -> Option<Vec<Visitor>> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().filter(|line| !line.trim().is_empty()).map(line).collect()
}

/// Reads one line; `None` for what is not one.
#[must_use]
pub fn line(line: &str) -> Option<Visitor> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if let [version, status] = words.as_slice() {
        return Some(Visitor {
            method: String::new(),
            path: String::new(),
            direct: false,
            version: (*version).to_owned(),
            status: status.parse().ok()?,
            exit: 0,
        });
    }
    let [method, url, version, status, exit] = words.as_slice() else { return None };
    let path = url.splitn(4, '/').nth(3)?.split('?').next()?;
    Some(Visitor {
        method: (*method).to_owned(),
        path: format!("/{path}"),
        direct: url.starts_with("https:"),
        version: (*version).to_owned(),
        status: status.parse().ok()?,
        exit: exit.parse().ok()?,
    })
}

//! What each part may know, enforced from its source text.

use std::fs;
use std::path::{Path, PathBuf};

/// Reading a clock, files or sockets: for sources, sinks and the runner alone.
const SYSTEM: &[&str] =
    &["Instant::now", "SystemTime", "std::fs", "std::thread", "TcpStream", "UdpSocket", "std::env", "std::process"];

/// What runs the pipeline and what people use: nothing that the pipeline is made of knows them.
const RUNNERS: &[&str] = &[
    "crate::cli",
    "crate::config",
    "crate::doctor",
    "crate::engine",
    "crate::explain",
    "crate::export",
    "crate::replay",
    "crate::watch",
    "crate::web",
];

struct Rule {
    /// Folder below the repository's top.
    part: &'static str,
    /// What must not stand in its code.
    never: &'static [&'static str],
    /// Nor may any of [`RUNNERS`].
    pipeline: bool,
    /// May touch the system.
    system: bool,
}

const RULES: &[Rule] = &[
    Rule {
        part: "crates/h2-tap/src",
        never: &["tls_tap", "h2watch", "IpAddr", "SocketAddr"],
        pipeline: false,
        system: false,
    },
    Rule {
        part: "crates/tls-tap/src",
        never: &["h2_tap", "h2watch", "IpAddr", "SocketAddr"],
        pipeline: false,
        system: false,
    },
    Rule {
        part: "monitor/src/model",
        never: &["crate::flow", "crate::detect", "crate::source", "crate::sink", "crate::packet"],
        pipeline: true,
        system: false,
    },
    Rule {
        part: "monitor/src/packet",
        never: &["crate::flow", "crate::detect", "crate::source", "crate::sink", "h2_tap", "tls_tap"],
        pipeline: true,
        system: false,
    },
    Rule {
        part: "monitor/src/flow",
        never: &["crate::detect", "crate::source", "crate::sink", "crate::packet"],
        pipeline: true,
        system: false,
    },
    Rule {
        part: "monitor/src/detect",
        never: &["crate::flow", "crate::source", "crate::sink", "crate::packet", "tls_tap::Tls"],
        pipeline: true,
        system: false,
    },
    Rule {
        part: "monitor/src/source",
        never: &[
            "crate::flow",
            "crate::detect",
            "crate::sink",
            "crate::packet",
            "crate::engine",
            "crate::watch",
            "crate::web",
            "crate::export",
            "h2_tap",
            "tls_tap",
        ],
        pipeline: false,
        system: true,
    },
    Rule {
        part: "monitor/src/engine",
        never: &[
            "crate::source",
            "crate::sink",
            "crate::cli",
            "crate::replay",
            "crate::watch",
            "crate::web",
            "crate::export",
        ],
        pipeline: false,
        system: true,
    },
    Rule {
        part: "monitor/src/export",
        never: &[
            "crate::flow",
            "crate::detect",
            "crate::packet",
            "crate::engine",
            "crate::cli",
            "crate::web",
            "h2_tap",
            "tls_tap",
        ],
        pipeline: false,
        system: true,
    },
    Rule {
        part: "monitor/src/web",
        never: &["crate::detect", "crate::packet", "crate::engine", "crate::cli", "h2_tap", "tls_tap"],
        pipeline: false,
        system: true,
    },
    Rule {
        part: "monitor/src/sink",
        never: &[
            "crate::flow",
            "crate::source",
            "crate::packet",
            "tls_tap",
            "crate::replay",
            "crate::engine",
            "crate::watch",
            "crate::web",
        ],
        pipeline: false,
        system: true,
    },
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

/// The code of a file: without comments, and without its tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().zip(1..).map(|(line, number)| (number, line));
    lines.take_while(|(_, line)| !line.starts_with("#[cfg(test)]")).map(|(number, line)| {
        let line = line.split("//").next().unwrap_or_default();
        (number, line)
    })
}

/// Every line that knows what it must not.
fn violations(top: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for rule in RULES {
        let files = sources(&top.join(rule.part));
        if files.is_empty() {
            found.push(format!("{}: no source files", rule.part));
        }
        // A folder of tests is test code as a whole.
        for file in files.into_iter().filter(|file| !file.to_string_lossy().contains("test")) {
            let text = fs::read_to_string(&file).unwrap_or_default();
            for (number, line) in code(&text) {
                let system = if rule.system { &[] } else { SYSTEM };
                let runners = if rule.pipeline { RUNNERS } else { &[] };
                if let Some(word) = rule.never.iter().chain(runners).chain(system).find(|word| line.contains(**word)) {
                    found.push(format!("{}:{number}: {} must not know {word}", file.display(), rule.part));
                }
            }
        }
    }
    found
}

#[test]
fn parts_know_only_what_they_may() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found = violations(&top);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

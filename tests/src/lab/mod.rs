//! Real origins and real edges, each in a network namespace of its own, for end-to-end tests and for `cargo xtask lab`.
//!
//! All hosts hang on one switch. h2watch runs on the origin's host and sees its only interface; the addresses tell the edges apart.
//! A lab of a test is named after the test's process, so that what a killed test leaves behind is found and removed by the next.

pub mod edges;
pub mod http;
pub mod judge;
pub mod metrics;
pub mod net;
pub mod observer;
pub mod origins;
pub mod process;
mod tools;
pub mod visits;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use edges::{Edge, EdgeKind};
pub use net::{Host, INTERFACE, Network};
pub use origins::{Origin, OriginKind};
pub use tools::{edge_program, is_there, kestrel_program, lacking};

/// How the names of all namespaces and folders of labs begin.
pub const PREFIX: &str = "h2lab";

/// Polls until `ready` gives something, at most for `patience`.
pub fn wait<T>(patience: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        if let Some(found) = ready() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Servers and edges that run. Dropping it ends all of them and removes the namespaces and the folder.
#[derive(Debug)]
pub struct Lab {
    // Dropped in this order: the programs before what they stand on.
    /// The edges, each before each origin that it can be put before.
    pub edges: Vec<Edge>,
    /// The origins.
    pub origins: Vec<Origin>,
    /// The origins' host, where h2watch runs.
    pub origin: Host,
    /// The visitors' host.
    pub visitor: Host,
    /// The namespaces.
    pub network: Network,
    folder: Folder,
}

impl Lab {
    /// Starts a lab for a test. [`lacking`] says beforehand whether it can work.
    ///
    /// # Errors
    /// When a program does not start, with what it printed.
    pub fn start(origins: &[OriginKind], edges: &[EdgeKind]) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep();
        let name = format!("{PREFIX}{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self::named(&name, origins, edges)
    }

    /// Starts a lab under a name, which begins with [`PREFIX`].
    ///
    /// # Errors
    /// As [`Lab::start`].
    pub fn named(name: &str, origins: &[OriginKind], edges: &[EdgeKind]) -> Result<Self, String> {
        let folder = Folder::make(name)?;
        tools::certificate(&folder.0)?;
        let mut network = Network::make(name)?;
        let origin = network.add("origin", Ipv4Addr::new(10, 99, 0, 1))?;
        let visitor = network.add("visitor", Ipv4Addr::new(10, 99, 0, 2))?;
        let mut lab = Self { edges: Vec::new(), origins: Vec::new(), origin, visitor, network, folder };
        for &kind in origins {
            let started = Origin::start(kind, &lab)?;
            lab.origins.push(started);
        }
        for &kind in edges {
            let host = lab.network.add(kind.name(), Ipv4Addr::new(10, 99, 0, kind.octet()))?;
            for &origin in origins.iter().filter(|&&origin| kind.stands_before(origin)) {
                let started = Edge::start(kind, origin, &host, &lab)?;
                lab.edges.push(started);
            }
        }
        Ok(lab)
    }

    /// Where configuration, logs and certificates are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Where origins and visitors log their keys.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.folder().join("keys")
    }

    /// The key log of visitors who ask an origin itself.
    #[must_use]
    pub fn visitors_keys(&self) -> PathBuf {
        self.keys().join("visitors.keys")
    }

    /// The key logs that there are by now.
    #[must_use]
    pub fn key_logs(&self) -> Vec<PathBuf> {
        crate::captures::files_in(&self.keys(), &[".keys"])
    }

    /// Lets everything run on; [`down`] ends it.
    pub fn leave(self) {
        self.edges.into_iter().for_each(Edge::leave);
        self.origins.into_iter().for_each(Origin::leave);
        self.network.leave();
        self.folder.leave();
    }
}

/// A lab's folder; removed when dropped. In the system's folder for temporary files, because servers give up root and have to reach it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn make(name: &str) -> Result<Self, String> {
        let path = std::env::temp_dir().join(name);
        let made = |path: &Path, mode: u32| {
            let made = fs::DirBuilder::new().mode(mode).create(path);
            made.map_err(|error| format!("cannot make {}: {error}", path.display()))
        };
        made(&path, 0o755)?;
        let folder = Self(path);
        made(&folder.0.join("keys"), 0o700)?;
        made(&folder.0.join("www"), 0o755)?;
        Ok(folder)
    }

    fn leave(mut self) {
        self.0 = PathBuf::new();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// Whether something of a lab of this name is there.
#[must_use]
pub fn is_up(name: &str) -> bool {
    std::env::temp_dir().join(name).exists() || !net::names(&format!("{name}-")).is_empty()
}

/// Ends a lab by name, whoever started it and however that ended.
pub fn down(name: &str) {
    net::remove(name);
    let _ = fs::remove_dir_all(std::env::temp_dir().join(name));
}

/// Removes what labs of processes that are gone have left.
pub fn sweep() {
    let folders = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let folders = folders.filter_map(|entry| entry.file_name().into_string().ok());
    let mut labs: Vec<String> = folders.chain(net::names(PREFIX)).filter_map(|name| lab_of_a_test(&name)).collect();
    labs.sort();
    labs.dedup();
    for (lab, owner) in labs.iter().filter_map(|lab| Some((lab, lab.strip_prefix(PREFIX)?.split('x').next()?))) {
        if !Path::new("/proc").join(owner).exists() {
            down(lab);
        }
    }
}

/// The lab that a folder or namespace belongs to, if it is a test's: the name then begins with the prefix, a process id, `x` and a
/// number.
fn lab_of_a_test(name: &str) -> Option<String> {
    let lab = name.split('-').next()?;
    let (owner, count) = lab.strip_prefix(PREFIX)?.split_once('x')?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (number(owner) && number(count)).then(|| lab.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_labs_of_tests_are_swept() {
        assert_eq!(lab_of_a_test("h2lab12x0-origin").as_deref(), Some("h2lab12x0"));
        assert_eq!(lab_of_a_test("h2lab12x0").as_deref(), Some("h2lab12x0"));
        for name in ["h2lab", "h2lab-origin", "h2labx1", "h2lab12x", "h2lab12", "other12x0"] {
            assert_eq!(lab_of_a_test(name), None, "{name}");
        }
    }
}

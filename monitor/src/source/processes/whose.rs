//! Which processes are meant.

use super::cgroup;

/// Whose secrets or plaintext are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of every process.
    All,
    /// Those of what any of these names.
    Targets(Vec<Target>),
}

/// Processes, by what names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A process, and its children.
    Pid(u32),
    /// A systemd unit (`nginx.service`; without a suffix a service), with what runs in control groups below it.
    Unit(String),
    /// A control group, with those below it: its path (`/system.slice/nginx.service`), its own name, or the first digits of a container's id
    /// (at least [`SHORTEST_ID`](Self::SHORTEST_ID)).
    Cgroup(String),
}

impl Target {
    /// Fewest digits of a container's id that name it.
    pub const SHORTEST_ID: usize = 8;

    /// One of a process's control groups belongs to it.
    pub(super) fn has_cgroup(&self, path: &str) -> bool {
        match self {
            Self::Pid(_) => false,
            Self::Unit(name) => path.split('/').any(|part| is_unit(part, name)),
            Self::Cgroup(name) if name.starts_with('/') => {
                let name = name.strip_prefix("/sys/fs/cgroup").unwrap_or(name).trim_end_matches('/');
                path.strip_prefix(name).is_some_and(|below| below.is_empty() || below.starts_with('/'))
            }
            Self::Cgroup(name) => {
                let is_id = name.len() >= Self::SHORTEST_ID && name.bytes().all(cgroup::is_hex);
                path.split('/').any(|part| part == name)
                    || is_id && cgroup::container(path).is_some_and(|id| id.starts_with(name.as_str()))
            }
        }
    }
}

/// A part of a path is this unit's.
fn is_unit(part: &str, name: &str) -> bool {
    const SUFFIXES: [&str; 3] = [".service", ".scope", ".slice"];
    if SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        part == name
    } else {
        part.strip_suffix(".service") == Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_by_name() {
        let unit = |name: &str| Target::Unit(name.into()).has_cgroup("/system.slice/nginx.service/worker");
        assert!(unit("nginx") && unit("nginx.service") && unit("system.slice"));
        assert!(!unit("ngin") && !unit("nginx.scope") && !unit("worker") && !unit("system"));
    }

    #[test]
    fn cgroups_by_path_name_and_container() {
        let id = "0123456789abcdef".repeat(4);
        let path = format!("/system.slice/docker-{id}.scope");
        let cgroup = |name: &str| Target::Cgroup(name.into()).has_cgroup(&path);
        assert!(cgroup("/system.slice") && cgroup("/system.slice/") && cgroup(&path) && cgroup("/"));
        assert!(cgroup(&format!("/sys/fs/cgroup{path}")));
        assert!(cgroup("0123456789ab") && cgroup(&id) && cgroup(&format!("docker-{id}.scope")));
        assert!(!cgroup("/system") && !cgroup("0123456") && !cgroup("123456789abc") && !cgroup("docker"));
    }
}

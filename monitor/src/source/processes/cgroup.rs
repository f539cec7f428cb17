//! What the path of a control group says: the systemd unit, the container.

/// The paths of a process's control groups that name units and containers, from the lines of `/proc/PID/cgroup`: cgroup v2's, and systemd's own of
/// version 1.
pub(super) fn paths(lines: &str) -> impl Iterator<Item = &str> {
    lines.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        (matches!(controllers, "" | "name=systemd") && path.starts_with('/')).then_some(path)
    })
}

/// Most bytes of a name that are kept.
const MAX_NAME: usize = 255;

/// The systemd unit that a path names: the innermost service or scope.
pub(super) fn unit(path: &str) -> Option<&str> {
    let is_unit = |name: &&str| (name.ends_with(".service") || name.ends_with(".scope")) && name.len() <= MAX_NAME;
    path.rsplit('/').find(is_unit)
}

/// The container that a path names: the innermost name that ends with an id of 64 hexadecimal digits, as the OCI runtimes write them
/// (`docker-ID.scope`, `cri-containerd-ID.scope`, `libpod-ID`, `ID`).
pub(super) fn container(path: &str) -> Option<&str> {
    path.rsplit('/').find_map(|name| {
        let name = name.strip_suffix(".scope").unwrap_or(name);
        let id = name.rsplit_once(['-', ':']).map_or(name, |(_, id)| id);
        (id.len() == 64 && id.bytes().all(is_hex)).then_some(id)
    })
}

/// A lower-case hexadecimal digit.
pub(super) const fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_matter() {
        let lines = "12:cpu,cpuacct:/a\n1:name=systemd:/system.slice/nginx.service\n0::/b:c\nnonsense\n";
        assert_eq!(paths(lines).collect::<Vec<_>>(), ["/system.slice/nginx.service", "/b:c"]);
    }

    #[test]
    fn units() {
        assert_eq!(unit("/system.slice/nginx.service"), Some("nginx.service"));
        assert_eq!(unit("/user.slice/user-0.slice/user@0.service/app.slice/x.service/sub"), Some("x.service"));
        assert_eq!(unit("/user.slice/user-0.slice/session-1.scope"), Some("session-1.scope"));
        assert_eq!(unit("/"), None);
    }

    #[test]
    fn containers() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/system.slice/docker-{id}.scope"),
            format!("/docker/{id}"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
            format!("/kubepods/burstable/pod1/{id}"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{id}"),
        ] {
            assert_eq!(container(&path), Some(id.as_str()), "{path}");
        }
        assert_eq!(container(&format!("/docker/{}", id.to_uppercase())), None);
        assert_eq!(container("/system.slice/nginx.service"), None);
    }
}

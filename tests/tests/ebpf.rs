//! The kernel side on the kernel that runs: skipped, with a line that says so, where it may not be used.

#[path = "any.rs"]
mod any;
#[path = "ebpf/client.rs"]
mod client;
#[path = "ebpf/ends.rs"]
mod ends;
#[path = "ebpf/handshakes.rs"]
mod handshakes;
#[path = "ebpf/keylog.rs"]
mod keylog;
#[path = "ebpf/keys.rs"]
mod keys;
#[path = "ebpf/plain.rs"]
mod plain;
#[path = "ebpf/plaintext.rs"]
mod plaintext;
#[path = "ebpf/privileges.rs"]
mod privileges;
#[path = "ebpf/programs.rs"]
mod programs;
#[path = "ebpf/safety.rs"]
mod safety;
#[path = "ebpf/servers.rs"]
mod servers;
#[path = "ebpf/snap.rs"]
mod snap;
#[path = "ebpf/tap.rs"]
mod tap;
#[path = "ebpf/watch.rs"]
mod watch;

/// Whether programs may be loaded here. Prints why not.
fn may_load() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    let effective = u64::from_str_radix(effective.trim(), 16).unwrap_or(0);
    // CAP_NET_ADMIN, CAP_SYS_ADMIN.
    let enough = [12, 21].iter().all(|bit| effective >> bit & 1 == 1);
    if !enough {
        println!("skipped: needs root, to load programs into the kernel");
    }
    enough
}

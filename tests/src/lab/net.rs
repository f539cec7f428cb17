//! Network namespaces: a switch, and hosts that hang on it.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::wait;

/// The interface that every host of a lab has.
pub const INTERFACE: &str = "eth0";

/// Where `ip netns` keeps its names.
const NAMES: &str = "/run/netns";

/// Runs `ip` and gives its output.
pub(super) fn ip(words: &[&str]) -> Result<String, String> {
    let output = Command::new("ip").args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run ip: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// One host: a network namespace with an address.
#[derive(Clone, Debug)]
pub struct Host {
    /// The namespace's name, for `ip netns exec NAME`.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
}

impl Host {
    /// The address with a port.
    #[must_use]
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.address), port)
    }

    /// Runs `work` on a thread that is inside the namespace; what it spawns is inside, too.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, String> {
        let place = PathBuf::from(NAMES).join(&self.name);
        let space = File::open(&place).map_err(|error| format!("cannot open {}: {error}", place.display()))?;
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(|error| format!("cannot enter the namespace {}: {error}", self.name))?;
                Ok(work())
            });
            match inside.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Opens a TCP connection from here.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or nobody answers at `to`.
    pub fn connect(&self, to: SocketAddr) -> Result<TcpStream, String> {
        self.inside(|| TcpStream::connect_timeout(&to, Duration::from_secs(1)))?
            .map_err(|error| format!("cannot connect to {to}: {error}"))
    }

    /// Runs `ip` on this host.
    ///
    /// # Errors
    /// When it fails, with what it printed.
    pub fn ip(&self, words: &[&str]) -> Result<String, String> {
        ip(&[&["-n", &self.name], words].concat())
    }
}

/// The namespaces of one lab. They go when this is dropped, with every process that is left in them.
#[derive(Debug)]
pub struct Network {
    prefix: String,
    switch: Host,
    hosts: Vec<Host>,
}

impl Network {
    /// Makes the switch. `prefix` begins the names of all namespaces.
    ///
    /// # Errors
    /// When the kernel or the caller's rights do not allow it.
    pub fn make(prefix: &str) -> Result<Self, String> {
        let switch = Host { name: format!("{prefix}-switch"), address: Ipv4Addr::UNSPECIFIED };
        let network = Self { prefix: prefix.to_owned(), switch, hosts: Vec::new() };
        ip(&["netns", "add", &network.switch.name])?;
        network.switch.ip(&["link", "add", "bridge", "type", "bridge"])?;
        network.switch.ip(&["link", "set", "bridge", "up"])?;
        Ok(network)
    }

    /// Adds a host with a cable to the switch.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn add(&mut self, role: &str, address: Ipv4Addr) -> Result<Host, String> {
        let host = Host { name: format!("{}-{role}", self.prefix), address };
        ip(&["netns", "add", &host.name])?;
        self.hosts.push(host.clone());
        host.ip(&["link", "set", "lo", "up"])?;
        self.plug(&host)?;
        Ok(host)
    }

    /// Gives a host its interface and connects it to the switch: when the host is made, and again after the interface was deleted.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn plug(&self, host: &Host) -> Result<(), String> {
        let octet = host.address.octets()[3];
        // The same hardware address each time: neighbours remember it.
        let (port, mac) = (format!("p{octet}"), format!("02:00:00:00:00:{octet:02x}"));
        let peer = ["type", "veth", "peer", "name", &port, "netns", &self.switch.name];
        host.ip(&[&["link", "add", INTERFACE, "address", &mac], peer.as_slice()].concat())?;
        self.switch.ip(&["link", "set", &port, "master", "bridge", "up"])?;
        host.ip(&["address", "add", &format!("{}/24", host.address), "dev", INTERFACE])?;
        host.ip(&["link", "set", INTERFACE, "up"])?;
        Ok(())
    }

    /// Lets the namespaces live on; [`remove`] takes them away later.
    pub fn leave(mut self) {
        self.prefix.clear();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if !self.prefix.is_empty() {
            remove(&self.prefix);
        }
    }
}

/// The names of the namespaces that begin with `prefix`.
#[must_use]
pub fn names(prefix: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(NAMES).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.starts_with(prefix)).collect()
}

/// Takes away all namespaces of a lab, and ends what runs in them.
pub fn remove(prefix: &str) {
    let own = format!("{prefix}-");
    for name in names(&own) {
        let pids = || ip(&["netns", "pids", &name]).unwrap_or_default();
        let running = || pids().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let gone = wait(Duration::from_secs(5), || {
            let running = running();
            if !running.is_empty() {
                let _ = Command::new("kill").arg("-KILL").args(&running).stderr(Stdio::null()).status();
            }
            running.is_empty().then_some(())
        });
        if gone.is_none() {
            eprintln!("lab: processes in {name} do not end: {}", running().join(" "));
        }
        if let Err(error) = ip(&["netns", "del", &name]) {
            eprintln!("lab: {error}");
        }
    }
}

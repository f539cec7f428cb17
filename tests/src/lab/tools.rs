//! What the lab needs from the machine, and the certificate.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{EdgeKind, OriginKind};

/// Whether a program is in the search path.
#[must_use]
pub fn is_there(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|place| place.join(tool).is_file())
}

/// What keeps this machine from running such a lab; `None` when it has all that is needed.
#[must_use]
pub fn lacking(origins: &[OriginKind], edges: &[EdgeKind]) -> Option<String> {
    static NAMESPACES: OnceLock<Option<String>> = OnceLock::new();
    let tools = ["ip", "openssl", "curl", "tcpdump"].into_iter();
    let tools =
        tools.chain(origins.iter().filter_map(|kind| kind.tool())).chain(edges.iter().filter_map(|kind| kind.tool()));
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    if let Some(tool) = tools.into_iter().find(|tool| !is_there(tool)) {
        return Some(format!("{tool} is not installed"));
    }
    if origins.contains(&OriginKind::Kestrel) && kestrel_program().is_none() {
        return Some("no Kestrel origin: neither $KESTREL_ORIGIN nor ../shared/origins nor dotnet".to_owned());
    }
    if edges.contains(&EdgeKind::Yarp) && edge_program().is_none() {
        return Some("no YARP edge: neither $YARP_EDGE nor ../shared/origins nor dotnet".to_owned());
    }
    NAMESPACES.get_or_init(|| no_namespaces().map(|error| format!("no network namespaces: {error}"))).clone()
}

/// Why network namespaces, veth pairs and bridges do not work here.
fn no_namespaces() -> Option<String> {
    let name = format!("{}{}x999-try", super::PREFIX, std::process::id());
    let tried = super::net::ip(&["netns", "add", &name])
        .and_then(|_| super::net::ip(&["-n", &name, "link", "add", "bridge", "type", "bridge"]))
        .and_then(|_| super::net::ip(&["-n", &name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]));
    let _ = super::net::ip(&["netns", "del", &name]);
    tried.err()
}

/// The Kestrel origin's program.
#[must_use]
pub fn kestrel_program() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(|| dotnet_program("KESTREL_ORIGIN", "kestrel", "kestrel-origin")).clone()
}

/// The YARP edge's program.
#[must_use]
pub fn edge_program() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(|| dotnet_program("YARP_EDGE", "yarp", "yarp-edge")).clone()
}

/// A .NET program: where a variable of the environment points, beside the repository, or built from the source here.
fn dotnet_program(variable: &str, folder: &str, name: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("H2WATCH_SHARED").map_or_else(|| here.join("../../shared"), PathBuf::from);
    let built = here.join("../target/origins").join(folder);
    let given = std::env::var_os(variable).map(PathBuf::from);
    let known = [given, Some(shared.join("origins").join(folder).join(name)), Some(built.join(name))];
    if let Some(program) = known.into_iter().flatten().find(|program| program.is_file()) {
        return Some(program);
    }
    if !is_there("dotnet") {
        return None;
    }
    let mut publish = Command::new("dotnet");
    publish.arg("publish").arg(here.join("origins").join(folder)).arg("--output").arg(&built);
    publish.args(["-c", "Release", "-r", "linux-x64", "--self-contained", "-p:PublishSingleFile=true"]);
    let published = publish.stdin(Stdio::null()).stdout(Stdio::null()).status();
    published.is_ok_and(|status| status.success()).then(|| built.join(name)).filter(|program| program.is_file())
}

/// Makes `cert.pem` and `key.pem` in `folder`: one certificate that serves as authority, server and client.
pub(super) fn certificate(folder: &Path) -> Result<(), String> {
    let names: Vec<String> = (1..=32).map(|octet| format!("IP:10.99.0.{octet}")).collect();
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"])
        .args(["-subj", "/CN=origin.test"])
        .args(["-addext", &format!("subjectAltName=DNS:origin.test,IP:127.0.0.1,{}", names.join(","))])
        .arg("-keyout")
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("cert.pem"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run openssl: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("openssl req: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

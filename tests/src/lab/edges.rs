//! Edges: what stands between visitors and an origin, and speaks HTTP/2 to the origin.

use std::fs;
use std::process::Command;

use super::origins::{apache, apache_start};
use super::process::Running;
use super::{Host, Lab, OriginKind, tools};

/// Which edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeKind {
    /// HAProxy as it comes.
    Haproxy,
    /// HAProxy with its L7 retries on.
    HaproxyRetries,
    /// HAProxy that gives every request an id.
    HaproxyIds,
    /// YARP, a .NET reverse proxy.
    Yarp,
    /// nghttpx. It tells the origin the scheme that its visitor used.
    Nghttpx,
    /// nghttpx that visitors reach over TLS.
    NghttpxTls,
    /// Apache with mod_proxy_http2.
    ModProxy,
}

impl EdgeKind {
    /// How often HAProxy asks with its L7 retries on.
    pub const ATTEMPTS: usize = 4;

    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Haproxy,
        Self::HaproxyRetries,
        Self::HaproxyIds,
        Self::Yarp,
        Self::Nghttpx,
        Self::NghttpxTls,
        Self::ModProxy,
    ];

    /// In names and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::HaproxyRetries => "haproxy-retries",
            Self::HaproxyIds => "haproxy-ids",
            Self::Yarp => "yarp",
            Self::Nghttpx => "nghttpx",
            Self::NghttpxTls => "nghttpx-tls",
            Self::ModProxy => "mod-proxy-http2",
        }
    }

    /// The installed program that it needs.
    #[must_use]
    pub const fn tool(self) -> Option<&'static str> {
        match self {
            Self::Haproxy | Self::HaproxyRetries | Self::HaproxyIds => Some("haproxy"),
            Self::Yarp => None,
            Self::Nghttpx | Self::NghttpxTls => Some("nghttpx"),
            Self::ModProxy => Some("apache2"),
        }
    }

    /// The last part of its address.
    pub(super) const fn octet(self) -> u8 {
        match self {
            Self::Haproxy => 11,
            Self::HaproxyRetries => 12,
            Self::HaproxyIds => 13,
            Self::Yarp => 14,
            Self::Nghttpx => 15,
            Self::NghttpxTls => 16,
            Self::ModProxy => 17,
        }
    }

    /// Whether the pair can speak HTTP/2: YARP does so only after ALPN, and nghttpd's port for edges has no TLS.
    #[must_use]
    pub const fn stands_before(self, origin: OriginKind) -> bool {
        !matches!((self, origin), (Self::Yarp, OriginKind::Nghttpd))
    }

    const fn scheme(self) -> &'static str {
        if matches!(self, Self::NghttpxTls) { "https" } else { "http" }
    }
}

/// Where an edge listens for an origin's visitors.
const fn port(origin: OriginKind) -> u16 {
    match origin {
        OriginKind::Kestrel => 8_081,
        OriginKind::Apache => 8_082,
        OriginKind::Nghttpd => 8_083,
    }
}

/// A running edge before one origin.
#[derive(Debug)]
pub struct Edge {
    /// Which.
    pub kind: EdgeKind,
    /// The origin behind it.
    pub origin: OriginKind,
    /// Its host.
    pub host: Host,
    /// Its program.
    pub program: Running,
}

impl Edge {
    pub(super) fn start(kind: EdgeKind, origin: OriginKind, host: &Host, lab: &Lab) -> Result<Self, String> {
        let name = format!("edge-{}-{}", kind.name(), origin.name());
        let mut command = command(kind, origin, host, lab, &name)?;
        let mut program = Running::start(host, &mut command, &lab.folder().join(format!("{name}.log")))?;
        program.until(&name, |_| host.connect(host.at(port(origin))).ok())?;
        Ok(Self { kind, origin, host: host.clone(), program })
    }

    /// Where visitors find it; paths are appended.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.kind.scheme(), self.host.at(port(self.origin)))
    }

    pub(super) fn leave(self) {
        self.program.leave();
    }
}

fn command(kind: EdgeKind, origin: OriginKind, host: &Host, lab: &Lab, name: &str) -> Result<Command, String> {
    let listen = host.at(port(origin));
    let (origin_port, tls) = origin.edge_port();
    let backend = lab.origin.at(origin_port);
    let certificate = lab.folder().join("cert.pem");
    match kind {
        EdgeKind::Haproxy | EdgeKind::HaproxyRetries | EdgeKind::HaproxyIds => {
            let file = lab.folder().join(format!("{name}.cfg"));
            let extra = match kind {
                EdgeKind::HaproxyRetries => "  retries 3\n  retry-on all-retryable-errors\n",
                EdgeKind::HaproxyIds => "  http-request set-header X-Request-ID %[uuid()]\n",
                _ => "",
            };
            let how = if tls { "ssl verify none alpn h2,http/1.1" } else { "proto h2" };
            let text = format!(
                "global\n  maxconn 4000\n\
                 defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
                 frontend visitors\n  bind {listen}\n  default_backend origin\n\
                 backend origin\n{extra}  server origin {backend} {how}\n"
            );
            fs::write(&file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(file);
            Ok(command)
        }
        EdgeKind::Yarp => {
            let mut command = Command::new(tools::edge_program().ok_or("no YARP edge")?);
            command.args(["--listen", &listen.to_string(), "--origin", &format!("https://{backend}/")]);
            command.current_dir(lab.folder());
            Ok(command)
        }
        EdgeKind::Nghttpx | EdgeKind::NghttpxTls => {
            let mut command = Command::new("nghttpx");
            command.args(["--conf=/dev/null", "--workers=1", "--insecure", "--accesslog-file=/dev/null"]);
            command.arg(format!(
                "--backend={},{};;proto=h2{}",
                backend.ip(),
                backend.port(),
                if tls { ";tls" } else { "" }
            ));
            if matches!(kind, EdgeKind::NghttpxTls) {
                command.arg(format!("--frontend={},{}", listen.ip(), listen.port()));
                command.arg(lab.folder().join("key.pem")).arg(certificate);
            } else {
                command.arg(format!("--frontend={},{};no-tls", listen.ip(), listen.port()));
            }
            Ok(command)
        }
        EdgeKind::ModProxy => {
            let home = lab.folder().join(name);
            let start = apache_start(&home, &["mpm_event", "authz_core", "ssl", "http2", "proxy", "proxy_http2"]);
            let scheme = if tls { "h2" } else { "h2c" };
            let text = format!(
                "{start}Listen {listen}\nSSLProxyEngine on\nSSLProxyVerify none\nSSLProxyCheckPeerName off\n\
                 SSLProxyCheckPeerExpire off\nProxyPass \"/\" \"{scheme}://{backend}/\"\n"
            );
            apache(&home, &text)
        }
    }
}

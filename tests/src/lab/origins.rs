//! Origins: the servers that h2watch runs beside.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::process::Running;
use super::{Host, Lab, tools};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginKind {
    /// ASP.NET Core. Refuses HTTP/2 below `/h1only/`, and has many other faults by path.
    Kestrel,
    /// Apache with mod_http2 and mod_ssl: refuses HTTP/2 below `/secure`, where it wants a client certificate.
    Apache,
    /// nghttpd: refuses nothing. It logs no keys: visitors who come without an edge do, and edges come in clear text.
    Nghttpd,
}

impl OriginKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kestrel, Self::Apache, Self::Nghttpd];

    /// In names and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kestrel => "kestrel",
            Self::Apache => "apache",
            Self::Nghttpd => "nghttpd",
        }
    }

    /// The installed program that it needs.
    #[must_use]
    pub const fn tool(self) -> Option<&'static str> {
        match self {
            Self::Kestrel => None,
            Self::Apache => Some("apache2"),
            Self::Nghttpd => Some("nghttpd"),
        }
    }

    /// The port for TLS, with h2 and, except with nghttpd, http/1.1.
    #[must_use]
    pub const fn tls_port(self) -> u16 {
        match self {
            Self::Kestrel => 8_443,
            Self::Apache => 9_443,
            Self::Nghttpd => 10_443,
        }
    }

    /// The port that edges use, and whether it is TLS.
    #[must_use]
    pub const fn edge_port(self) -> (u16, bool) {
        match self {
            Self::Nghttpd => (10_447, false),
            _ => (self.tls_port(), true),
        }
    }

    /// A path that is refused with HTTP_1_1_REQUIRED over HTTP/2.
    #[must_use]
    pub const fn refused(self) -> Option<&'static str> {
        match self {
            Self::Kestrel => Some("/h1only/"),
            Self::Apache => Some("/secure/"),
            Self::Nghttpd => None,
        }
    }
}

/// A running origin.
#[derive(Debug)]
pub struct Origin {
    /// Which.
    pub kind: OriginKind,
    /// Its programs; the first is the server of [`OriginKind::tls_port`].
    pub programs: Vec<Running>,
}

impl Origin {
    pub(super) fn start(kind: OriginKind, lab: &Lab) -> Result<Self, String> {
        let (folder, host) = (lab.folder(), &lab.origin);
        let path = |name: &str| folder.join(name);
        let mut commands = Vec::new();
        match kind {
            OriginKind::Kestrel => {
                let mut command = Command::new(tools::kestrel_program().ok_or("no Kestrel origin")?);
                command.args(["--base-port", "8440", "--address", &host.address.to_string()]);
                command.arg("--cert").arg(path("cert.pem")).arg("--key").arg(path("key.pem"));
                command.env("SSLKEYLOGFILE", lab.keys().join("kestrel.keys")).current_dir(folder);
                commands.push((command, kind.tls_port()));
            }
            OriginKind::Apache => {
                let home = path("apache-origin");
                write_apache_site(&lab.folder().join("www"))?;
                let mut command = apache(&home, &apache_origin(host, folder))?;
                command.env("SSLKEYLOGFILE", lab.keys().join("apache.keys"));
                commands.push((command, kind.tls_port()));
            }
            OriginKind::Nghttpd => {
                write_apache_site(&lab.folder().join("www"))?;
                let (clear, _) = kind.edge_port();
                for (port, tls) in [(kind.tls_port(), true), (clear, false)] {
                    let mut command = Command::new("nghttpd");
                    command.arg("--htdocs").arg(path("www")).arg(format!("--address={}", host.address));
                    command.arg(if tls { "--echo-upload" } else { "--no-tls" }).arg(port.to_string());
                    if tls {
                        command.arg(path("key.pem")).arg(path("cert.pem"));
                    }
                    commands.push((command, port));
                }
            }
        }
        let mut programs = Vec::new();
        for (mut command, port) in commands {
            let log = path(&format!("origin-{}-{port}.log", kind.name()));
            let mut program = Running::start(host, &mut command, &log)?;
            program.until(kind.name(), |_| host.connect(host.at(port)).ok())?;
            programs.push(program);
        }
        Ok(Self { kind, programs })
    }

    pub(super) fn leave(self) {
        self.programs.into_iter().for_each(Running::leave);
    }
}

/// Pages for the servers that serve files.
fn write_apache_site(www: &Path) -> Result<(), String> {
    let write = |name: &str, bytes: &[u8]| {
        let file = www.join(name);
        fs::write(&file, bytes).map_err(|error| format!("cannot write {}: {error}", file.display()))
    };
    write("index.html", b"hello\n")?;
    write("small", b"ok\n")?;
    write("body", &[b'x'; 20_000])?;
    fs::create_dir_all(www.join("secure")).map_err(|error| format!("cannot make {}: {error}", www.display()))?;
    ["a", "b", "c", "d"].iter().try_for_each(|name| write(&format!("secure/{name}"), b"secret\n"))
}

/// Apache with a configuration of its own and nothing of the system's.
pub(super) fn apache(home: &Path, configuration: &str) -> Result<Command, String> {
    let file = home.join("httpd.conf");
    let written = fs::create_dir_all(home).and_then(|()| fs::write(&file, configuration));
    written.map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let mut command = Command::new("apache2");
    command.arg("-f").arg(file).arg("-d").arg(home).arg("-DFOREGROUND");
    Ok(command)
}

/// What every Apache of the lab begins with.
pub(super) fn apache_start(home: &Path, modules: &[&str]) -> String {
    let home = home.display();
    let mut text = String::new();
    for module in modules {
        // Into memory: cannot fail.
        let _ = writeln!(text, "LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so");
    }
    let _ = write!(
        text,
        "ServerName origin.test\nPidFile {home}/pid\nDefaultRuntimeDir {home}\nMutex file:{home} default\n\
         User www-data\nGroup www-data\nErrorLog {home}/error.log\nLogLevel warn\n\
         StartServers 1\nThreadsPerChild 32\nMaxRequestWorkers 64\nServerLimit 2\n"
    );
    text
}

fn apache_origin(host: &Host, folder: &Path) -> String {
    let start = apache_start(&folder.join("apache-origin"), &["mpm_event", "authz_core", "dir", "ssl", "http2"]);
    let (at, folder) = (host.at(OriginKind::Apache.tls_port()), folder.display());
    format!(
        "{start}Listen {at}\nProtocols h2 http/1.1\nDocumentRoot {folder}/www\nDirectoryIndex index.html\n\
         SSLEngine on\nSSLCertificateFile {folder}/cert.pem\nSSLCertificateKeyFile {folder}/key.pem\n\
         SSLCACertificateFile {folder}/cert.pem\nSSLSessionCache none\n\
         <Location /secure>\nSSLVerifyClient require\nSSLVerifyDepth 1\n</Location>\n"
    )
}

//! TLS, client certificates and passwords by a web configuration file.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::{Answer, connect, get, get_with, request, send};
use crate::fake::{self, Running};

/// A folder with an authority, a server's certificate, and what tests put there.
pub struct Folder {
    top: tempfile::TempDir,
    authority: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// A connection over TLS.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A client's certificate and key.
pub type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Folder {
    pub fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        fs::write(top.path().join("ca.pem"), root.pem()).unwrap();
        let (root, authority) = (root.der().clone(), Issuer::new(params, key));
        let this = Self { top, authority, root };
        this.serve_new();
        this
    }

    /// Writes a new certificate for the server.
    fn serve_new(&self) {
        let (certificate, key) = self.signed("localhost");
        fs::write(self.top.path().join("key.pem"), key.serialize_pem()).unwrap();
        fs::write(self.top.path().join("cert.pem"), certificate.pem()).unwrap();
    }

    fn signed(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.authority).unwrap(), key)
    }

    fn client(&self, name: &str) -> Pair {
        let (certificate, key) = self.signed(name);
        (vec![certificate.der().clone()], PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap())
    }

    pub fn config(&self, text: &str) -> PathBuf {
        let path = self.top.path().join("web.yml");
        fs::write(&path, text).unwrap();
        path
    }

    /// Connects over TLS, with these protocols on offer.
    pub fn connect(&self, address: SocketAddr, pair: Option<Pair>, protocols: &[&[u8]]) -> Stream {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match pair {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let session = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        StreamOwned::new(session, connect(address))
    }

    /// Asks over TLS; `None`: the handshake or the connection failed.
    fn ask(&self, address: SocketAddr, pair: Option<Pair>) -> Option<(Answer, Vec<u8>)> {
        let mut stream = self.connect(address, pair, &[]);
        let answer = send(&mut stream, &request("GET", "/-/healthy", "")).ok()?;
        Some((answer, stream.conn.peer_certificates()?.first()?.to_vec()))
    }
}

pub const TLS: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";

#[test]
fn tls_is_served_and_new_certificates_are_picked_up() {
    let folder = Folder::new();
    let running = Running::start(fake::quiet(), Some(&folder.config(TLS)));
    let (answer, first) = folder.ask(running.address, None).unwrap();
    assert_eq!(answer.status, 200);
    let clear = get(running.address, "/");
    assert!(clear.status == 400 && clear.text().contains("https"), "{}", clear.text());
    folder.serve_new();
    let (_, second) = folder.ask(running.address, None).unwrap();
    assert_ne!(first, second);
    // A certificate that is broken while it is replaced changes nothing.
    fs::write(folder.top.path().join("cert.pem"), "broken").unwrap();
    let (_, third) = folder.ask(running.address, None).unwrap();
    assert_eq!(second, third);
}

#[test]
fn client_certificates_are_asked_for_as_configured() {
    let folder = Folder::new();
    let strangers = Folder::new();
    let strange = || strangers.client("ops");
    for (policy, without, ours, others) in [
        ("NoClientCert", true, true, true),
        ("RequestClientCert", true, true, true),
        ("RequireAnyClientCert", false, true, true),
        ("VerifyClientCertIfGiven", true, true, false),
        ("RequireAndVerifyClientCert", false, true, false),
    ] {
        let authority = if policy == "NoClientCert" { "" } else { "  client_ca_file: ca.pem\n" };
        let config = folder.config(&format!("{TLS}  client_auth_type: {policy}\n{authority}"));
        let running = Running::start(fake::quiet(), Some(&config));
        let let_in = |pair| folder.ask(running.address, pair).is_some();
        assert_eq!(let_in(None), without, "{policy} without");
        assert_eq!(let_in(Some(folder.client("ops"))), ours, "{policy} ours");
        assert_eq!(let_in(Some(strange())), others, "{policy} others");
    }
    let config =
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans: [ops]\n";
    let running = Running::start(fake::quiet(), Some(&folder.config(&format!("{TLS}{config}"))));
    assert!(folder.ask(running.address, Some(folder.client("ops"))).is_some());
    assert!(folder.ask(running.address, Some(folder.client("dev"))).is_none());
}

#[test]
fn passwords_and_headers_are_as_configured() {
    let folder = Folder::new();
    let hash = bcrypt::hash("secret", 4).unwrap();
    let text = format!(
        "basic_auth_users:\n  alice: {hash}\nhttp_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n    \
         Strict-Transport-Security: max-age=60\n"
    );
    let config = folder.config(&text);
    let running = Running::start(fake::quiet(), Some(&config));
    for path in ["/", "/metrics", "/api/v1/status", "/-/healthy", "/nothing"] {
        let refused = get(running.address, path);
        assert_eq!((refused.status, refused.header("www-authenticate").is_empty()), (401, false), "{path}");
        assert_eq!(refused.header("strict-transport-security"), "max-age=60");
        let wrong = get_with(running.address, path, "Authorization: Basic YWxpY2U6d3Jvbmc=\r\n");
        assert_eq!(wrong.status, 401, "{path}");
    }
    let right = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
    let answer = get_with(running.address, "/metrics", right);
    assert_eq!((answer.status, answer.header("x-frame-options")), (200, "sameorigin"));
    // Another password from now on.
    fs::write(&config, format!("basic_auth_users:\n  alice: {}\n", bcrypt::hash("other", 4).unwrap())).unwrap();
    assert_eq!(get_with(running.address, "/metrics", right).status, 401);
}

fn promtool(path: &Path) -> Option<bool> {
    let output = Command::new("promtool").args(["check", "web-config"]).arg(path).output().ok()?;
    Some(output.status.success())
}

/// What is accepted here is accepted there. The other way round there is more, which rustls cannot do; that is refused in words.
#[test]
fn promtool_agrees() {
    let folder = Folder::new();
    if Command::new("promtool").arg("--version").output().is_err() {
        println!("skipped: promtool is not installed");
        return;
    }
    let hash = bcrypt::hash("secret", 10).unwrap();
    let client = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    for (text, here, there) in [
        (String::new(), true, true),
        (TLS.to_owned(), true, true),
        (format!("{TLS}{client}  min_version: TLS12\n  max_version: TLS13\n"), true, true),
        (format!("{TLS}  client_auth_type: RequestClientCert\n  client_ca_file: ca.pem\n"), true, true),
        (format!("{TLS}  prefer_server_cipher_suites: false\n  curve_preferences: [CurveP256, X25519]\n"), true, true),
        (
            format!("{TLS}  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]\n"),
            true,
            true,
        ),
        (format!("basic_auth_users:\n  a: {hash}\n  b: {hash}\n"), true, true),
        ("http_server_config:\n  http2: true\n  headers:\n    X-Frame-Options: deny\n".to_owned(), true, true),
        ("tls_server_config:\n  cert_file: cert.pem\n".to_owned(), false, false),
        (format!("{TLS}  client_ca_file: ca.pem\n"), false, false),
        (format!("{TLS}  client_auth_type: Maybe\n"), false, false),
        (format!("{TLS}  min_version: TLS9\n"), false, false),
        (format!("{TLS}  cipher_suites: [NONE]\n"), false, false),
        ("http_server_config:\n  headers:\n    X-Other: 1\n".to_owned(), false, false),
        ("basic_auth_users:\n  a: plain\n".to_owned(), false, false),
        ("unknown: 1\n".to_owned(), false, false),
        // Beyond rustls.
        (format!("{TLS}  min_version: TLS10\n"), false, true),
        (format!("{TLS}  curve_preferences: [CurveP521]\n"), false, true),
        (format!("{TLS}  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n"), false, true),
    ] {
        let path = folder.config(&text);
        let ours = h2watch::web::Bound::bind(&[], Some(&path));
        assert_eq!(ours.is_ok(), here, "{text}{ours:?}");
        assert_eq!(promtool(&path), Some(there), "promtool: {text}");
    }
}

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::Live;
use super::file::read;

/// A certificate for itself and its key, in the folder.
fn certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    folder
}

const TLS: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";

#[test]
fn all_that_is_known_is_read() {
    let folder = folder();
    let path = folder.path().join("web.yml");
    let text = format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: cert.pem\n  client_allowed_sans: [a, b]\n  \
         min_version: TLS12\n  max_version: TLS13\n  cipher_suites:\n  - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\n  \
         curve_preferences: [X25519, CurveP256, CurveP384]\n  prefer_server_cipher_suites: true\n\
         http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n\
         basic_auth_users:\n  alice: {}\n",
        bcrypt::hash("secret", 4).unwrap()
    );
    fs::write(&path, text).unwrap();
    let settings = read(&path).unwrap();
    assert!(settings.tls.is_some() && settings.users.contains_key("alice"));
    assert_eq!(settings.headers.len(), 1);
    assert_eq!(settings.files.len(), 4);
}

#[test]
fn nothing_asked_is_nothing_done() {
    let folder = folder();
    let path = folder.path().join("web.yml");
    for text in ["", "# nothing\n", "tls_server_config:\n", "tls_server_config: {}\nbasic_auth_users: {}\n"] {
        fs::write(&path, text).unwrap();
        let settings = read(&path).unwrap();
        assert!(settings.tls.is_none() && settings.users.is_empty() && settings.headers.is_empty(), "{text}");
    }
}

#[test]
fn http2_is_offered_unless_it_is_turned_off() {
    let folder = folder();
    let path = folder.path().join("web.yml");
    for (text, offered) in [("", true), ("  http2: true\n", true), ("  http2: false\n", false)] {
        fs::write(&path, format!("{TLS}http_server_config:\n{text}")).unwrap();
        let protocols = read(&path).unwrap().tls.unwrap().alpn_protocols.clone();
        assert_eq!(protocols.contains(&b"h2".to_vec()), offered, "{text}");
        assert!(protocols.contains(&b"http/1.1".to_vec()));
    }
}

#[test]
fn what_cannot_be_done_is_one_line_with_its_place() {
    let folder = folder();
    let path = folder.path().join("web.yml");
    let http = "http_server_config:\n  headers:\n";
    let dear = "$2y$31$abcdefghijklmnopqrstuuRzT0gyv9cT1VfHGZ8gN0yVd1yJHmT0e";
    for (text, line, word) in [
        ("tls_server_config:\n  cert_fle: x\n".to_owned(), 2, "cert_fle"),
        ("unknown: 1\n".to_owned(), 1, "unknown"),
        ("tls_server_config:\n  cert_file: cert.pem\n".to_owned(), 0, "key_file is missing"),
        ("tls_server_config:\n  key_file: key.pem\n".to_owned(), 0, "cert_file is missing"),
        ("tls_server_config:\n  cert_file: none.pem\n  key_file: key.pem\n".to_owned(), 2, "cannot read"),
        ("tls_server_config:\n  cert_file: key.pem\n  key_file: key.pem\n".to_owned(), 2, "no certificate"),
        ("tls_server_config:\n  cert_file: cert.pem\n  key_file: cert.pem\n".to_owned(), 3, "no private key"),
        (format!("{TLS}  min_version: TLS10\n"), 4, "TLS 1.0"),
        (format!("{TLS}  max_version: TLS14\n"), 4, "unknown TLS version"),
        (format!("{TLS}  min_version: TLS13\n  max_version: TLS12\n"), 0, "leave no TLS version"),
        (
            format!("{TLS}  cipher_suites:\n  - TLS_AES_128_GCM_SHA256\n  - TLS_RSA_WITH_AES_128_CBC_SHA\n"),
            6,
            "is not offered",
        ),
        (format!("{TLS}  curve_preferences: [CurveP521]\n"), 4, "CurveP521"),
        (format!("{TLS}  client_auth_type: Sometimes\n"), 4, "NoClientCert"),
        (format!("{TLS}  client_ca_file: cert.pem\n"), 4, "client_auth_type"),
        (format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n"), 0, "client_ca_file"),
        (format!("{TLS}  client_auth_type: RequestClientCert\n  client_allowed_sans: [a]\n"), 5, "client_allowed_sans"),
        (format!("{http}    X-Other: 1\n"), 3, "cannot be set"),
        (format!("{http}    X-Frame-Options: maybe\n"), 3, "one of"),
        (format!("{http}    Content-Security-Policy: \"a\\nb\"\n"), 3, "not a value"),
        ("basic_auth_users:\n  a: plain\n".to_owned(), 2, "not a bcrypt hash"),
        (format!("basic_auth_users:\n  a: {dear}\n"), 2, "20 seconds"),
        ("basic_auth_users:\n  a: [\n".to_owned(), 2, ""),
        ("basic_auth_users:\n  a: x\n  a: x\n".to_owned(), 3, ""),
        ("- a\n".to_owned(), 1, ""),
        ("a: &a [*a, *a]\n".to_owned(), 1, ""),
    ] {
        fs::write(&path, &text).unwrap();
        let error = read(&path).expect_err(&text);
        let place = if line == 0 { "web.yml: ".to_owned() } else { format!("web.yml:{line}: ") };
        assert!(error.contains(&place) && error.contains(word) && !error.contains('\n'), "{text}{error}");
    }
    assert!(read(&folder.path().join("none.yml")).unwrap_err().contains("cannot read the web configuration"));
}

#[test]
fn files_that_change_are_read_again_and_broken_ones_are_not_used() {
    let folder = folder();
    let path = folder.path().join("web.yml");
    fs::write(&path, TLS).unwrap();
    let live = Live::open(&path).unwrap();
    let first = live.current();
    assert!(Arc::ptr_eq(&first, &live.current()), "nothing changed");
    certificate(folder.path());
    let second = live.current();
    assert!(!Arc::ptr_eq(first.tls.as_ref().unwrap(), second.tls.as_ref().unwrap()));
    fs::write(&path, format!("{TLS}basic_auth_users:\n  a: wrong\n")).unwrap();
    assert!(Arc::ptr_eq(&second, &live.current()));
    assert!(live.error().unwrap().contains("not a bcrypt hash"));
    fs::write(&path, "").unwrap();
    assert!(live.current().tls.is_none());
    assert_eq!(live.error(), None);
    fs::remove_file(&path).unwrap();
    assert!(live.current().tls.is_none());
    assert!(live.error().unwrap().contains("cannot read"));
}

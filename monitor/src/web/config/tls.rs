//! `tls_server_config`, as rustls does it.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_saphyr::Spanned;
use tokio_rustls::rustls::crypto::aws_lc_rs::{ALL_KX_GROUPS, default_provider};
use tokio_rustls::rustls::crypto::{CryptoProvider, SupportedKxGroup};
use tokio_rustls::rustls::{
    CipherSuite, NamedGroup, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, version,
};

use super::clients;
use super::file::{Source, Tls};

/// Names as Go and exporter-toolkit have them. TLS 1.3 suites are always on, as there.
const SUITES: [(&str, CipherSuite); 9] = [
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

const CURVES: [(&str, NamedGroup); 3] =
    [("CurveP256", NamedGroup::secp256r1), ("CurveP384", NamedGroup::secp384r1), ("X25519", NamedGroup::X25519)];

/// The server side of TLS, with HTTP/2 where that is wanted; `None` where the section asks for none.
pub(super) fn server(given: &Tls, http2: bool, source: &mut Source<'_>) -> Result<Option<Arc<ServerConfig>>, String> {
    let set = |text: &Option<Spanned<String>>| text.as_ref().is_some_and(|text| !text.value.is_empty());
    if ![&given.cert_file, &given.key_file, &given.client_auth_type, &given.client_ca_file].into_iter().any(set) {
        return Ok(None);
    }
    let named = |name: &'static str, text: &Option<Spanned<String>>| {
        text.clone()
            .filter(|text| !text.value.is_empty())
            .ok_or_else(|| format!("tls_server_config: {name} is missing"))
    };
    let cert_file = named("cert_file", &given.cert_file).map_err(|what| source.whole(&what))?;
    let key_file = named("key_file", &given.key_file).map_err(|what| source.whole(&what))?;

    let mut provider = default_provider();
    let chosen = suites(given, source)?;
    if let Some(chosen) = &chosen {
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() || chosen.contains(&suite.suite()));
        // In the order of the file.
        let place = |suite: &SupportedCipherSuite| chosen.iter().position(|it| *it == suite.suite());
        provider.cipher_suites.sort_by_key(|suite| (suite.tls13().is_none(), place(suite)));
    }
    if let Some(groups) = groups(given, source)? {
        provider.kx_groups = groups;
    }
    let tls12 = provider.cipher_suites.iter().any(|suite| suite.tls13().is_none());
    let versions = versions(given, tls12, source)?;
    let provider = Arc::new(provider);

    let certificate = source.named(&cert_file)?;
    let chain = chain(&certificate).map_err(|what| source.at(cert_file.referenced, &what))?;
    let key = zeroize::Zeroizing::new(source.named(&key_file)?);
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|error| source.at(key_file.referenced, &format!("no private key in the file: {error}")))?;
    let verifier = clients::verifier(given, &provider, source)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| source.whole(&format!("tls_server_config: {error}")))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| source.at(cert_file.referenced, &format!("certificate and key do not fit: {error}")))?;
    config.ignore_client_order = given.prefer_server_cipher_suites.unwrap_or(true);
    let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Some(Arc::new(config)))
}

/// The certificates of a PEM file: at least one.
pub(super) fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| format!("not a certificate in PEM: {error}"))?;
    if chain.is_empty() { Err("no certificate in the file".to_owned()) } else { Ok(chain) }
}

fn versions(given: &Tls, tls12: bool, source: &Source<'_>) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let rank = |name: &'static str, text: &Option<Spanned<String>>, default: u8| match text {
        None => Ok(default),
        Some(text) => match text.value.as_str() {
            "TLS12" => Ok(2),
            "TLS13" => Ok(3),
            "TLS10" | "TLS11" => {
                Err(source.at(text.referenced, &format!("{name}: TLS 1.0 and 1.1 are not spoken: use TLS12 or TLS13")))
            }
            _ => Err(source.at(text.referenced, &format!("{name}: unknown TLS version: use TLS12 or TLS13"))),
        },
    };
    let (min, max) = (rank("min_version", &given.min_version, 2)?, rank("max_version", &given.max_version, 3)?);
    let mut versions = Vec::new();
    if max >= 3 {
        versions.push(&version::TLS13);
    }
    if min <= 2 && tls12 {
        versions.push(&version::TLS12);
    }
    match versions.is_empty() || min > max {
        true => Err(source.whole("tls_server_config: min_version, max_version and cipher_suites leave no TLS version")),
        false => Ok(versions),
    }
}

fn suites(given: &Tls, source: &Source<'_>) -> Result<Option<Vec<CipherSuite>>, String> {
    let Some(names) = given.cipher_suites.as_ref().filter(|names| !names.is_empty()) else { return Ok(None) };
    let suite = |name: &Spanned<String>| {
        let known = SUITES.iter().find(|(known, _)| *known == name.value).map(|&(_, suite)| suite);
        known.ok_or_else(|| {
            let all: Vec<&str> = SUITES.iter().map(|(known, _)| *known).collect();
            source.at(
                name.referenced,
                &format!("cipher_suites: {:?} is not offered, only {}", name.value, all.join(", ")),
            )
        })
    };
    names.iter().map(suite).collect::<Result<_, _>>().map(Some)
}

fn groups(given: &Tls, source: &Source<'_>) -> Result<Option<Vec<&'static dyn SupportedKxGroup>>, String> {
    let Some(names) = given.curve_preferences.as_ref().filter(|names| !names.is_empty()) else { return Ok(None) };
    let group = |name: &Spanned<String>| {
        let known = CURVES.iter().find(|(known, _)| *known == name.value);
        let group = known.and_then(|(_, wanted)| ALL_KX_GROUPS.iter().find(|group| group.name() == *wanted));
        group.copied().ok_or_else(|| {
            let what = format!("curve_preferences: {:?} is not offered, only CurveP256, CurveP384, X25519", name.value);
            source.at(name.referenced, &what)
        })
    };
    names.iter().map(group).collect::<Result<_, _>>().map(Some)
}

/// The algorithms for signatures of clients.
pub(super) type Algorithms = tokio_rustls::rustls::crypto::WebPkiSupportedAlgorithms;

pub(super) const fn algorithms(provider: &CryptoProvider) -> Algorithms {
    provider.signature_verification_algorithms
}

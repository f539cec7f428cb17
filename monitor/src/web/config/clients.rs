//! Client certificates: the five policies of Go's `tls.ClientAuthType`, and the names that a certificate has to have.

use std::net::IpAddr;
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::file::{Source, Tls};
use super::tls::{Algorithms, algorithms, chain};

/// What `client_auth_type` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    /// A client without a certificate is turned away.
    required: bool,
    /// A certificate has to come from one of the authorities.
    verified: bool,
}

/// Who checks certificates of clients; `None`: they are not asked for.
pub(super) fn verifier(
    given: &Tls,
    provider: &Arc<CryptoProvider>,
    source: &mut Source<'_>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let kind = given.client_auth_type.as_ref();
    let policy = match kind.map_or("", |kind| kind.value.as_str()) {
        "" | "NoClientCert" => None,
        "RequestClientCert" => Some(Policy { required: false, verified: false }),
        "RequireAnyClientCert" | "RequireClientCert" => Some(Policy { required: true, verified: false }),
        "VerifyClientCertIfGiven" => Some(Policy { required: false, verified: true }),
        "RequireAndVerifyClientCert" => Some(Policy { required: true, verified: true }),
        _ => {
            let what = "client_auth_type: one of NoClientCert, RequestClientCert, RequireAnyClientCert, \
                        VerifyClientCertIfGiven, RequireAndVerifyClientCert";
            return Err(kind.map_or_else(|| source.whole(what), |kind| source.at(kind.referenced, what)));
        }
    };
    let authorities = given.client_ca_file.as_ref().filter(|name| !name.value.is_empty());
    let sans = given.client_allowed_sans.as_ref().filter(|sans| !sans.value.is_empty());
    let verified = policy.is_some_and(|policy| policy.verified);
    if let Some(authorities) = authorities.filter(|_| policy.is_none()) {
        let what = "client_ca_file: needs a client_auth_type that asks for certificates";
        return Err(source.at(authorities.referenced, what));
    }
    if let Some(sans) = sans.filter(|_| !verified) {
        let what = "client_allowed_sans: names of certificates that nobody verified say nothing: needs client_auth_type \
                    VerifyClientCertIfGiven or RequireAndVerifyClientCert";
        return Err(source.at(sans.referenced, what));
    }
    let Some(policy) = policy else { return Ok(None) };
    let inner = match (policy.verified, authorities) {
        (false, _) => None,
        (true, None) => {
            let what = "tls_server_config: this client_auth_type needs client_ca_file";
            return Err(source.whole(what));
        }
        (true, Some(name)) => {
            let mut roots = RootCertStore::empty();
            let pem = source.named(name)?;
            for certificate in chain(&pem).map_err(|what| source.at(name.referenced, &what))? {
                let added = roots.add(certificate);
                added.map_err(|error| source.at(name.referenced, &format!("not an authority: {error}")))?;
            }
            let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
            Some(built.map_err(|error| source.at(name.referenced, &error.to_string()))?)
        }
    };
    Ok(Some(Arc::new(Verifier {
        required: policy.required,
        inner,
        sans: sans.map(|sans| sans.value.clone()).unwrap_or_default(),
        algorithms: algorithms(provider),
    })))
}

#[derive(Debug)]
struct Verifier {
    required: bool,
    /// Verifies the chain; `None`: any certificate will do whose key the client has.
    inner: Option<Arc<dyn ClientCertVerifier>>,
    /// A certificate has one of these names; empty: any.
    sans: Vec<String>,
    algorithms: Algorithms,
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.as_ref().map_or(&[], |inner| inner.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = match &self.inner {
            Some(inner) => inner.verify_client_cert(certificate, others, now)?,
            None => ClientCertVerified::assertion(),
        };
        if self.sans.is_empty() || names(certificate).iter().any(|name| self.sans.contains(name)) {
            Ok(verified)
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The names of a certificate (RFC 5280 section 4.2.1.6) as Go writes them: DNS names, e-mail addresses, IP addresses, URIs.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(sans)) = parsed.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    };
    sans.value.general_names.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn all_kinds_of_names_are_read() {
        use rcgen::{CertificateParams, KeyPair, SanType};
        let mut params = CertificateParams::new(["dns.example".to_owned(), "192.0.2.1".to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress("2001:db8::1".parse().unwrap()));
        params.subject_alt_names.push(SanType::URI("spiffe://a/b".try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("a@b.example".try_into().unwrap()));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(
            names(certificate.der()),
            ["dns.example", "192.0.2.1", "2001:db8::1", "spiffe://a/b", "a@b.example"]
        );
        assert!(names(&vec![0x30, 0x80].into()).is_empty());
    }
}

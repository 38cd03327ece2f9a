//! TLS to the database, by the modes of libpq.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::Result;
use crate::option_value::{invalid, unknown};

type TlsResult<T> = std::result::Result<T, rustls::Error>;

/// What the certificate of the server must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing: the connection is encrypted, to whatever answers.
    Any,
    /// That one of the authorities in this file has issued it.
    Authority(PathBuf),
    /// That it was issued for the host, by one of the authorities in this file, or else by one that
    /// the system trusts.
    Host(Option<PathBuf>),
}

impl Trust {
    /// Returns what the modes `sslmode` and `sslrootcert` of libpq mean.
    ///
    /// # Errors
    ///
    /// `invalid_option`
    pub(super) fn named(mode: Option<&str>, authority: Option<PathBuf>) -> Result<(SslMode, Self)> {
        let is_system = authority.as_ref().is_some_and(|path| path.as_os_str() == "system");
        let mode = mode.unwrap_or(if is_system { "verify-full" } else { "prefer" });
        if is_system && mode != "verify-full" {
            let problem = "while any public authority is trusted by sslrootcert=system";
            let fix = "use verify-full";
            return Err(invalid("sslmode of the store", format_args!("{mode:?}"), problem, fix));
        }
        match (mode, authority.filter(|_| !is_system)) {
            ("disable", _) => Ok((SslMode::Disable, Self::Any)),
            ("allow" | "prefer", _) => Ok((SslMode::Prefer, Self::Any)),
            ("require", None) => Ok((SslMode::Require, Self::Any)),
            ("require" | "verify-ca", Some(file)) => Ok((SslMode::Require, Self::Authority(file))),
            ("verify-full", file) => Ok((SslMode::Require, Self::Host(file))),
            ("verify-ca", None) => {
                let problem = "and no file has the authority";
                let fix = "name it by sslrootcert, or use verify-full";
                Err(invalid("sslmode of the store", "\"verify-ca\"", problem, fix))
            }
            _ => {
                let fix = "use disable, prefer, require, verify-ca or verify-full";
                Err(unknown("sslmode of the store", mode, fix))
            }
        }
    }

    /// Returns what sets up TLS with a server.
    ///
    /// # Errors
    ///
    /// A text that says which authorities cannot be read.
    pub(super) fn connector(&self) -> std::result::Result<MakeRustlsConnect, String> {
        let provider = Arc::new(ring::default_provider());
        let verifier = self.verifier(&provider)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("cannot set up TLS: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> std::result::Result<Arc<dyn ServerCertVerifier>, String> {
        let no_system = |error| format!("the authorities of the system cannot be read: {error}");
        let file = match self {
            Self::Any => {
                return Ok(Arc::new(Lenient { chain: None, provider: Arc::clone(provider) }));
            }
            Self::Host(None) => {
                let verifier = Verifier::new(Arc::clone(provider)).map_err(no_system)?;
                return Ok(Arc::new(verifier));
            }
            Self::Authority(file) | Self::Host(Some(file)) => file,
        };
        let chain = read_authorities(file).and_then(|authorities| {
            let builder = WebPkiServerVerifier::builder_with_provider(
                Arc::new(authorities),
                Arc::clone(provider),
            );
            builder.build().map_err(|error| error.to_string())
        });
        let chain = chain.map_err(|why| {
            format!("the authorities in {} cannot be used: {why}", file.display())
        })?;
        if matches!(self, Self::Host(_)) {
            return Ok(chain);
        }
        Ok(Arc::new(Lenient { chain: Some(chain), provider: Arc::clone(provider) }))
    }
}

fn read_authorities(path: &PathBuf) -> std::result::Result<RootCertStore, String> {
    let mut authorities = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| error.to_string())?;
        authorities.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(authorities)
}

/// Accepts a certificate for any host: one that `chain` accepts but for its name, or, without a
/// chain, any. The server must still show that it has the key.
#[derive(Debug)]
struct Lenient {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> TlsResult<ServerCertVerified> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        // The name is what it looks at last.
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> TlsResult<HandshakeSignatureValid> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> TlsResult<HandshakeSignatureValid> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

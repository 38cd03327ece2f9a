//! The HTTP client of a token endpoint: its proxy, and the certificate authorities that it trusts.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Proxy, redirect};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use url::Url;

use super::config::HttpTokenEndpointConfig;
use super::proxy;

type Result<T> = std::result::Result<T, String>;

/// Creates a client for the URLs of `config` and for `more`. It reads the system's certificate
/// authorities if one of the URLs needs them.
pub(crate) fn http_client(config: &HttpTokenEndpointConfig, more: &[&Url]) -> Result<Client> {
    let urls = [&config.token_url, &config.revoke_url].into_iter().chain(more.iter().copied());
    let urls: Vec<_> = urls.collect();
    let tls = if urls.iter().any(|url| url.scheme() == "https") {
        tls(config.ca_certificate.as_deref())?
    } else {
        without_trust()?
    };
    let failed = |error| format!("cannot set up HTTP: {error}");
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        // Redemptions are rare. If the server is closing a reused connection, it is not known
        // whether it got the request.
        .pool_max_idle_per_host(0)
        .connect_timeout(Duration::from_secs(10));
    if let Some(proxy) = &config.proxy {
        // For https only: a proxy could read the tokens in the plain http that is allowed on
        // loopback.
        builder = builder.proxy(Proxy::https(proxy.expose()).map_err(failed)?);
    } else if !proxy::is_environments(config, &urls) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(failed)
}

/// Returns a TLS set-up that trusts the system's certificate authorities, and those in the PEM file
/// `extra`.
pub(crate) fn tls(extra: Option<&Path>) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let authorities = extra.map(read_authorities).transpose()?.unwrap_or_default();
    let verifier =
        Verifier::new_with_extra_roots(authorities, Arc::clone(&provider)).map_err(no_tls)?;
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(no_tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// Returns a TLS set-up that trusts no authority, for plain HTTP: to read the system's authorities
/// takes longer than a refresh on loopback, and fails if there are none.
fn without_trust() -> Result<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(no_tls)?;
    Ok(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unusable = |why: &dyn fmt::Display| {
        format!("cannot read the certificates of {}: {why}", path.display())
    };
    let authorities = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|error| unusable(&error))?;
    if authorities.is_empty() {
        return Err(unusable(&"it contains none"));
    }
    Ok(authorities)
}

fn no_tls(error: impl fmt::Display) -> String {
    format!(
        "cannot set up TLS: {error}; check the certificate authorities of this machine, for instance \
         the package ca-certificates or SSL_CERT_FILE"
    )
}

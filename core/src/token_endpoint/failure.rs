//! Why a request got no answer, in one line: what happened, where, and what to do.

use std::error::Error as StdError;
use std::io;
use std::iter::successors;

use rustls::CertificateError;
use url::Url;

use super::config::HttpTokenEndpointConfig;
use super::proxy;

type Cause<'a> = &'a (dyn StdError + 'static);

/// Returns one line about the failed request to `url`, which was sent as `config` says: with the
/// causes of the failure, and what to do about it where that is known.
pub(crate) fn describe(
    config: &HttpTokenEndpointConfig,
    url: &Url,
    error: reqwest::Error,
) -> String {
    let error = error.without_url();
    let host = url.host_str().unwrap_or_default();
    let proxy = proxy::name_for(config, url);
    let way = proxy.as_deref().map(|name| format!(" through the proxy of {name}"));
    let mut causes: Vec<Cause<'_>> = vec![&error];
    causes.extend(successors(error.source(), |&cause| cause.source()));
    let texts: Vec<_> = causes.iter().map(ToString::to_string).collect();
    let mut line =
        format!("no answer from {host}{}: {}", way.unwrap_or_default(), texts.join(": "));
    let advice = causes
        .iter()
        .find_map(|cause| certificate_error(*cause))
        .map(about_certificate)
        .or_else(|| proxy.filter(|_| error.is_connect()).map(|name| format!("check {name}")))
        .or_else(|| is_about_name(&texts).then(|| ABOUT_NAME.to_owned()));
    if let Some(advice) = advice {
        line.push_str("; ");
        line.push_str(&advice);
    }
    line
}

const ABOUT_NAME: &str = "check the network and its DNS, or name the proxy in HTTPS_PROXY if there \
                          is one";

/// Returns whether the host's name was looked up in vain.
fn is_about_name(texts: &[String]) -> bool {
    texts.iter().any(|text| text.starts_with("dns error"))
}

/// Returns what is wrong with the server's certificate, if that is the cause. An `io::Error` does not
/// name what it holds as its source, and may hold another one.
fn certificate_error(cause: Cause<'_>) -> Option<&CertificateError> {
    if let Some(held) = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return certificate_error(held);
    }
    match cause.downcast_ref()? {
        rustls::Error::InvalidCertificate(error) => Some(error),
        _ => None,
    }
}

fn about_certificate(error: &CertificateError) -> String {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext,
    };
    match error {
        Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. } => {
            "its certificate does not hold at this time; check the clock of this machine"
        }
        NotValidForName | NotValidForNameContext { .. } => {
            "its certificate is for another host; a portal of the network, or a proxy, may answer \
             in its place"
        }
        _ => {
            "this machine does not trust its certificate; if a proxy inspects TLS, name the PEM \
             file of its authority in CODEX_CA_CERTIFICATE or SSL_CERT_FILE"
        }
    }
    .to_owned()
}

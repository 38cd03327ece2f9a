//! The origins to which credentials may be sent.

use std::sync::Arc;

use url::{Origin, Url};

use crate::error::{Error, ErrorKind, Result};
use crate::option_value::{invalid, shown};
use crate::snapshot::AuthMode;
use crate::transport::is_protected;

/// The origins of the ChatGPT backend and of the API, as RFC 6454 defines an origin.
const CHATGPT: &str = "https://chatgpt.com";
const API: &str = "https://api.openai.com";

/// The origins to which requests with a credential may be sent.
#[derive(Debug, Clone)]
pub(crate) struct AllowedOrigins {
    chatgpt: AllowedOrigin,
    api: AllowedOrigin,
    named: Vec<AllowedOrigin>,
}

/// The origin to which a request is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// An origin that the option `allowed_origins` names.
    Named,
    /// That of the ChatGPT backend.
    ChatGpt,
    /// That of the OpenAI API.
    Api,
    /// Another origin.
    Other(Arc<str>),
    /// The URL of the request cannot be parsed.
    Nowhere,
}

#[derive(Debug, Clone)]
struct AllowedOrigin {
    origin: Origin,
    /// The beginning of its URLs, as they are usually written.
    text: String,
}

impl From<Origin> for AllowedOrigin {
    fn from(origin: Origin) -> Self {
        Self { text: origin.ascii_serialization(), origin }
    }
}

impl AllowedOrigin {
    /// Returns whether `url` has this origin, by its text alone. False if it must be parsed.
    fn begins(&self, url: &str) -> bool {
        let rest = url.strip_prefix(&self.text);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
    }
}

impl Default for AllowedOrigins {
    fn default() -> Self {
        let known = |text| {
            Url::parse(text).map_or_else(|_| Origin::new_opaque(), |url| url.origin()).into()
        };
        Self { chatgpt: known(CHATGPT), api: known(API), named: Vec::new() }
    }
}

impl AllowedOrigins {
    /// Returns the origins that are always allowed, and those in `names`.
    pub(crate) fn with(names: &[String]) -> Result<Self> {
        let named = names.iter().map(|name| Ok(parse(name)?.into())).collect::<Result<_>>()?;
        Ok(Self { named, ..Self::default() })
    }

    /// Returns the origin of `url`. Most requests go to allowed origins, whose URLs are not parsed.
    pub(crate) fn destination(&self, url: &str) -> Destination {
        if let Some(allowed) = self.find(|allowed| allowed.begins(url)) {
            return allowed;
        }
        let Ok(url) = Url::parse(url) else { return Destination::Nowhere };
        let origin = url.origin();
        self.find(|allowed| allowed.origin == origin)
            .unwrap_or_else(|| Destination::Other(origin.ascii_serialization().into()))
    }

    fn find(&self, is_it: impl Fn(&AllowedOrigin) -> bool) -> Option<Destination> {
        if self.named.iter().any(&is_it) {
            Some(Destination::Named)
        } else if is_it(&self.chatgpt) {
            Some(Destination::ChatGpt)
        } else {
            is_it(&self.api).then_some(Destination::Api)
        }
    }
}

impl Destination {
    /// Returns whether a credential of any kind may be sent there.
    pub(crate) fn is_allowed(&self) -> bool {
        matches!(self, Self::Named | Self::ChatGpt | Self::Api)
    }

    /// Returns why a request is sent there without the credential.
    pub(crate) fn left_out(&self) -> Error {
        match self {
            Self::Other(origin) => refused(&format!(
                "a request to {origin} is sent without the credential; add that to allowed_origins \
                 if it may get the credential"
            )),
            _ => refused(
                "a request is sent without the credential, since its URL cannot be parsed; correct \
                 it",
            ),
        }
    }

    /// Fails if a credential of `mode` must not be sent there.
    pub(crate) fn check(&self, mode: AuthMode) -> Result<()> {
        let own = if mode == AuthMode::ApiKey { API } else { CHATGPT };
        let origin = match self {
            Self::Named => return Ok(()),
            Self::ChatGpt => CHATGPT,
            Self::Api => API,
            Self::Other(origin) => origin,
            Self::Nowhere => {
                return Err(refused("the URL of the request cannot be parsed; correct it"));
            }
        };
        if origin == own {
            return Ok(());
        }
        Err(refused(&format!(
            "a credential of mode {} may be sent to {own}, not to {origin}; add that to \
             allowed_origins if it may get the credential",
            mode.as_str(),
        )))
    }
}

fn refused(message: &str) -> Error {
    Error::new(ErrorKind::OriginNotAllowed, message)
}

fn parse(name: &str) -> Result<Origin> {
    let refuse = |what: &str| {
        let fix = "name an origin, https://host or https://host:port";
        Err(invalid("allowed_origins", shown(name), what, fix))
    };
    let Ok(url) = Url::parse(name) else { return refuse("which is not a URL") };
    let origin = url.origin();
    let is_bare = name.trim_end_matches('/').eq_ignore_ascii_case(&origin.ascii_serialization())
        || url.as_str().trim_end_matches('/') == origin.ascii_serialization();
    if !is_bare {
        return refuse("which is more than an origin");
    }
    if !is_protected(&url) {
        return refuse("which would get tokens unencrypted (http is for loopback only)");
    }
    Ok(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_goes_to_its_own_origin_and_to_those_named() {
        let allowed =
            AllowedOrigins::with(&["https://gateway.example:8443/".to_owned()]).expect("fine");
        let is_allowed = |url: &str, mode| allowed.destination(url).check(mode).is_ok();
        assert!(is_allowed("https://chatgpt.com/backend-api/codex/responses", AuthMode::ChatGpt));
        assert!(is_allowed("https://api.openai.com/v1/responses", AuthMode::ApiKey));
        assert!(is_allowed("https://gateway.example:8443/v1", AuthMode::ChatGpt));
        for (url, mode) in [
            ("https://api.openai.com/v1", AuthMode::ChatGpt),
            ("https://chatgpt.com/", AuthMode::ApiKey),
            ("http://chatgpt.com/", AuthMode::ChatGpt),
            ("https://chatgpt.com:444/", AuthMode::ChatGpt),
            ("https://chatgpt.com.example/", AuthMode::ChatGpt),
            ("https://chatgpt.com@example.org/", AuthMode::ChatGpt),
            ("https://gateway.example/v1", AuthMode::ChatGpt),
        ] {
            let error = allowed.destination(url).check(mode).expect_err(url);
            assert_eq!(error.code(), "origin_not_allowed");
        }
    }

    #[test]
    fn a_named_origin_is_bare_and_protected() {
        for name in
            ["https://a.example", "https://a.example:8443", "http://127.0.0.1:9", "http://[::1]:9/"]
        {
            assert!(AllowedOrigins::with(&[name.to_owned()]).is_ok(), "{name}");
        }
        for name in [
            "a.example",
            "http://a.example",
            "https://a.example/v1",
            "https://a.example?x",
            "https://user:pass@a.example",
            "ftp://a.example",
            "*",
            "",
        ] {
            let error = AllowedOrigins::with(&[name.to_owned()]).expect_err(name);
            assert_eq!(error.code(), "invalid_option", "{name}");
            assert!(!error.to_string().contains("pass@"), "{error}");
        }
    }

    #[test]
    fn no_way_of_writing_a_url_makes_its_origin_another_one() {
        let allowed = AllowedOrigins::with(&["http://127.0.0.1:8080".to_owned()]).expect("fine");
        for url in [
            "https://chatgpt.com",
            "https://chatgpt.com/backend-api",
            "https://chatgpt.com?q",
            "https://chatgpt.com#f",
            "https://chatgpt.com:443/",
            "https://chatgpt.com.evil.example/",
            "https://chatgpt.com@evil.example/",
            "https://chatgpt.com:x@evil.example/",
            "https://chatgpt.com\\@evil.example/",
            "https://chatgpt.com\t.evil.example/",
            "https://chatgpt.com%2eevil.example/",
            " https://chatgpt.com/",
            "HTTPS://ChatGPT.com/",
            "http://127.0.0.1:8080/v1",
            "http://127.0.0.1:80801/v1",
            "no url",
        ] {
            let by_parsing = match Url::parse(url).map(|url| url.origin().ascii_serialization()) {
                Ok(origin) if origin == CHATGPT => Destination::ChatGpt,
                Ok(origin) if origin == "http://127.0.0.1:8080" => Destination::Named,
                Ok(origin) => Destination::Other(origin.into()),
                Err(_) => Destination::Nowhere,
            };
            assert_eq!(allowed.destination(url), by_parsing, "{url:?}");
        }
    }
}

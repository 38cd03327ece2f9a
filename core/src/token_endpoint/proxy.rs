//! The proxy that the environment names. The HTTP client reads the same variables, and ignores
//! one that it cannot use.

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::config::HttpTokenEndpointConfig;
use crate::error::Result;
use crate::option_value::invalid;
use crate::transport::is_loopback;
use crate::variable;

/// The variables that name a proxy for `https`. Of the two spellings of a name the first counts that
/// is there, even if it is empty.
const NAMES: [[&str; 2]; 2] = [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];

/// The variables that name the hosts for which there is no proxy.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The proxy of the environment.
struct EnvironmentProxy {
    variable: &'static str,
    value: String,
    exceptions: String,
}

impl EnvironmentProxy {
    /// Returns the proxy that the environment names.
    ///
    /// # Errors
    ///
    /// `invalid_option` if a variable is no text.
    fn find() -> Result<Option<Self>> {
        let named = match first(NAMES[0])? {
            Some(named) => Some(named),
            None => first(NAMES[1])?,
        };
        let Some((variable, value)) = named else { return Ok(None) };
        let exceptions = first(EXCEPTIONS)?.map(|(_, value)| value).unwrap_or_default();
        Ok(Some(Self { variable, value, exceptions }))
    }

    /// Returns whether a request to `url` is sent through it.
    fn carries(&self, url: &Url) -> bool {
        // Any proxy will do: only the exceptions are asked.
        let matcher = Matcher::builder().all("http://proxy").no(&*self.exceptions).build();
        url.scheme() == "https" && intercepts(&matcher, url.as_str())
    }

    /// Returns whether the HTTP client can use it.
    fn is_usable(&self) -> bool {
        intercepts(&Matcher::builder().all(&*self.value).build(), "https://host")
    }

    /// Fails if requests to `urls` would go past it, since it cannot be used.
    fn check(&self, urls: &[&Url]) -> Result<()> {
        if self.is_usable() || !urls.iter().any(|url| self.carries(url)) {
            return Ok(());
        }
        let problem = "which is not the URL of a proxy that can be used";
        let fix = "name an http, https, socks5 or socks5h one, such as http://host:port, or leave \
                   the host out by NO_PROXY";
        Err(invalid(&format!("${}", self.variable), "a text (not shown)", problem, fix))
    }
}

/// Returns the first of the variables `names` that is there, and its value; none if that is empty.
fn first(names: [&'static str; 2]) -> Result<Option<(&'static str, String)>> {
    let Some(name) = names.into_iter().find(|name| variable::is_there(name)) else {
        return Ok(None);
    };
    Ok(variable::verbatim(name)?.map(|value| (name, value)))
}

fn intercepts(matcher: &Matcher, url: &str) -> bool {
    url.parse().is_ok_and(|url| matcher.intercept(&url).is_some())
}

/// Returns whether requests to `urls` go through the environment's proxy, if it names one. It may run
/// on another machine, which cannot reach the loopback of this one.
pub(super) fn is_environments(config: &HttpTokenEndpointConfig, urls: &[&Url]) -> bool {
    config.proxy.is_none() && !urls.iter().any(|url| is_loopback(url))
}

/// Fails if the environment names a proxy for the endpoints of `config` that cannot be used.
///
/// # Errors
///
/// `invalid_option`, which names the variable.
pub(crate) fn check_environment(config: &HttpTokenEndpointConfig) -> Result<()> {
    let urls = [&config.token_url, &config.revoke_url];
    if !is_environments(config, &urls) {
        return Ok(());
    }
    EnvironmentProxy::find()?.map_or(Ok(()), |proxy| proxy.check(&urls))
}

/// Returns what names the proxy of a request to `url`; none if it is sent without one.
pub(super) fn name_for(config: &HttpTokenEndpointConfig, url: &Url) -> Option<String> {
    if config.proxy.is_some() {
        return (url.scheme() == "https").then(|| "the option `proxy`".to_owned());
    }
    if !is_environments(config, &[&config.token_url, &config.revoke_url, url]) {
        return None;
    }
    let proxy = EnvironmentProxy::find().ok().flatten()?;
    proxy.carries(url).then(|| format!("${}", proxy.variable))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(unix)]
    use crate::child;

    fn proxy(value: &str, exceptions: &str) -> EnvironmentProxy {
        let (value, exceptions) = (value.to_owned(), exceptions.to_owned());
        EnvironmentProxy { variable: "ALL_PROXY", value, exceptions }
    }

    #[test]
    fn a_proxy_that_would_be_passed_over_is_refused_by_name_where_it_would_be_used() {
        let url: Url = "https://auth.openai.com/oauth/token".parse().expect("a URL");
        for usable in [
            "http://proxy:3128",
            "proxy:3128",
            "https://user:secret@proxy:1",
            "socks5://proxy:1080",
            "socks5h://user:secret@proxy:1080",
        ] {
            proxy(usable, "").check(&[&url]).expect(usable);
        }
        for junk in ["socks://secret:1080", "ftp://secret:21", "ht!tp://secret", "secret proxy"] {
            let error = proxy(junk, "").check(&[&url]).expect_err(junk);
            assert_eq!(error.code(), "invalid_option", "{junk}");
            let text = error.to_string();
            assert!(text.starts_with("$ALL_PROXY is") && !text.contains("secret"), "{text}");
            for exempt in ["*", "openai.com", "localhost, auth.openai.com"] {
                proxy(junk, exempt).check(&[&url]).expect(exempt);
            }
            let elsewhere = proxy(junk, "example.com").check(&[&url]);
            assert!(elsewhere.is_err(), "{junk}");
            let plain: Url = "http://127.0.0.1:1/".parse().expect("a URL");
            proxy(junk, "").check(&[&plain]).expect("only https goes through it");
        }
    }

    #[cfg(unix)]
    #[test]
    fn an_empty_variable_hides_its_other_spelling_from_this_crate_as_from_the_http_client() {
        const TEST: &str = "token_endpoint::proxy::tests::\
            an_empty_variable_hides_its_other_spelling_from_this_crate_as_from_the_http_client";
        if child::role().is_some() {
            let named = EnvironmentProxy::find().expect("texts").map(|proxy| proxy.variable);
            let expected = Matcher::from_env().intercept(&"https://host".parse().expect("a URL"));
            assert_eq!(expected.map(|_| "ALL_PROXY"), named);
            return;
        }
        for all in ["", "http://proxy:1"] {
            let mut child = child::playing(TEST, "reader");
            child.envs([("HTTPS_PROXY", ""), ("https_proxy", "http://other:1")]);
            let output = child::play(child.env("ALL_PROXY", all));
            assert!(output.status.success(), "{all}: {output:?}");
        }
    }
}

//! The token endpoint, and the results of a redemption.

mod body;
mod classify;
mod client;
mod config;
mod failure;
mod http;
mod proxy;
mod redemption;

pub(crate) use self::body::read_body;
pub(crate) use self::classify::advice;
#[cfg(feature = "test-util")]
pub(crate) use self::classify::{Reply, classify, retry_after};
pub(crate) use self::client::http_client;
#[cfg(feature = "reqwest")]
pub(crate) use self::client::tls;
pub use self::config::{HttpTokenEndpointConfig, ProxyUrl, TokenEncoding};
pub(crate) use self::failure::describe;
pub use self::http::HttpTokenEndpoint;
#[cfg(feature = "cli")]
pub(crate) use self::http::date;
pub(crate) use self::proxy::check_environment;
pub use self::redemption::{
    Grant, NoAnswer, Redemption, RefusalReason, StoredToken, TokenEndpoint, TokenReply,
    TokenTypeHint,
};

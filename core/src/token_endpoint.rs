//! The token endpoint, and the results of a redemption.

mod body;
mod classify;
mod client;
mod config;
mod http;
mod redemption;

pub(crate) use self::body::read_body;
#[cfg(feature = "test-util")]
pub(crate) use self::classify::{Reply, classify, retry_after};
pub(crate) use self::client::http_client;
#[cfg(feature = "reqwest")]
pub(crate) use self::client::tls;
pub use self::config::{HttpTokenEndpointConfig, ProxyUrl, TokenEncoding};
pub use self::http::HttpTokenEndpoint;
#[cfg(feature = "cli")]
pub(crate) use self::http::date;
pub(crate) use self::http::describe;
pub use self::redemption::{
    Grant, NoAnswer, Redemption, RefusalReason, StoredToken, TokenEndpoint, TokenReply,
    TokenTypeHint,
};

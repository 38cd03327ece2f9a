//! The token endpoint, and the results of a redemption.

mod classify;
mod client;
mod http;
mod redemption;

#[cfg(feature = "test-util")]
pub(crate) use self::classify::{Reply, classify, retry_after};
pub use self::client::ProxyUrl;
pub(crate) use self::client::http_client;
#[cfg(feature = "reqwest")]
pub(crate) use self::client::tls;
pub use self::http::{HttpTokenEndpoint, HttpTokenEndpointConfig, TokenEncoding};
pub(crate) use self::http::{describe, read_body};
pub use self::redemption::{
    Grant, NoAnswer, Redemption, RefusalReason, TokenEndpoint, TokenReply, TokenTypeHint,
};

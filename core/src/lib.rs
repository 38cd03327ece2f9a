#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(all(unix, feature = "cli"))]
mod agent;
mod auth_dot_json;
mod background;
#[doc(hidden)]
pub mod bindings;
mod bounds;
#[cfg(all(test, unix))]
mod child;
mod claims;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "reqwest")]
mod client;
mod clock;
pub mod description;
pub mod environment;
mod error;
mod identity;
mod ledger;
#[cfg(feature = "log-hook")]
mod log_hook;
mod login;
mod manager;
mod option_value;
mod options;
mod origin;
#[cfg(test)]
#[expect(unreachable_pub, reason = "it is public in the crate `codex-auth-tests`")]
#[path = "../../tests/src/paused.rs"]
mod paused;
mod process;
mod refresh;
#[cfg(feature = "test-util")]
#[doc(hidden)]
pub mod seams;
mod secret;
mod snapshot;
mod state;
pub mod storage;
mod tasks;
pub mod token_endpoint;
mod trace;
mod transport;
mod upkeep;
mod variable;

#[cfg(feature = "reqwest")]
pub use reqwest;

#[cfg(feature = "reqwest-middleware")]
pub use client::AuthMiddleware;
#[cfg(feature = "reqwest")]
pub use client::{AuthClient, RequestError, redirect_policy};
pub use description::Description;
pub use error::{Error, ErrorKind, Result};
pub use login::{
    BrowserLogin, DeviceLogin, IdTokenValidation, LoginOptions, LoginProtocol, LogoutOptions,
    LogoutOutcome,
};
pub use manager::{AuthManager, AuthManagerBuilder, MANAGED_API_KEY, RequestAuthorization};
pub use options::RefreshMode;
pub use refresh::{GiveUpReason, UnauthorizedRecovery, UnauthorizedRecoveryDecision};
pub use secret::Secret;
pub use snapshot::{AuthMode, CodexAuth};
pub use state::{Event, Events, Stats, SyncOutcome};
pub use storage::StoreKind;
pub use token_endpoint::TokenEncoding;
pub use upkeep::{FollowStore, KeepFresh};

// The core's tests share files with the crate `codex-auth-tests`, which call this crate by its
// name.
#[cfg(test)]
extern crate self as codex_auth_sdk;

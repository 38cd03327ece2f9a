#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod auth_dot_json;
mod background;
mod bounds;
mod claims;
mod client;
mod clock;
mod environment;
mod error;
#[cfg(feature = "test-util")]
pub mod hostile;
mod identity;
mod ledger;
#[cfg(feature = "log-hook")]
mod log_hook;
mod login;
mod manager;
mod option_value;
mod options;
mod origin;
pub mod process;
mod refresh;
mod secret;
#[cfg(any(test, feature = "test-util"))]
pub mod simulation;
mod snapshot;
mod state;
mod storage;
mod tasks;
mod token_endpoint;
mod trace;
mod transport;
mod upkeep;

pub use auth_dot_json::{AuthDotJson, ExtraFields, InvalidRecord, TokenData};
pub use claims::{AccessTokenTimes, IdTokenClaims};
#[cfg(feature = "reqwest-middleware")]
pub use client::AuthMiddleware;
pub use client::{AuthClient, RequestError, redirect_policy};
pub use environment::{BootId, BoxFuture, Clock, Environment, Random, Spawner, SystemClock};
pub use error::{Error, ErrorKind, Result};
pub use identity::Identity;
pub use ledger::Ledger;
#[cfg(feature = "log-hook")]
pub use log_hook::{LogRecord, LogRecords};
pub use login::{
    BrowserLogin, DeviceLogin, IdTokenValidation, LoginOptions, LoginProtocol, LogoutOptions,
    LogoutOutcome,
};
pub use manager::{AuthManager, AuthManagerBuilder, MANAGED_API_KEY, RequestAuthorization};
pub use option_value::{milliseconds, seconds};
pub use options::RefreshMode;
pub use refresh::{GiveUpReason, UnauthorizedRecovery, UnauthorizedRecoveryDecision};
pub use secret::{Fingerprint, InvalidFingerprint, Secret};
pub use snapshot::{AuthMode, CodexAuth};
pub use state::{Event, Events, Stats, Subscription, SyncOutcome};
#[cfg(feature = "encrypted")]
pub use storage::EncryptedStorage;
#[cfg(feature = "conformance")]
pub use storage::conformance;
pub use storage::store_kind::StoreKind;
pub use storage::{
    AuthStorage, AutoStorage, CustomStorage, CustomStore, EphemeralStorage, FileStorage, Keyring,
    KeyringItem, KeyringStorage, Loaded, Prompts, Readiness, RefreshLock, Stamp, StoreAnswer,
    StoreFailure, StoreHolder, Stored, Swap, Version, system_keyring,
};
pub use token_endpoint::{
    Grant, HttpTokenEndpoint, HttpTokenEndpointConfig, NoAnswer, ProxyUrl, Redemption,
    RefusalReason, TokenEncoding, TokenEndpoint, TokenReply, TokenTypeHint,
};
pub use upkeep::{FollowStore, KeepFresh};

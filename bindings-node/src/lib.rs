//! The Node addon. It extracts arguments, calls the core and converts answers; it decides nothing.
//!
//! The TypeScript files in this folder are the facade that programs import, and the only user of
//! the addon. Errors cross the border as plain data ([`Failure`]); the facade makes exceptions of
//! them.

#![deny(unsafe_code)]

mod authorization;
mod background;
mod command;
mod custom_store;
mod events;
mod exit;
mod failure;
mod log;
mod login;
mod manager;
mod options;
mod promise;
mod recovery;
mod shared_word;
mod snapshot;
mod stats;
mod storage;
mod store_holder;
mod thrown;

pub use self::authorization::{MANAGED_API_KEY, NativeRequestAuthorization};
pub use self::background::{NativeFollowStore, NativeKeepFresh};
pub use self::command::run_command;
pub use self::custom_store::{
    NativeConnection, NativeCustomStore, NativeStoreCall, NativeStoreReply, broken_by,
};
pub use self::events::{NativeEvent, NativeSubscription};
pub use self::exit::{expect_unseen_exit, finish, finished, init};
pub use self::failure::{Failure, Outcome};
pub use self::log::{NativeLog, NativeLogField, NativeLogRecord};
pub use self::login::{NativeBrowserLogin, NativeDeviceLogin, NativeLoginOptions};
pub use self::manager::{NativeAuthManager, NativeLogout, NativeSync};
pub use self::options::NativeOptions;
pub use self::recovery::NativeRecovery;
pub use self::snapshot::{NativeCodexAuth, NativeFields, NativeHeader};
pub use self::stats::NativeStats;
pub use self::storage::NativeEphemeralStorage;
pub use self::store_holder::NativeStoreHolder;

//! The Node addon: extracts arguments, calls the core, converts what comes back.
//!
//! Nothing is decided here, and errors cross as plain data: the TypeScript facade in this folder
//! makes exceptions of them and is the only user of this addon.

mod authorization;
mod custom;
mod exit;
mod failure;
mod manager;
mod options;
mod promise;
mod recovery;
mod snapshot;
mod storage;

pub use self::authorization::{MANAGED_API_KEY, NativeRequestAuthorization};
pub use self::custom::{
    NativeConnection, NativeCustomStore, NativeStoreCall, NativeStoreReply, broken_by,
};
pub use self::exit::{finish, finished, init};
pub use self::failure::{Failure, Outcome};
pub use self::manager::{NativeAuthManager, NativeLogout, NativeStoreHolder, NativeSync};
pub use self::options::NativeOptions;
pub use self::recovery::NativeRecovery;
pub use self::snapshot::{NativeCodexAuth, NativeFields, NativeHeader};
pub use self::storage::NativeEphemeralStorage;

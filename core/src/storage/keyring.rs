//! The login in the keyring of the operating system, where the Codex CLI keeps it too.

mod attendance;
mod item;
#[cfg(any(test, target_os = "macos", windows))]
mod item_lanes;
#[cfg(any(target_os = "macos", windows))]
mod native;
mod patient;
mod provider;
#[cfg(all(unix, not(target_os = "macos")))]
mod secret_service;
mod store;
mod writing;

use std::sync::Arc;

pub use self::attendance::Attendance;
pub use self::item::KeyringItem;
#[cfg(feature = "encrypted")]
pub(super) use self::patient::PatientKeyring;
pub use self::provider::Keyring;
pub use self::store::KeyringStorage;

/// The keyring of this machine: the Secret Service of the desktop session, the keychain of macOS,
/// the credential manager of Windows. It is connected to by the first call.
pub fn system_keyring() -> Arc<dyn Keyring> {
    #[cfg(all(unix, not(target_os = "macos")))]
    return Arc::new(secret_service::SecretServiceKeyring::default());
    #[cfg(any(target_os = "macos", windows))]
    return Arc::new(native::NativeKeyring);
}

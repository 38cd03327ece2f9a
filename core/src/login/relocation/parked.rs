//! The login that waits beside its new place, as it is stored there.

use std::sync::Arc;

use super::found::unknown;
use crate::auth_dot_json::ParkingMark;
use crate::error::Result;
use crate::snapshot::CodexAuth;
use crate::storage::{AuthStorage, Version};

/// What is beside the new place.
pub(super) struct Parking {
    pub(super) parked: Option<Parked>,
    pub(super) version: Version,
}

/// A login that waits.
pub(super) struct Parked {
    pub(super) login: CodexAuth,
    pub(super) mark: ParkingMark,
    pub(super) version: Version,
}

impl Parking {
    /// Reads `storage`.
    ///
    /// # Errors
    ///
    /// `identity_mismatch` if the login there does not wait, or for a move that this version does not
    /// know; those of the store.
    pub(super) async fn at(storage: &dyn AuthStorage) -> Result<Self> {
        let loaded = storage.load().await?;
        let version = loaded.version;
        let Some(record) = loaded.record else { return Ok(Self { parked: None, version }) };
        let mark = record.parking_mark();
        let login = CodexAuth::received(Arc::new(record.unparked()), &"".into());
        let parked = match (login, mark) {
            (Some(login), Some(mark)) => Some(Parked { login, mark, version: version.clone() }),
            (None, _) => None,
            (Some(_), None) => return Err(unknown(&storage.location())),
        };
        Ok(Self { parked, version })
    }
}

//! A login that waits beside the store, since the move that was to store it there was interrupted.

use crate::Description;
use crate::environment::Environment;
use crate::storage::{Place, StoreKind};

/// A login that waits for its move.
pub(super) struct Waiting {
    pub(super) place: String,
    /// The place that it is moved from, if that is known.
    pub(super) from: Option<String>,
}

/// Returns the login that waits beside the store that `description` describes, or beside the `named` one
/// if that is a database; none also if it cannot be read.
pub(super) async fn beside(named: Option<StoreKind>, description: &Description) -> Option<Waiting> {
    let store = &description.store;
    let kind = match named {
        Some(database @ StoreKind::Postgres(_)) => database,
        _ => store.holder.unwrap_or(store.kind).parse().ok()?,
    };
    let home = description.places.home.as_ref().map_or("", |home| &home.path);
    let place = Place::open(&kind, home.as_ref(), &Environment::default()).ok()?;
    let record = place.parking.load().await.ok()?.record?;
    record.is_parked().then(|| Waiting {
        place: place.parking.location(),
        from: record.parking_mark().map(|mark| mark.from),
    })
}

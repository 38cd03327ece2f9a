//! The Secret Service of a desktop session, over its D-Bus.
//!
//! By the asynchronous client, on this crate's own thread: a call that is never answered can then
//! be given up, and a forked child makes a connection of its own, which stores that lean on a
//! thread of their library cannot.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use secret_service::{Collection, EncryptionType, Error as ServiceError, Item, SecretService};

use super::attendance::Attendance;
use super::item::KeyringItem;
use super::patient::PATIENCE_UNDER_LOCKS;
use super::provider::Keyring;
use crate::environment::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::process::PerProcess;
use crate::secret::Secret;

/// The connection, made by the first call of a process. An inherited one is the parent's: to end it
/// in a forked child would end it there.
#[derive(Default)]
pub(super) struct SecretServiceKeyring(PerProcess<SecretService<'static>>);

impl SecretServiceKeyring {
    async fn connection(&self) -> Result<Arc<SecretService<'static>>, ServiceError> {
        if let Some(connection) = self.0.get() {
            return Ok(connection);
        }
        let connection = SecretService::connect(EncryptionType::Dh).await?;
        self.0.get_or_try_make(|| Ok(connection))
    }

    /// Makes a call; once more with a new connection where the service is not the one that the
    /// first was made to: it has been started anew.
    async fn call(&self, item: &KeyringItem, call: Call<'_>) -> Result<Option<Vec<u8>>> {
        let start = Instant::now();
        let first = match self.connection().await {
            Ok(connection) => call.make(&connection, item, start).await,
            Err(error) => return Err(explained(&error)),
        };
        let answer = match first {
            Err(error) if !is_refusal(&error) => {
                self.0.clear();
                let connection = self.connection().await.map_err(|error| explained(&error))?;
                call.make(&connection, item, start).await
            }
            answer => answer,
        };
        answer.map_err(|error| explained(&error))
    }
}

/// What is asked of the service.
#[derive(Clone, Copy)]
enum Call<'a> {
    Get,
    Set(&'a Secret),
    Delete,
    Unlock,
    Ready,
}

impl Call<'_> {
    /// Only [`Call::Get`] answers anything. A write is sent while the commit locks are held for it,
    /// or not at all. Where the service has a question about it, the library asks the user, without
    /// a way to forbid that: the answer then is a late one.
    async fn make(
        self,
        service: &SecretService<'_>,
        item: &KeyringItem,
        start: Instant,
    ) -> Result<Option<Vec<u8>>, ServiceError> {
        let found = match self {
            Self::Unlock => None,
            _ => find(service, item).await?,
        };
        if matches!(self, Self::Set(_) | Self::Delete) && start.elapsed() >= PATIENCE_UNDER_LOCKS {
            return Err(ServiceError::Unavailable);
        }
        match (self, found) {
            (Self::Get, Some(found)) => return found.get_secret().await.map(Some),
            (Self::Set(value), Some(found)) => {
                found.set_secret(value.expose().as_bytes(), "text/plain").await?;
            }
            (Self::Set(value), None) => create(service, item, value).await?,
            (Self::Delete, Some(found)) => found.delete().await?,
            (Self::Get | Self::Delete, None) | (Self::Ready, Some(_)) => {}
            (Self::Ready, None) => drop(unlocked_collection(service).await?),
            (Self::Unlock, _) => unlock(service, item).await?,
        }
        Ok(None)
    }
}

impl Keyring for SecretServiceKeyring {
    fn get<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<Option<Secret>>> {
        Box::pin(async {
            let secret = self.call(item, Call::Get).await?;
            secret.map(|secret| text(secret, item)).transpose()
        })
    }

    fn set<'a>(&'a self, item: &'a KeyringItem, value: &'a Secret) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.call(item, Call::Set(value)).await.map(drop) })
    }

    fn delete<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.call(item, Call::Delete).await.map(drop) })
    }

    fn unlock<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.call(item, Call::Unlock).await.map(drop) })
    }

    fn attendance(&self) -> &Attendance {
        static ATTENDANCE: Attendance = Attendance::new();
        &ATTENDANCE
    }

    /// It is reached by the bus of a session, which is where the client looks for it.
    fn is_missing(&self) -> bool {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let folder = || format!("/run/user/{}", rustix::process::geteuid().as_raw()).into();
        let bus = Path::new(&variable("XDG_RUNTIME_DIR").unwrap_or_else(folder)).join("bus");
        variable("DBUS_SESSION_BUS_ADDRESS").is_none() && !bus.exists()
    }

    fn ready<'a>(&'a self, item: &'a KeyringItem) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { self.call(item, Call::Ready).await.map(drop) })
    }
}

impl fmt::Debug for SecretServiceKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretServiceKeyring")
    }
}

/// What the Codex CLI looks for.
fn attributes(item: &KeyringItem) -> HashMap<&str, &str> {
    HashMap::from([
        ("service", item.service()),
        ("username", item.account()),
        ("target", "default"),
    ])
}

/// The item, unlocked. Of several, which only a foreign program can have made, the CLI takes none.
async fn find<'a>(
    service: &'a SecretService<'_>,
    item: &KeyringItem,
) -> Result<Option<Item<'a>>, ServiceError> {
    let found = service.search_items(attributes(item)).await?;
    if found.unlocked.len() > 1 {
        return Err(ServiceError::NoResult);
    }
    match (found.unlocked.into_iter().next(), found.locked.is_empty()) {
        (None, false) => Err(ServiceError::Locked),
        (unlocked, _) => Ok(unlocked),
    }
}

/// What new items are made in.
async fn unlocked_collection<'a>(
    service: &'a SecretService<'_>,
) -> Result<Collection<'a>, ServiceError> {
    let collection = service.get_default_collection().await?;
    collection.ensure_unlocked().await?;
    Ok(collection)
}

/// Makes the item as the CLI does, so that both find it.
async fn create(
    service: &SecretService<'_>,
    item: &KeyringItem,
    value: &Secret,
) -> Result<(), ServiceError> {
    let collection = unlocked_collection(service).await?;
    let mut attributes = attributes(item);
    attributes.insert("application", "rust-keyring");
    let label = format!("{}@{}:default (keyring v3.6.3)", item.account(), item.service());
    let secret = value.expose().as_bytes();
    collection.create_item(&label, attributes, secret, true, "text/plain").await.map(drop)
}

/// Asks for the collection that the item is in, else the one that it is to be made in.
async fn unlock(service: &SecretService<'_>, item: &KeyringItem) -> Result<(), ServiceError> {
    let found = service.search_items(attributes(item)).await?;
    match found.locked.first() {
        Some(locked) => locked.unlock().await,
        None => service.get_default_collection().await?.unlock().await,
    }
}

fn text(secret: Vec<u8>, item: &KeyringItem) -> Result<Secret> {
    String::from_utf8(secret).map(Secret::new).map_err(|_| {
        Error::new(
            ErrorKind::StoreCorrupt,
            format!("the keyring's item {item} is no text; remove it and sign in again"),
        )
    })
}

/// Whether the service has understood the call: another connection would change nothing.
fn is_refusal(error: &ServiceError) -> bool {
    matches!(
        error,
        ServiceError::Locked
            | ServiceError::Prompt
            | ServiceError::NoResult
            | ServiceError::Unavailable
    )
}

fn explained(error: &ServiceError) -> Error {
    let (kind, message) = match error {
        ServiceError::Locked | ServiceError::Prompt => {
            (ErrorKind::KeyringLocked, "the keyring is locked; unlock it and try again".to_owned())
        }
        ServiceError::NoResult => (
            ErrorKind::KeyringUnavailable,
            "the keyring has no default collection, or the login twice; repair it".to_owned(),
        ),
        error => (
            ErrorKind::KeyringUnavailable,
            format!("the keyring does not work: {error}; start one, or use the store `file`"),
        ),
    };
    Error::new(kind, message)
}

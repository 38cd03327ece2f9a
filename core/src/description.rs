//! What a manager says of itself, for a bug report: its store, its locks, its login and its ledger.
//!
//! [`AuthManager::describe`](crate::AuthManager::describe) makes a [`Description`]. It holds no
//! token, no key and no email address.

mod text;

use chrono::{DateTime, Utc};
use serde::Serialize;

pub use crate::process::Program;

/// The version of the form of a [`Description`].
pub(crate) const FORM: u32 = 1;

/// What a manager says of itself, for a bug report. [`Display`](std::fmt::Display) writes it as text
/// for people, [`to_json`](Self::to_json) as JSON for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Description {
    /// The version of this form. It counts up when a field changes its meaning or goes.
    pub version: u32,
    /// The version of this library.
    pub library: &'static str,
    /// When the description was made, by the clock of this machine.
    pub described_at: DateTime<Utc>,
    /// Which store keeps the login.
    pub store: StoreDescription,
    /// Where that store is, and which locks guard it.
    pub places: StorePlaces,
    /// The login in memory; none if there is none.
    pub login: Option<LoginDescription>,
    /// Whether the manager refreshes tokens: `auto` or `never`.
    pub refresh: &'static str,
    /// The workspace that the option `account_id` names, if it names one.
    pub pinned_account_id: Option<String>,
    /// By how many seconds the clock of this machine is ahead of the authorization server's; none
    /// if that was not measured since the clock was set.
    pub clock_ahead_seconds: Option<i64>,
    /// Whether the manager has new tokens in memory that it could not save yet.
    pub pending_save: bool,
}

/// Which store keeps the login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreDescription {
    /// The name of its [kind](crate::StoreKind), `environment` for an environment variable, or
    /// `custom` for a store that the program has made.
    pub kind: &'static str,
    /// Why it is this one.
    pub chosen_by: ChosenBy,
    /// Where the login is, in words.
    pub location: String,
    /// The kind of store that held the login at the last read, if the store chooses between two.
    pub holder: Option<&'static str>,
    /// Why the holder is not the preferred one.
    pub holder_reason: Option<String>,
}

/// Why a manager has the store that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChosenBy {
    /// An option of the manager names it.
    Option,
    /// An environment variable has a credential, which the Codex CLI prefers to every store.
    Environment,
    /// This process has a login in memory, which the Codex CLI prefers to the configured store.
    Memory,
    /// The `config.toml` of the Codex CLI names it.
    Config,
    /// It is the default of the Codex CLI.
    Default,
}

/// Where a store keeps its login, and which locks guard it. What a store does not have stays empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StorePlaces {
    /// The folder of the login.
    pub home: Option<Place>,
    /// The file `auth.json`, which may be missing.
    pub auth_json: Option<Place>,
    /// The encrypted file, for a store that has one.
    pub encrypted_file: Option<Place>,
    /// The item of the keyring, for a store that has one.
    pub keyring: Option<KeyringPlace>,
    /// The file in which programs with this library tell each other about refresh tokens.
    pub ledger: Option<String>,
    /// The files whose locks guard the login.
    pub locks: Vec<LockPlace>,
    /// Why something here is missing, in words.
    pub problem: Option<String>,
}

/// A file or a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Place {
    /// The path as it was named.
    pub path: String,
    /// The path behind all links.
    pub resolved: String,
    /// Whether there is something.
    pub is_there: bool,
    /// Whether the path as it was named is a symbolic link.
    pub is_link: bool,
    /// Whether something is mounted on it.
    pub is_mount_point: bool,
    /// The permissions, in octal; none where the system has no such thing.
    pub mode: Option<String>,
    /// The number of the user that owns it; none where the system has no such thing.
    pub owner: Option<u32>,
    /// The number of its group; none where the system has no such thing.
    pub group: Option<u32>,
}

/// An item of the keyring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyringPlace {
    /// The service that names it.
    pub service: String,
    /// The account that names it.
    pub account: String,
    /// Whether the keyring has answered. The user is not asked to unlock it for that.
    pub is_reached: bool,
    /// Whether the item is there; false also if the keyring has not answered.
    pub is_there: bool,
    /// Why the keyring has not answered.
    pub problem: Option<String>,
}

/// A file whose lock guards the login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LockPlace {
    /// The path of the file, which may not be there yet.
    pub path: String,
    /// What is done under the lock.
    pub purpose: LockPurpose,
    /// The process that holds the lock now; none if none was seen to. Only Linux tells, and only of
    /// processes that the container of this one can see.
    pub holder: Option<Program>,
}

/// What is done under a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LockPurpose {
    /// A refresh. Programs with this library take the lock, and hold it over the request.
    Refresh,
    /// A save. The Codex CLI takes the lock too, and holds it for milliseconds.
    Save,
}

/// The login in memory, without its tokens and without the email address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LoginDescription {
    /// The name of its [mode](crate::AuthMode).
    pub mode: &'static str,
    /// The workspace.
    pub account_id: Option<String>,
    /// The user.
    pub user_id: Option<String>,
    /// The plan of the workspace.
    pub plan_type: Option<String>,
    /// When the access token ends, by the server's clock; none if it does not say so.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether the access token has ended, as far as is known.
    pub is_expired: bool,
    /// From when on the manager refreshes it ahead of time, by the clock of this machine; none if it
    /// never does.
    pub due_at: Option<DateTime<Utc>>,
    /// When the tokens were stored, as the record says, whichever program has stored them.
    pub last_refresh: Option<DateTime<Utc>>,
    /// What is known of its refresh token; none if it has none.
    pub ledger: Option<LedgerDescription>,
}

/// What the ledger of the store and that of this manager know of the refresh token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LedgerDescription {
    /// When a program with this library got it from the server; none if another program did, or if
    /// that was too long ago.
    pub refreshed_at: Option<DateTime<Utc>>,
    /// The process that got it from the server.
    pub refreshed_by: Option<Program>,
    /// What is known of it.
    pub state: TokenState,
    /// Why the server refuses it, if it does: the [reason](crate::Error::reason) of the error.
    pub refused: Option<&'static str>,
    /// Before which time it is not presented to the server.
    pub not_before: Option<DateTime<Utc>>,
}

/// What is known of a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenState {
    /// There is no reason not to present it.
    Good,
    /// It may be spent: a request with it was never answered, or its successor was not saved.
    InDoubt,
    /// It is not presented before [`not_before`](LedgerDescription::not_before).
    Resting,
    /// It is spent: its successor was saved.
    Spent,
    /// The server refuses it.
    Refused,
}

impl Description {
    /// Returns this description as JSON. Its names are those of the fields, times are RFC 3339
    /// texts, and what is unknown is null.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a description is always valid JSON")
    }
}

//! The events that a manager sends to its subscribers. Without a subscriber there is no queue.

use std::sync::OnceLock;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};

use crate::background::Background;
use crate::environment::{BoxFuture, Environment};
use crate::error::Error;
use crate::process::{NotInherited, PerProcess};
use crate::storage::StoreHolder;

/// The most events that wait for a subscriber.
const LONGEST_QUEUE: usize = 64;

/// Something that happened to the login of a manager. It contains no secret.
///
/// An event describes the moment when it was sent. [`AuthManager::auth`](crate::AuthManager::auth)
/// returns the snapshot of now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The snapshot now has newer tokens of its login, which another program or manager has stored.
    /// Sent once for each such replacement.
    Adopted,
    /// This manager has redeemed the refresh token and uses the new tokens, even if they could not
    /// be saved yet. Sent once for each redemption.
    Refreshed,
    /// The login was removed from the store, by this or another program. Sent once for each logout.
    LoggedOut,
    /// Another login is stored than before, or the first one. Sent once for each change. If the
    /// manager may not hand out that login, it now has no snapshot.
    IdentityChanged,
    /// The login is for another workspace than before: another program has switched it, or its user
    /// has signed in again. Sent once for each change. If the manager may not hand out the login for
    /// that workspace, it now has no snapshot.
    WorkspaceChanged,
    /// A refresh failed. Sent once for all callers that waited for it.
    RefreshFailed(Error),
    /// The manager uses new tokens that it could not save. Sent once, however often it tries again.
    SaveFailed(Error),
    /// The tokens of the last [`SaveFailed`](Self::SaveFailed) are saved. It is not sent if a newer
    /// login or a logout has made these tokens useless.
    SaveRecovered,
    /// Another kind of store holds the login than at the last read, or for another reason. Only the
    /// store `auto` chooses between two.
    StoreChanged(StoreHolder),
    /// A request is sent without the credential, since its origin may not get that. The error names
    /// the origin. Sent once for each origin, for 16 origins at most.
    CredentialLeftOut(Error),
    /// This manager has stored a new login. If that is another login than before,
    /// [`IdentityChanged`](Self::IdentityChanged) is sent as well, and
    /// [`WorkspaceChanged`](Self::WorkspaceChanged) if only its workspace is another.
    LoggedIn,
    /// The server has answered that the user of a sign-in with a device code has not typed the code
    /// in yet. Sent for each such answer.
    LoginPending,
    /// A sign-in with a browser or a device code has failed or was cancelled.
    LoginFailed(Error),
    /// This subscriber has read too slowly: so many events were dropped at this place.
    Missed(u64),
}

/// Gives events their names, so that the list of all names misses none.
macro_rules! kinds {
    ($($event:pat => $kind:literal,)*) => {
        impl Event {
            /// The names of all events. Tests compare the lists of other languages with it.
            #[doc(hidden)]
            pub const KINDS: &[&str] = &[$($kind),*];

            /// Returns the name of this event, which is the same in every language.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $($event => $kind,)*
                }
            }
        }
    };
}

kinds! {
    Self::Adopted => "adopted",
    Self::Refreshed => "refreshed",
    Self::LoggedOut => "logged_out",
    Self::IdentityChanged => "identity_changed",
    Self::WorkspaceChanged => "workspace_changed",
    Self::RefreshFailed(_) => "refresh_failed",
    Self::SaveFailed(_) => "save_failed",
    Self::SaveRecovered => "save_recovered",
    Self::StoreChanged(_) => "store_changed",
    Self::CredentialLeftOut(_) => "credential_left_out",
    Self::LoggedIn => "logged_in",
    Self::LoginPending => "login_pending",
    Self::LoginFailed(_) => "login_failed",
    Self::Missed(_) => "missed",
}

/// An event as its name and what may come with one, for the bindings to other languages: they take
/// it apart by its fields, so that a new one is not passed over.
#[derive(Debug)]
pub struct EventParts {
    /// [`Event::kind`].
    pub kind: &'static str,
    /// The error, of an event that has one.
    pub error: Option<Error>,
    /// The store that holds the login now, of [`Event::StoreChanged`].
    pub store_holder: Option<StoreHolder>,
    /// How many events were dropped, of [`Event::Missed`].
    pub missed: Option<u64>,
}

impl From<Event> for EventParts {
    fn from(event: Event) -> Self {
        let none = Self { kind: event.kind(), error: None, store_holder: None, missed: None };
        match event {
            Event::RefreshFailed(error)
            | Event::SaveFailed(error)
            | Event::CredentialLeftOut(error)
            | Event::LoginFailed(error) => Self { error: Some(error), ..none },
            Event::StoreChanged(holder) => Self { store_holder: Some(holder), ..none },
            Event::Missed(missed) => Self { missed: Some(missed), ..none },
            Event::Adopted
            | Event::Refreshed
            | Event::LoggedOut
            | Event::IdentityChanged
            | Event::WorkspaceChanged
            | Event::SaveRecovered
            | Event::LoggedIn
            | Event::LoginPending => none,
        }
    }
}

/// The events of a manager since [`AuthManager::subscribe`](crate::AuthManager::subscribe), in the
/// order in which they were sent.
///
/// At most 64 events wait to be read. Then the oldest are dropped, and [`Event::Missed`] says how
/// many.
#[derive(Debug)]
pub struct Events {
    /// A forked child may have inherited the queue with its lock taken, by a thread that the child
    /// does not have.
    receiver: NotInherited<Receiver<Event>>,
}

impl Events {
    /// Waits for the next event.
    ///
    /// Returns none once the manager, its clones and its background tasks are dropped and no
    /// refresh is in flight, and always in a forked child, which must subscribe for itself.
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.get_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// A delivery of events, which ends when this is stopped or dropped; see
/// [`deliver_events`](crate::bindings::deliver_events).
#[derive(Debug)]
#[must_use = "dropping this ends it"]
pub struct Subscription(Background);

impl Subscription {
    /// Ends the delivery, as dropping this does. An event that is being delivered is delivered to
    /// its end.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// The subscribers of a manager in each process.
#[derive(Debug)]
pub(crate) struct Announcer(PerProcess<Subscribers>);

/// The subscribers of one process.
#[derive(Debug, Default)]
struct Subscribers(OnceLock<Sender<Event>>);

impl Announcer {
    pub(crate) const fn new() -> Self {
        Self(PerProcess::new())
    }

    pub(crate) fn subscribe(&self) -> Events {
        Events { receiver: NotInherited::new(self.0.get_or_default().subscribe()) }
    }

    /// Calls `deliver` with each event. The task does not keep the manager alive, and ends with it.
    pub(crate) fn deliver(
        &self,
        environment: &Environment,
        mut deliver: impl FnMut(Event) -> BoxFuture<'static, ()> + Send + 'static,
    ) -> Subscription {
        let mut events = self.subscribe();
        Subscription(Background::start(environment, |signal| async move {
            while let Some(event) = signal.unless_stopped(events.next()).await.flatten() {
                deliver(event).await;
            }
        }))
    }

    pub(crate) fn announce(&self, event: Event) {
        if let Some(subscribers) = self.0.get() {
            subscribers.send(event);
        }
    }
}

impl Subscribers {
    fn subscribe(&self) -> Receiver<Event> {
        self.0.get_or_init(|| Sender::new(LONGEST_QUEUE)).subscribe()
    }

    fn send(&self, event: Event) {
        if let Some(sender) = self.0.get() {
            // This fails only if the last subscriber is gone.
            drop(sender.send(event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_forked_child_hears_nothing_from_its_parents_channel() {
        let subscribers = Subscribers::default();
        let receiver = NotInherited::inherited(subscribers.subscribe());
        subscribers.send(Event::LoggedOut);
        let mut inherited = Events { receiver };
        assert!(inherited.next().await.is_none());
        drop(inherited);
        let readers = subscribers.0.get().map(Sender::receiver_count);
        assert_eq!(readers, Some(1), "the parent's queue was not touched");
    }
}

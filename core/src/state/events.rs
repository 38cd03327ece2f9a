//! What a manager tells its subscribers. Nothing is made for it before there is one.

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

/// Something that happened to a manager's login. It says what was so when it was sent; what is so
/// now, [`AuthManager::auth`](crate::AuthManager::auth) says. No secrets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The snapshot in memory has tokens of the same login that somebody else got: once for every
    /// such replacement.
    Adopted,
    /// This manager has redeemed the refresh token and uses the new tokens, whether or not they
    /// could be saved: once for every redemption.
    Refreshed,
    /// The login in memory is gone from the store: once for every logout, whoever did it.
    LoggedOut,
    /// The store has another login than memory, or the first one: once for every change. Where the
    /// manager may not publish the other account's, its snapshot is none now.
    IdentityChanged,
    /// A refresh failed: once for all who waited for it, and again for those who ask again.
    RefreshFailed(Error),
    /// New tokens are in use that could not be saved: once, however often saving is tried again.
    SaveFailed(Error),
    /// The tokens of the last [`SaveFailed`](Self::SaveFailed) are saved. Neither this nor another
    /// failure follows where a newer login or a logout has made them useless.
    SaveRecovered,
    /// Another kind of store holds the login than at the last look, or for another reason: once for
    /// every change. Only of a store that chooses, `auto`.
    StoreChanged(StoreHolder),
    /// This manager has stored a new login. Where it is another one than before, that is told by
    /// [`IdentityChanged`](Self::IdentityChanged) besides.
    LoggedIn,
    /// A sign-in by device code still waits for its user: once for each time that was asked.
    LoginPending,
    /// A sign-in with a browser or a device code has failed or was cancelled.
    LoginFailed(Error),
    /// This subscriber has read too late: in this place so many events are missing.
    Missed(u64),
}

impl Event {
    /// The name of this event, the same in every language.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Adopted => "adopted",
            Self::Refreshed => "refreshed",
            Self::LoggedOut => "logged_out",
            Self::IdentityChanged => "identity_changed",
            Self::RefreshFailed(_) => "refresh_failed",
            Self::SaveFailed(_) => "save_failed",
            Self::SaveRecovered => "save_recovered",
            Self::StoreChanged(_) => "store_changed",
            Self::LoggedIn => "logged_in",
            Self::LoginPending => "login_pending",
            Self::LoginFailed(_) => "login_failed",
            Self::Missed(_) => "missed",
        }
    }
}

/// The events of one manager since it was subscribed to, in the order in which they were sent.
///
/// At most 64 wait to be read; then the oldest give way and [`Event::Missed`] tells how many.
#[derive(Debug)]
pub struct Events {
    /// A forked child may have inherited the queue with its lock taken, by a thread that the child
    /// does not have.
    receiver: NotInherited<Receiver<Event>>,
}

impl Events {
    /// Waits for the next event; none once the manager, its clones, what they have in flight and
    /// what keeps them fresh or has them follow the store are gone, and in a forked child, which
    /// subscribes for itself.
    ///
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.get_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Has a manager's events delivered until it is stopped or dropped; see
/// [`deliver_events`](crate::bindings::deliver_events).
#[derive(Debug)]
#[must_use = "dropping this ends it"]
pub struct Subscription(Background);

impl Subscription {
    /// Ends it, as dropping it does. An event that is being delivered is delivered to its end.
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

    /// Has each event delivered. The work does not hold the manager, with which it ends.
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
            // Fails only where the last subscriber is gone.
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

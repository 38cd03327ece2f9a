//! What a long poll tells this process of a login at an agent: that it is in another state by now.

#[cfg(all(test, unix))]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::address::Place;
use super::connection::{Connection, Request};
use super::message::{self, TOKEN};
use crate::background::{Background, Signal};
use crate::environment::Environment;
use crate::process::{PerProcess, Shared};

/// How long no poll is made after one that has failed, at most. The store is read again and again
/// meanwhile.
const REST: Duration = Duration::from_secs(2);

/// An agent lets a poll without news wait for longer than this. A program that answers sooner is none,
/// and would be asked in a loop.
const SOONEST: Duration = Duration::from_secs(1);

/// For how long callers need no news until the next poll is put off, and what was heard is not believed
/// any more. A caller that follows a store asks more often.
const LAPSE: Duration = Duration::from_secs(2);

/// The news of one login. However many stores this process has there, it makes one poll, and that only
/// while a caller waits for news.
#[derive(Debug)]
pub(super) struct News {
    connection: Arc<Connection>,
    login: Option<String>,
    environment: Environment,
    poll: PerProcess<Poll>,
}

/// The poll of one process.
#[derive(Debug)]
struct Poll {
    heard: Arc<Heard>,
    _task: Background,
}

#[derive(Debug, Default)]
struct Heard {
    /// Names the state of the login; none while no agent tells it.
    generation: watch::Sender<Option<String>>,
    /// Says that a caller waits for news.
    wanted: Notify,
}

impl News {
    /// Returns the news of a login at `place`, which all stores of that login share.
    pub(super) fn shared(
        place: &Place,
        login: Option<&str>,
        environment: &Environment,
    ) -> Arc<Self> {
        static SHARED: Shared<String, News> = Shared::new();
        let key = format!("{place}#{}", login.unwrap_or_default());
        let new = Self {
            connection: Arc::new(Connection::new(place.clone(), environment.clone())),
            login: login.map(str::to_owned),
            environment: environment.clone(),
            poll: PerProcess::new(),
        };
        SHARED.get_or(&key, new)
    }

    /// Returns the name of the state that was heard of last; none while no agent tells it.
    pub(super) fn generation(&self) -> Option<String> {
        self.poll.get().and_then(|poll| poll.heard.generation.borrow().clone())
    }

    /// Waits until another state than `known` was heard of.
    pub(super) async fn other_than(&self, known: Option<&str>) {
        let poll = self.poll();
        let mut generations = poll.heard.generation.subscribe();
        poll.heard.wanted.notify_one();
        let is_news = |heard: &Option<String>| heard.is_some() && heard.as_deref() != known;
        drop(generations.wait_for(is_news).await);
    }

    fn poll(&self) -> Arc<Poll> {
        let Ok(poll) = self.poll.get_or_try_make(|| {
            let heard = Arc::<Heard>::default();
            let listener = Listener {
                connection: Arc::clone(&self.connection),
                login: self.login.clone(),
                environment: self.environment.clone(),
                heard: Arc::clone(&heard),
            };
            let listening = |signal: Arc<Signal>| async move { listener.listen(&signal).await };
            let task = Background::start(&self.environment, listening);
            Ok::<_, std::convert::Infallible>(Poll { heard, _task: task })
        });
        poll
    }
}

/// What makes the polls.
struct Listener {
    connection: Arc<Connection>,
    login: Option<String>,
    environment: Environment,
    heard: Arc<Heard>,
}

impl Listener {
    async fn listen(&self, signal: &Signal) {
        while signal.unless_stopped(self.wanted()).await.is_some() {
            let Some(heard) = signal.unless_stopped(self.next()).await else { return };
            let has_failed = heard.is_none();
            self.heard.generation.send_replace(heard);
            if has_failed {
                let rest = REST / 2 + self.environment.jitter(REST / 2);
                signal.pause(rest, &self.environment).await;
            }
        }
    }

    /// Waits until a caller needs news.
    async fn wanted(&self) {
        let wanted = async || {
            while self.heard.generation.receiver_count() == 0 {
                self.heard.wanted.notified().await;
            }
        };
        if self.environment.within(LAPSE, wanted()).await.is_none() {
            self.heard.generation.send_replace(None);
            wanted().await;
        }
    }

    /// Waits for another state of the login than the last one, as long as the agent lets this wait.
    /// Returns none if the agent does not tell.
    async fn next(&self) -> Option<String> {
        let (clock, known) = (&self.environment.clock, self.heard.generation.borrow().clone());
        let parameters = [("login", self.login.as_deref()), ("after", known.as_deref())];
        let (path, start) = (message::target(TOKEN, &parameters), clock.elapsed());
        let answered = self.connection.answer(&Request::Get { path }).await;
        let heard = match answered {
            Ok(response) => message::generation(&response.body),
            Err(error) => {
                tracing::debug!(%error, "what changes there is not told, so the store is read for it");
                None
            }
        };
        let is_early = clock.elapsed() - start < SOONEST;
        heard.filter(|heard| !is_early || Some(heard) != known.as_ref())
    }
}

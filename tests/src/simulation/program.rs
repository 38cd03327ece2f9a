//! A program that uses the SDK: it makes requests, recovers from 401 as the documentation says, and
//! does what else programs do. It is a process of its own, and another takes its place if it dies.

use std::sync::Arc;
use std::time::Duration;

use crate::options::with;
use codex_auth_sdk::{
    AuthManager, CodexAuth, LogoutOptions, RefreshMode, Result, SyncOutcome,
    UnauthorizedRecoveryDecision,
};

use super::executor::{First, ProcessId, first};
use super::foreign;
use super::journal::Event;
use super::ledger::PEOPLE;
use super::rules::About;
use super::state::Manner;
use super::world::World;

/// Requests that one request may become, with its retries.
const MOST_SENDS: usize = 3;

/// Between the end of all hazards and the last requests: longer than any call may take.
pub(super) const SETTLING: Duration = Duration::from_secs(1200);

/// The time in which all programs make their last requests.
pub(super) const LAST_REQUESTS: Duration = Duration::from_secs(600);

/// Starts a program in a process of its own.
pub(super) fn start(world: &Arc<World>) {
    let process = world.executor.start_process();
    let person = world.chance.pick(&world.hazards.people);
    let manner = Manner {
        only_adopts: world.chance.happens(world.hazards.only_adopt),
        pin: PEOPLE[person].account.filter(|_| world.chance.happens(world.hazards.pinned)),
    };
    world.state().started(process, manner);
    let program = Program { world: Arc::clone(world), process, manner, life: 0 };
    world.spawn(process, async move { program.run().await });
}

/// See the module.
#[derive(Clone)]
struct Program {
    world: Arc<World>,
    process: ProcessId,
    manner: Manner,
    /// Counts its managers; what the last but one has begun goes on.
    life: u32,
}

impl Program {
    async fn run(mut self) {
        let mut manager = self.open().await;
        let mut bell = self.world.bell.subscribe();
        while self.world.goes_on() {
            let pause = self.world.chance.between(Duration::ZERO, self.world.hazards.think);
            let woken = first(self.world.executor.sleep(pause), bell.changed()).await;
            if matches!(woken, First::Right(_)) {
                self.world.pause(0, 200).await;
            }
            if self.world.goes_on() {
                self.act(&manager).await;
            }
            if self.world.chance.happens(0.02) {
                self.life += 1;
                manager = self.open().await;
            }
        }
        let now = self.world.executor.now();
        let wait = (self.world.hazards.horizon + SETTLING).saturating_sub(now);
        self.world
            .executor
            .sleep(wait + self.world.chance.between(Duration::ZERO, LAST_REQUESTS / 4))
            .await;
        self.last_requests(&manager).await;
        // It stays, with all that it knows.
        std::future::pending::<()>().await;
    }

    async fn open(&self) -> AuthManager {
        loop {
            let mut builder = self.world.builder(self.process, self.life);
            if self.manner.only_adopts {
                builder = builder.refresh(RefreshMode::Never);
            }
            if let Some(pin) = self.manner.pin {
                builder = builder.account_id(pin);
            }
            let opened = if self.world.chance.happens(0.3) && !self.world.hazards.is_asked {
                builder.build_now()
            } else {
                builder.build().await
            };
            match opened {
                Ok(manager) => {
                    self.world.state().opened(self.process, self.life);
                    return manager;
                }
                Err(error) => self.world.state().judge(self.process, None, error.code()),
            }
            self.world.pause(1000, 30_000).await;
        }
    }

    async fn act(&self, manager: &AuthManager) {
        let world = &self.world;
        if world.chance.happens(world.hazards.logout_odds()) {
            return self.sign_out(manager).await;
        }
        match world.chance.below(10) {
            0 => {
                if let Some(auth) = manager.auth() {
                    self.sync(manager, &auth).await;
                }
            }
            1 => {
                let _ = self.call("reload", None, manager.reload()).await;
            }
            2 => {
                for _ in 0..world.chance.below(6) {
                    let (program, manager) = (self.clone(), manager.clone());
                    world.spawn(self.process, async move {
                        program.world.pause(0, 50).await;
                        program.request(&manager, false).await;
                    });
                }
                self.request(manager, false).await;
            }
            3 => {
                self.request(manager, false).await;
                let closed = manager.close(Duration::from_secs(5));
                let _ = self.call("close", None, async { Ok(closed.await) }).await;
            }
            4..=6 => self.request(manager, true).await,
            _ => self.request(manager, false).await,
        }
    }

    /// One request with its retries, as the documentation says.
    async fn request(&self, manager: &AuthManager, is_fresh: bool) {
        if self.world.chance.happens(self.world.hazards.cancels) {
            let patience = self.world.chance.millis(0, 1500);
            let patience = self.world.executor.sleep(patience);
            if let First::Right(()) = first(self.send(manager, is_fresh), patience).await {
                self.world.state().note(Event::Cancelled(self.process));
            }
            return;
        }
        self.send(manager, is_fresh).await;
    }

    /// The status of the last answer, or why there is none.
    async fn send(&self, manager: &AuthManager, is_fresh: bool) -> &'static str {
        let mut auth = if is_fresh {
            let about = manager.auth();
            match self.call("fresh_auth", about.as_ref(), manager.fresh_auth()).await {
                Ok(auth) => {
                    self.world.state().judge_fresh(self.process, auth.as_ref());
                    auth
                }
                Err(code) => return code,
            }
        } else {
            self.snapshot(manager)
        };
        let recovery = manager.unauthorized_recovery();
        for sends in 0..MOST_SENDS {
            let Some(used) = auth else { return "signed_out" };
            self.world.pause(1, 100).await;
            if self.world.state().sent(self.process, &used) == 200 {
                self.world.state().tally.recoveries += u64::from(sends > 0);
                return "ok";
            }
            let about = self.world.state().about(&used);
            let answer = if self.world.chance.happens(0.2) {
                let answer = self.call("refresh", Some(&used), manager.refresh_token(&used)).await;
                answer.map(|auth| match (auth, about) {
                    (Some(auth), Some(about)) => {
                        self.world.state().adopted(self.process, about, &auth);
                        "retry"
                    }
                    (Some(_), None) => "retry",
                    (None, _) => "none",
                })
            } else {
                self.world.state().reported(self.process, self.life, about);
                let decision = manager.recover_from_unauthorized(&used, &recovery);
                let answer = self.call("recover", Some(&used), decision).await;
                answer.map(|decision| match decision {
                    UnauthorizedRecoveryDecision::Retry => "retry",
                    UnauthorizedRecoveryDecision::GiveUp(reason) => reason.as_str(),
                    _ => "unknown",
                })
            };
            match answer {
                Ok("retry") => {}
                Ok(code) => {
                    // Why there is none, is not said.
                    self.world.state().judge(self.process, about, code);
                    return code;
                }
                Err(code) => return code,
            }
            auth = self.snapshot(manager);
            self.world.state().judge_retry(self.process, self.life, auth.as_ref());
        }
        "exhausted"
    }

    /// The snapshot in memory.
    fn snapshot(&self, manager: &AuthManager) -> Option<CodexAuth> {
        let mut state = self.world.state();
        let auth = manager.auth();
        state.seen(self.process, self.life, auth.as_ref());
        auth
    }

    async fn sync(&self, manager: &AuthManager, auth: &CodexAuth) {
        let outcome = self.call("sync", Some(auth), manager.sync_from_storage(auth)).await;
        let mut state = self.world.state();
        let about = state.about(auth);
        let code = match outcome {
            Ok(SyncOutcome::Applied { .. }) => "applied",
            Ok(outcome) => outcome.kind(),
            Err(_) => return,
        };
        state.judge_sync(self.process, about, code);
    }

    async fn sign_out(&self, manager: &AuthManager) {
        let guard = self.world.begin(self.process, "logout");
        {
            let mut state = self.world.state();
            let about = manager.auth().and_then(|auth| state.about(&auth));
            if let Some(member) = state.members.get_mut(&self.process) {
                member.signs_out = about.filter(|_| member.calls == 1).map(|about| about.person);
            }
        }
        if self.world.chance.happens(0.5) {
            // The user is in a hurry to be somebody else.
            let (world, person) =
                (Arc::clone(&self.world), self.world.chance.pick(&self.world.hazards.people));
            self.world.spawn(self.world.fate, async move {
                world.pause(0, 1000).await;
                foreign::sign_in(&world, person, false);
            });
        }
        let revoke = self.world.chance.happens(0.5);
        let outcome = manager.logout(with(LogoutOptions::default(), |it| it.revoke = revoke)).await;
        guard.end(outcome.as_ref().map_or_else(codex_auth_sdk::Error::code, |_| "ok"));
        if let Some(member) = self.world.state().members.get_mut(&self.process) {
            member.signs_out = None;
        }
    }

    /// What everybody is asked in the end: whoever the store says is signed in, is.
    async fn last_requests(&self, manager: &AuthManager) {
        let (mut code, mut began) = ("", Duration::ZERO);
        for _ in 0..3 {
            began = self.world.executor.now();
            match manager.auth() {
                Some(auth) => self.sync(manager, &auth).await,
                None => {
                    let _ = self.call("reload", None, manager.reload()).await;
                }
            }
            code = self.send(manager, true).await;
            if code == "ok" {
                break;
            }
            self.world.pause(1000, 20_000).await;
        }
        let mut state = self.world.state();
        let about = manager.auth().and_then(|auth| state.about(&auth));
        state.judge_end(self.process, about, code, began);
    }

    /// Makes a call, and notes how long it took and what came of it.
    async fn call<T>(
        &self,
        what: &'static str,
        about: Option<&CodexAuth>,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T, &'static str> {
        let about: Option<About> = about.and_then(|auth| self.world.state().about(auth));
        let guard = self.world.begin(self.process, what);
        let result = call.await;
        let code = result.as_ref().map_or_else(codex_auth_sdk::Error::code, |_| "ok");
        guard.end(code);
        let mut state = self.world.state();
        state.judge(self.process, about, code);
        result.map_err(|error| error.code())
    }
}

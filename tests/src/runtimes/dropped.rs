//! Futures of every method, dropped at every place where they wait.

use std::time::Duration;

use codex_auth_sdk::environment::BoxFuture;
use codex_auth_sdk::{
    AuthManager, CodexAuth, LogoutOptions, SyncOutcome, UnauthorizedRecoveryDecision,
};
use serde_json::json;

use super::drive::{block_on, poll_while};
use super::world::{Store, World, is_welcome};
use crate::issuer::Issuer;
use crate::options::with;
use crate::torture::Trial;

/// A method as a future; whether it did what it is for.
type Call = fn(&World, Store, AuthManager, CodexAuth) -> BoxFuture<'static, bool>;

/// Methods that refresh the login, whose token has expired.
const REFRESHING: [(&str, Call); 3] = [
    ("fresh_auth", |_, _, manager, _| {
        Box::pin(async move { manager.fresh_auth().await.expect("fresh").is_some() })
    }),
    ("refresh_token", |_, _, manager, auth| {
        Box::pin(async move { manager.refresh_token(&auth).await.expect("refreshed").is_some() })
    }),
    ("recover_from_unauthorized", |_, _, manager, auth| {
        Box::pin(async move {
            let recovery = manager.unauthorized_recovery();
            let decision = manager.recover_from_unauthorized(&auth, &recovery).await;
            decision.expect("recovered") == UnauthorizedRecoveryDecision::Retry
        })
    }),
];

/// Methods that leave the login as it is.
const LOOKING: [(&str, Call); 4] = [
    ("build", |world, store, _, _| {
        let building = world.builder(store).build();
        Box::pin(async move { building.await.expect("built").auth().is_some() })
    }),
    ("reload", |_, _, manager, _| {
        Box::pin(async move { manager.reload().await.is_ok_and(|changed| !changed) })
    }),
    ("sync_from_storage", |_, _, manager, auth| {
        Box::pin(async move {
            let unchanged = SyncOutcome::Applied { changed: false };
            manager.sync_from_storage(&auth).await.is_ok_and(|outcome| outcome == unchanged)
        })
    }),
    ("close", |_, _, manager, auth| {
        // There is nothing to wait for without a refresh.
        drop(poll_while(manager.refresh_token(&auth), |polls| polls == 0));
        Box::pin(async move { manager.close(Duration::from_secs(60)).await })
    }),
];

/// Drops the future of every method after every number of polls, and lets somebody else ask.
///
/// # Panics
///
/// If a method fails.
#[must_use]
pub fn after_every_poll() -> Vec<Trial> {
    let issuer = Issuer::start().expect("an issuer");
    let mut trial = Trial::new("futures dropped after any number of polls");
    for store in [Store::Ready, Store::Slow] {
        for (method, call) in REFRESHING.into_iter().chain(LOOKING) {
            let mut polls = 0;
            while !is_over(&issuer, &mut trial, (method, call), store, polls) {
                polls += 1;
            }
        }
        let mut polls = 0;
        while !is_logged_out(&issuer, &mut trial, store, polls) {
            polls += 1;
        }
    }
    vec![trial]
}

/// Drops one future after so many polls, and judges what is left; whether it was over by then.
fn is_over(
    issuer: &Issuer,
    trial: &mut Trial,
    (method, call): (&str, Call),
    store: Store,
    most: usize,
) -> bool {
    let world = World::new(issuer, &format!("t{}", trial.tried), &json!({}));
    let what = format!("{method} on a {store:?} store, dropped after {most} polls");
    let (manager, auth) = world.manager(store);
    let future = call(&world, store, manager.clone(), auth.clone());
    let output = poll_while(future, |polls| polls < most);
    trial.check(output != Some(false), || format!("{what}: it failed"));
    let new = block_on(manager.refresh_token(&auth)).expect("refreshed").expect("signed in");
    trial.tried += 1;
    trial.check(is_welcome(&world.realm, &new), || format!("{what}: refused"));
    trial.check(world.stored() == "refresh:a1", || format!("{what}: stored {}", world.stored()));
    trial.check(world.realm.stats()["requests"] == 1, || format!("{what}: not one request"));
    world.judge(trial, &what);
    output.is_some()
}

fn is_logged_out(issuer: &Issuer, trial: &mut Trial, store: Store, most: usize) -> bool {
    let world = World::new(issuer, &format!("t{}", trial.tried), &json!({}));
    let (manager, auth) = world.manager(store);
    let logout = manager.logout(with(LogoutOptions::default(), |it| it.revoke = false));
    let is_over = poll_while(logout, |polls| polls < most).is_some();
    // One that was begun goes on; one that was not is made up for.
    let again = block_on(manager.logout(with(LogoutOptions::default(), |it| it.revoke = false)));
    trial.tried += 1;
    let what = || format!("logout on a {store:?} store, dropped after {most} polls");
    trial.check(again.is_ok(), what);
    trial.check(world.text().is_none(), what);
    trial.check(manager.auth().is_none(), what);
    trial.check(matches!(block_on(manager.refresh_token(&auth)), Ok(None)), what);
    is_over
}

/// Drops futures while the issuer holds their request, or its reply: the refresh goes on, and
/// whoever asks next gets its result, also from another manager.
///
/// # Panics
///
/// If a method fails.
#[must_use]
pub fn in_the_middle_of_an_exchange() -> Vec<Trial> {
    let issuer = Issuer::start().expect("an issuer");
    let mut trial = Trial::new("futures dropped in the middle of an exchange");
    for store in [Store::Ready, Store::Slow] {
        for hold in ["arrival", "reply"] {
            for (method, call) in REFRESHING {
                let name = format!("m{}", trial.tried);
                let world = World::new(&issuer, &name, &json!({}));
                leave(&world, &mut trial, (method, call), store, hold);
            }
        }
    }
    vec![trial]
}

fn leave(world: &World, trial: &mut Trial, (method, call): (&str, Call), store: Store, hold: &str) {
    let what = format!("{method} on a {store:?} store, its {hold} held");
    let (manager, auth) = world.manager(store);
    let (other, _) = world.manager(store);
    world.realm.run("hold", &json!({"at": hold}));
    let future = call(world, store, manager.clone(), auth.clone());
    let output = poll_while(future, |_| world.realm.stats()["held"] == 0);
    trial.check(output.is_none(), || format!("{what}: it did not wait for the reply"));
    let followers: Vec<_> = std::thread::scope(|scope| {
        let callers = [&manager, &other].map(|manager| {
            let auth = &auth;
            scope.spawn(move || block_on(manager.refresh_token(auth)))
        });
        world.realm.run("release", &json!({}));
        callers.into_iter().map(|caller| caller.join().expect("no panic")).collect()
    });
    trial.tried += 1;
    for follower in followers {
        let new = follower.ok().flatten();
        let is_good = new.is_some_and(|auth| is_welcome(&world.realm, &auth));
        trial.check(is_good, || format!("{what}: a follower got no good token"));
    }
    trial.check(world.stored() == "refresh:a1", || format!("{what}: stored {}", world.stored()));
    trial.check(world.realm.stats()["requests"] == 1, || format!("{what}: not one request"));
    world.judge(trial, &what);
}

//! Clocks that are wrong, that are set, and that stand still: each costs one redemption at most.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::Instant;

use super::refresh_token;
use super::world::{Claims, Fault, World};
use crate::auth_dot_json::AuthDotJson;
use crate::snapshot::CodexAuth;
use crate::{AuthManager, RefreshMode};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// By how much a wall clock is ahead.
const WRONG: [i64; 15] = [
    0,
    10,
    -10,
    29,
    -29,
    31,
    -31,
    160,
    -160,
    2 * HOUR,
    -2 * HOUR,
    9 * DAY,
    -9 * DAY,
    30 * YEAR,
    -20 * YEAR,
];

const LIVES: [i64; 4] = [5 * MINUTE, HOUR, DAY, 10 * DAY];

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

/// How long a program waits between two requests. None of them is sent in the very second in which a
/// token ends: a skew below 30 s is none, and would have it rejected.
fn pause(life: i64) -> Duration {
    seconds(life).div_f64(200.5)
}

/// A world whose login was stored so many seconds ago.
fn world(life: i64, ahead: i64, claims: Claims, age: i64) -> World {
    let world = World::new();
    world.issuer.set_life(life);
    world.issuer.set_claims(claims);
    world.machine.step(ahead);
    world.sign_in("acct-a");
    stored_ago(&world, Some(age));
    world
}

/// Has the store's record say that it was stored so many seconds ago, or not say when.
fn stored_ago(world: &World, age: Option<i64>) {
    let mut record = AuthDotJson::clone(&world.store.memory.record().expect("a record"));
    let now = world.environment.clock.now();
    record.last_refresh = age.map(|age| now - TimeDelta::seconds(age));
    world.store.memory.replace(Some(record));
}

/// A program that makes requests all the time.
struct Program<'a> {
    world: &'a World,
    manager: AuthManager,
    /// Requests that were rejected, and calls that waited although the token was good.
    rejected: usize,
    waited: usize,
}

impl<'a> Program<'a> {
    async fn new(world: &'a World) -> Self {
        Self { world, manager: world.manager().await, rejected: 0, waited: 0 }
    }

    /// Makes a request every `pause` for so many seconds.
    async fn run(&mut self, total: i64, pause: Duration) {
        let end = Instant::now() + seconds(total);
        while Instant::now() < end {
            self.request().await;
            self.world.pass(pause).await;
        }
    }

    async fn request(&mut self) {
        let was_good = !self.world.has_expired(&self.manager.auth().expect("signed in"));
        let start = Instant::now();
        let auth = self.manager.fresh_auth().await.expect("fresh").expect("signed in");
        self.waited += usize::from(was_good && start.elapsed() > Duration::ZERO);
        if self.world.has_expired(&auth) {
            self.rejected += 1;
            self.recover(&auth).await;
        }
    }

    async fn recover(&self, auth: &CodexAuth) {
        super::recover(&self.manager, auth).await.expect("recovered");
        let auth = self.manager.auth().expect("signed in");
        assert!(!self.world.has_expired(&auth), "what is retried with is good");
    }
}

/// Fails unless redemptions were half a life apart, but for so many. A skew below 30 s is none, and
/// may make a life that much shorter.
fn assert_rare(world: &World, life: i64, exceptions: usize, what: &str) {
    let arrivals = world.issuer.arrivals();
    let is_soon = |pair: &&[Duration]| pair[1] - pair[0] < seconds((life - 32) / 2);
    let soon = arrivals.windows(2).filter(is_soon).count();
    assert!(soon <= exceptions, "{what}: {arrivals:?}");
}

fn assert_refreshed(world: &World, what: &str) {
    assert!(world.issuer.requests().1 > 0, "{what}: nothing was refreshed");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_costs_a_program_one_redemption_that_measures_it() {
    for life in LIVES {
        for ahead in WRONG {
            for claims in [Claims::Seconds, Claims::Milliseconds, Claims::OnlyEnd] {
                for age in [1, 100] {
                    let what = format!("{ahead} s ahead, {life} s, {claims:?}, {age} s old");
                    let world = world(life, ahead, claims, age);
                    let mut program = Program::new(&world).await;
                    program.run(3 * life, pause(life)).await;
                    assert_rare(&world, life, 0, &what);
                    assert_refreshed(&world, &what);
                    assert!(program.rejected <= 1, "{what}: {} rejected", program.rejected);
                    let most = usize::from(age > 60 || life / 200 > 55);
                    assert!(program.waited <= most, "{what}: {} waited", program.waited);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_costs_a_guardian_one_redemption_that_measures_it() {
    for life in [5 * MINUTE, HOUR] {
        // One that is behind by more is known to be with the first reply only.
        for ahead in WRONG.into_iter().filter(|ahead| *ahead > -life) {
            let what = format!("{ahead} s ahead, {life} s");
            let world = world(life, ahead, Claims::Seconds, 100);
            let manager = world.manager().await;
            let (_guardian, _following) = (manager.keep_fresh(), manager.follow_store());
            world.pass(seconds(3 * life)).await;
            assert_rare(&world, life, 0, &what);
            assert_refreshed(&world, &what);
            assert!(!world.has_expired(&manager.auth().expect("signed in")), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_program_has_measured_holds_for_all_until_the_clock_is_set() {
    let world = world(HOUR, 2 * HOUR, Claims::Seconds, 100);
    let mut first = Program::new(&world).await;
    first.request().await;
    assert_eq!(world.issuer.requests(), (1, 1));
    world.pass(seconds(100)).await;
    for _ in 0..5 {
        let mut program = Program::new(&world).await;
        program.request().await;
        program.run(100, seconds(1)).await;
        assert_eq!((world.issuer.requests(), program.rejected), ((1, 1), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_costs_one_redemption_and_makes_nobody_wait() {
    for life in [5 * MINUTE, HOUR] {
        for step in WRONG.into_iter().filter(|step| *step != 0) {
            for ahead in [0, 2 * HOUR, -2 * HOUR] {
                let what = format!("{ahead} s ahead, then {step} s more, {life} s");
                let world = world(life, ahead, Claims::Seconds, 100);
                let mut program = Program::new(&world).await;
                program.run(2 * life, pause(life)).await;
                (program.rejected, program.waited) = (0, 0);
                world.machine.step(step);
                program.run(2 * life, pause(life)).await;
                assert_rare(&world, life, 1, &what);
                assert_eq!((program.rejected, program.waited), (0, 0), "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_all_the_time_costs_one_redemption_each_time_at_most() {
    let world = world(HOUR, 0, Claims::Seconds, 100);
    let mut program = Program::new(&world).await;
    for turn in 0..20 {
        world.machine.step(if turn % 2 == 0 { YEAR } else { -YEAR });
        program.run(100, seconds(1)).await;
    }
    let (_, redeemed) = world.issuer.requests();
    assert!(redeemed <= 21, "{redeemed} redemptions");
    assert!(program.waited <= 1, "{} waited", program.waited);
}

#[tokio::test(start_paused = true)]
async fn time_in_which_the_machine_slept_counts_and_the_skew_stays_known() {
    for ahead in [0, 2 * HOUR, -2 * HOUR] {
        let world = world(HOUR, ahead, Claims::Seconds, 100);
        let mut program = Program::new(&world).await;
        program.run(2 * HOUR, seconds(10)).await;
        super::recover(&program.manager, &program.manager.auth().expect("signed in"))
            .await
            .expect("recovered");
        let (_, redeemed) = world.issuer.requests();
        (program.rejected, program.waited) = (0, 0);
        world.machine.suspend(20 * MINUTE);
        program.run(MINUTE, seconds(1)).await;
        assert_eq!(world.issuer.requests().1, redeemed, "{ahead}: a third of its life has passed");
        world.machine.suspend(35 * MINUTE);
        program.run(MINUTE, seconds(1)).await;
        assert_eq!(world.issuer.requests().1, redeemed + 1, "{ahead}: it was due");
        world.machine.suspend(2 * HOUR);
        program.run(MINUTE, seconds(1)).await;
        assert_eq!(world.issuer.requests().1, redeemed + 2, "{ahead}: it had expired");
        assert_eq!((program.rejected, program.waited), (0, 0), "{ahead}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_virtual_machine_that_was_paused_has_a_new_token_at_once() {
    let world = world(HOUR, 0, Claims::Seconds, 100);
    let mut program = Program::new(&world).await;
    program.run(2 * HOUR, seconds(10)).await;
    let (_, redeemed) = world.issuer.requests();
    world.machine.pause(2 * HOUR);
    program.run(MINUTE, seconds(1)).await;
    assert_eq!(world.issuer.requests().1, redeemed + 1);
    assert!(program.rejected <= 1, "{}", program.rejected);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_say_what_time_it_is_makes_no_loop() {
    for claims in [Claims::Seconds, Claims::OnlyEnd] {
        for ahead in WRONG {
            let what = format!("{ahead} s ahead, {claims:?}");
            let world = world(HOUR, ahead, claims, 100);
            world.issuer.is_dated.store(false, Ordering::SeqCst);
            let mut program = Program::new(&world).await;
            program.run(3 * HOUR, seconds(10)).await;
            // Half of what such a machine takes for the token's life.
            let life = if claims == Claims::OnlyEnd && ahead > 0 { HOUR - ahead } else { HOUR };
            assert_rare(&world, life.max(32), 0, &what);
            assert!(world.issuer.requests().1 <= 6, "{what}: {:?}", world.issuer.requests());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_and_an_outage_say_what_time_it_is_too() {
    for outage in [Fault::PutOff(3600), Fault::PutOff(1), Fault::Unanswered] {
        let world = world(HOUR, 2 * HOUR, Claims::Seconds, 100);
        let (manager, other) = (world.manager().await, world.manager().await);
        world.issuer.fail_with([outage]);
        let auth = manager.fresh_auth().await.expect("the token is good").expect("signed in");
        assert_eq!((world.issuer.requests(), world.has_expired(&auth)), ((1, 0), false));
        for _ in 0..100 {
            world.pass(seconds(1)).await;
            manager.fresh_auth().await.expect("ready");
            other.fresh_auth().await.expect("it has the answer from the ledger");
        }
        assert_eq!(world.issuer.requests(), (1, 0), "nothing is due");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_reply_says_of_time_holds_at_once() {
    let world = world(HOUR, -2 * HOUR, Claims::Seconds, 100);
    let manager = world.manager().await;
    let version = manager.version();
    world.pass(seconds(HOUR + 10)).await;
    let auth = manager.fresh_auth().await.expect("fresh").expect("signed in");
    assert!(world.has_expired(&auth), "which this machine cannot know");
    let before = version.load(Ordering::Acquire);
    world.issuer.fail_with([Fault::PutOff(3600)]);
    super::recover(&manager, &auth).await.expect_err("put off");
    assert!(manager.fresh_auth_if_ready().is_none(), "it is known to have ended");
    assert_ne!(version.load(Ordering::Acquire), before);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_a_readable_end_is_refreshed_once_a_week() {
    for (age, ahead, expected) in [
        (DAY, 0, 0),
        (8 * DAY, 0, 1),
        (20 * YEAR, 0, 1),
        (-YEAR, 0, 0),
        (DAY, YEAR, 0),
        (8 * DAY, -YEAR, 1),
    ] {
        let what = format!("{age} s old, {ahead} s ahead");
        let world = world(HOUR, ahead, Claims::Unreadable, age);
        let mut program = Program::new(&world).await;
        program.run(5 * DAY, seconds(MINUTE)).await;
        assert_eq!((world.issuer.requests().1, program.waited), (expected, 0), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_record_says_of_its_age_does_not_matter_where_the_token_says_when_it_ends() {
    for age in [Some(0), Some(YEAR), Some(100 * YEAR), Some(-1), Some(-YEAR), None] {
        for ahead in [0, 2 * HOUR, -2 * HOUR] {
            let what = format!("{age:?} s old, {ahead} s ahead");
            let world = world(HOUR, ahead, Claims::Seconds, 100);
            stored_ago(&world, age);
            let mut program = Program::new(&world).await;
            program.run(3 * HOUR, seconds(10)).await;
            assert_rare(&world, HOUR, 0, &what);
            assert_refreshed(&world, &what);
            assert!(program.rejected <= 1 && program.waited <= 1, "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_asked_for_is_no_loop_either() {
    for ahead in WRONG {
        let world = world(HOUR, ahead, Claims::Seconds, 100);
        let builder = world.builder().refresh_window(seconds(50 * MINUTE));
        let mut program = Program::new(&world).await;
        program.manager = builder.build().await.expect("a manager");
        program.run(3 * HOUR, seconds(10)).await;
        let arrivals = world.issuer.arrivals();
        let gap = |pair: &[Duration]| pair[1] - pair[0];
        let is_asked_for = |pair| (seconds(9 * MINUTE)..=seconds(11 * MINUTE)).contains(&gap(pair));
        assert!(arrivals.windows(2).all(is_asked_for), "{ahead}: {arrivals:?}");
        assert!(arrivals.len() > 10, "{ahead}: {arrivals:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_record_of_another_program_is_used_although_it_looks_expired() {
    let world = world(HOUR, 2 * HOUR, Claims::Seconds, 100);
    let manager = world.builder().refresh(RefreshMode::Never).build().await.expect("a manager");
    let old = manager.auth().expect("signed in");
    world.store.memory.replace(Some(world.issuer.rotate(old.record())));
    super::recover(&manager, &old).await.expect("adopted");
    let start = Instant::now();
    let auth = manager.fresh_auth().await.expect("fresh").expect("signed in");
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_ne!(refresh_token(&auth), refresh_token(&old));
}

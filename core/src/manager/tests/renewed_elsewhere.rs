//! Logins without a refresh token: a broker has it, and stores access tokens for this manager.

use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::events::kinds;
use super::spans::Collector;
use super::world::{LIFE, World};
use super::{RETRY, recover, start_recovery};
use crate::auth_dot_json::AuthDotJson;
use crate::secret::Secret;
use crate::snapshot::CodexAuth;
use crate::storage::AuthStorage;
use crate::{AuthManager, GiveUpReason, RefreshMode, UnauthorizedRecoveryDecision};

const GIVE_UP: fn(GiveUpReason) -> UnauthorizedRecoveryDecision =
    UnauthorizedRecoveryDecision::GiveUp;

/// More than the life of an access token.
const LONG: Duration = Duration::from_secs(2 * LIFE.unsigned_abs());
const SECOND: Duration = Duration::from_secs(1);
/// How long the broker is waited for by default.
const WAIT: Duration = Duration::from_secs(5);

/// What a broker leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The refresh token.
    AccessOnly,
    /// Nothing: the mode says that the tokens are another program's to renew.
    External,
}

const FORMS: [Form; 2] = [Form::AccessOnly, Form::External];

/// A program that has the refresh token of the world's login, and stores the rest.
struct Broker<'a> {
    world: &'a World,
    form: Form,
    own: RefCell<AuthDotJson>,
}

impl<'a> Broker<'a> {
    fn new(world: &'a World, form: Form) -> Self {
        let own = AuthDotJson::clone(&world.store.memory.record().expect("a record"));
        let broker = Self { world, form, own: RefCell::new(own) };
        broker.store();
        broker
    }

    fn store(&self) {
        let mut record = self.own.borrow().clone();
        match self.form {
            Form::External => record.auth_mode = Some("chatgptAuthTokens".to_owned()),
            Form::AccessOnly => {
                record.tokens.as_mut().expect("tokens").refresh_token = Secret::default();
            }
        }
        self.world.store.memory.replace(Some(record));
    }

    fn renew(&self) {
        let renewed = self.world.issuer.rotate(&self.own.borrow());
        *self.own.borrow_mut() = renewed;
        self.store();
    }

    fn has_stored(&self, auth: &CodexAuth) -> bool {
        **auth.record() == *self.world.store.memory.record().expect("a record")
    }
}

/// Asserts that the manager of `world` has asked for nothing, locked nothing and written nothing.
fn assert_only_read(world: &World) {
    let counts = [&world.store.locks_tried, &world.store.commits];
    assert_eq!(counts.map(|count| count.load(Ordering::SeqCst)), [0, 0]);
    assert_eq!(world.issuer.requests().0, 0);
}

fn start_fresh_auth(manager: &AuthManager) -> JoinHandle<crate::Result<Option<CodexAuth>>> {
    let manager = manager.clone();
    tokio::spawn(async move { manager.fresh_auth().await })
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_waited_for_until_the_broker_has_renewed_it() {
    for (form, is_unstamped) in [FORMS[0], FORMS[1]].map(|form| (form, form == Form::External)) {
        let world = World::new();
        world.store.is_unstamped.store(is_unstamped, Ordering::SeqCst);
        let broker = Broker::new(&world, form);
        let manager = world.manager().await;
        world.pass(LONG).await;
        assert!(manager.fresh_auth_if_ready().is_none(), "{form:?}: it has to wait");
        let waiting: Vec<_> = (0..100).map(|_| start_fresh_auth(&manager)).collect();
        world.pass(Duration::from_millis(300)).await;
        let mut events = manager.subscribe();
        broker.renew();
        for waiting in waiting {
            let fresh = waiting.await.expect("no panic").expect("renewed").expect("signed in");
            assert!(broker.has_stored(&fresh), "{form:?}");
        }
        assert_eq!(kinds(&mut events).await, ["adopted"]);
        assert_eq!(manager.stats().waits, 99, "one watches for all");
        assert_only_read(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_that_is_not_renewed_is_an_error_that_says_so() {
    for (form, refresh) in FORMS.into_iter().zip([RefreshMode::Auto, RefreshMode::Never]) {
        let world = World::new();
        let broker = Broker::new(&world, form);
        let manager = world.builder().refresh(refresh).build().await.expect("a manager");
        let (collector, _guard) = Collector::start();
        let mut events = manager.subscribe();
        world.pass(LONG).await;
        for _ in 0..2 {
            let start = world.environment.clock.elapsed();
            let error = manager.fresh_auth().await.expect_err("not renewed");
            assert_eq!((error.code(), error.is_transient()), ("refresh_transient", true));
            assert_eq!(error.reason(), Some("not_refreshable"), "{form:?}");
            let place = format!("in {} has expired", world.store.location());
            assert!(error.to_string().contains(&place), "{error}");
            let waited = world.environment.clock.elapsed() - start;
            assert!((WAIT..WAIT + SECOND).contains(&waited), "{waited:?}");
        }
        assert_eq!(kinds(&mut events).await, ["refresh_failed"; 2]);
        assert_eq!(collector.count("see that it runs"), 1, "it is said once");
        broker.renew();
        assert!(broker.has_stored(&manager.fresh_auth().await.expect("read").expect("signed in")));
        assert_only_read(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_token_in_the_store_takes_the_place_of_an_expired_one_at_once() {
    for form in FORMS {
        let world = World::new();
        let broker = Broker::new(&world, form);
        let manager = world.manager().await;
        world.pass(LONG).await;
        broker.renew();
        let start = world.environment.clock.elapsed();
        let fresh = manager.fresh_auth().await.expect("read").expect("signed in");
        assert!(broker.has_stored(&fresh), "{form:?}");
        assert_eq!(world.environment.clock.elapsed(), start, "{form:?}");
        assert!(manager.fresh_span().is_some_and(|span| !span.is_empty()), "{form:?}: it will end");
        assert_only_read(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_works_is_handed_out_at_once_and_its_successor_looked_for() {
    for form in FORMS {
        let world = World::new();
        let broker = Broker::new(&world, form);
        let manager = world.manager().await;
        let mut events = manager.subscribe();
        world.pass(Duration::from_secs(LIFE.unsigned_abs() - 300)).await;
        let start = world.environment.clock.elapsed();
        let before = world.store.reads.load(Ordering::SeqCst);
        for _ in 0..100 {
            assert!(manager.fresh_auth().await.expect("ready").is_some());
        }
        assert!(manager.close(SECOND).await, "nothing is waited for");
        assert!(world.environment.clock.elapsed() - start < SECOND, "{form:?}");
        let reads = world.store.reads.load(Ordering::SeqCst) - before;
        assert_eq!(reads, 1, "{form:?}: then it rests");
        assert_eq!(kinds(&mut events).await, [""; 0], "nothing has failed");
        broker.renew();
        world.pass(SECOND * 40).await;
        manager.fresh_auth().await.expect("ready");
        assert!(manager.close(SECOND).await);
        assert!(broker.has_stored(&manager.auth().expect("signed in")), "{form:?}");
        assert_only_read(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stored_token_that_is_about_to_end_is_better_than_an_expired_one() {
    let world = World::new();
    let broker = Broker::new(&world, Form::AccessOnly);
    let manager = world.manager().await;
    world.pass(LONG).await;
    broker.renew();
    world.pass(Duration::from_secs(LIFE.unsigned_abs() - 300)).await;
    let start = world.environment.clock.elapsed();
    let fresh = manager.fresh_auth().await.expect("read").expect("signed in");
    assert!(broker.has_stored(&fresh));
    assert_eq!(world.environment.clock.elapsed(), start, "it works, so nothing is waited for");
}

#[tokio::test(start_paused = true)]
async fn after_a_401_the_broker_is_followed_and_waited_for() {
    for form in FORMS {
        let world = World::new();
        let broker = Broker::new(&world, form);
        let manager = world.manager().await;
        let first = manager.auth().expect("signed in");
        broker.renew();
        let start = world.environment.clock.elapsed();
        assert_eq!(recover(&manager, &first).await.expect("recovered"), RETRY, "{form:?}");
        assert_eq!(world.environment.clock.elapsed(), start, "{form:?}: it was there already");
        let second = manager.auth().expect("signed in");
        assert!(broker.has_stored(&second));

        let waiting = start_recovery(&manager, &second);
        world.pass(SECOND * 4).await;
        assert!(!waiting.is_finished(), "{form:?}");
        broker.renew();
        assert_eq!(waiting.await.expect("no panic").expect("recovered"), RETRY, "{form:?}");
        let third = manager.auth().expect("signed in");
        assert!(broker.has_stored(&third));

        let start = world.environment.clock.elapsed();
        let decision = recover(&manager, &third).await.expect("an outcome");
        assert_eq!(decision, GIVE_UP(GiveUpReason::NotRefreshable), "{form:?}");
        let waited = world.environment.clock.elapsed() - start;
        assert!((WAIT..WAIT + SECOND).contains(&waited), "{waited:?}");
        let error = manager.refresh_token(&third).await.expect_err("not renewed");
        assert!(error.to_string().contains("was rejected"), "{error}");
        assert_eq!(error.reason(), Some("not_refreshable"));
        assert_only_read(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn an_http_request_is_sent_again_with_what_the_broker_has_stored() {
    for form in FORMS {
        let world = World::new();
        let broker = Broker::new(&world, form);
        let manager = world.manager().await;
        let authorization = manager.authorize("https://chatgpt.com/", None).expect("authorized");
        world.pass(LONG).await;
        assert!(
            authorization.auth_if_ready().expect("allowed").is_none(),
            "{form:?}: it has ended"
        );
        broker.renew();
        let first = authorization.auth().await.expect("signed in");
        broker.renew();
        let second = authorization.retry_auth(&first, 401).await.expect("adopted").expect("again");
        assert!(broker.has_stored(&second), "{form:?}");
        assert!(authorization.retry_auth(&second, 401).await.expect("final").is_none(), "{form:?}");
        assert_only_read(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn g3_no_other_login_and_workspace_takes_the_place_of_a_brokers() {
    for (form, pin) in FORMS.into_iter().zip([None, Some("acct-a")]) {
        let world = World::new();
        let broker = Broker::new(&world, form);
        let mut builder = world.builder();
        if let Some(pin) = pin {
            builder = builder.account_id(pin);
        }
        let manager = builder.build().await.expect("a manager");
        let mut events = manager.subscribe();
        let auth = manager.auth().expect("signed in");
        let mismatch = GIVE_UP(GiveUpReason::IdentityMismatch);

        broker.own.borrow_mut().tokens.as_mut().expect("tokens").account_id =
            Some("acct-b".to_owned());
        broker.renew();
        assert_eq!(recover(&manager, &auth).await.expect("an outcome"), mismatch, "{form:?}");
        let account = manager.auth().and_then(|auth| auth.account_id().map(str::to_owned));
        assert_eq!(account.as_deref(), pin.is_none().then_some("acct-b"), "{form:?}");
        assert_eq!(kinds(&mut events).await, ["workspace_changed"]);

        *broker.own.borrow_mut() = world.issuer.login("acct-c");
        broker.store();
        assert_eq!(recover(&manager, &auth).await.expect("an outcome"), mismatch, "{form:?}");
        let told = if pin.is_none() { vec!["identity_changed"] } else { Vec::new() };
        assert_eq!(kinds(&mut events).await, told, "{form:?}");
        assert_only_read(&world);
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_names_no_user_is_known_by_its_access_token() {
    let world = World::new();
    let broker = Broker::new(&world, Form::AccessOnly);
    let forget = || {
        let mut own = broker.own.borrow_mut();
        let tokens = own.tokens.as_mut().expect("tokens");
        (tokens.id_token, tokens.account_id) = (Secret::default(), None);
    };
    forget();
    broker.store();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let decision = recover(&manager, &auth).await.expect("an outcome");
    assert_eq!(decision, GIVE_UP(GiveUpReason::NotRefreshable), "it is the same login");
    broker.renew();
    let decision = recover(&manager, &auth).await.expect("an outcome");
    assert_eq!(decision, GIVE_UP(GiveUpReason::MissingIdentity), "nothing shows that this one is");
    assert!(broker.has_stored(&manager.auth().expect("signed in")), "the next requests use it");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_a_login_over_or_gives_it_back_is_noticed() {
    let world = World::new();
    let manager = world.manager().await;
    world.pass(LONG).await;
    let broker = Broker::new(&world, Form::AccessOnly);
    let waiting = start_fresh_auth(&manager);
    world.pass(SECOND).await;
    broker.renew();
    let taken_over = waiting.await.expect("no panic").expect("renewed").expect("signed in");
    assert!(broker.has_stored(&taken_over));
    assert_only_read(&world);

    world.pass(LONG).await;
    let waiting = start_fresh_auth(&manager);
    world.pass(SECOND).await;
    world.store.memory.replace(Some(broker.own.borrow().clone()));
    let redeemed = waiting.await.expect("no panic").expect("redeemed").expect("signed in");
    assert!(!world.has_expired(&redeemed) && broker.has_stored(&redeemed));
    assert_eq!(world.issuer.requests().0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_loses_its_refresh_token_behind_the_lock_is_not_redeemed() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    // Such a store is read again after a while only.
    world.store.is_unstamped.store(true, Ordering::SeqCst);
    let held = world.store.memory.try_lock().await.expect("a lock").expect("free");
    let waiting = start_recovery(&manager, &auth);
    world.pass(Duration::from_millis(100)).await;
    drop(held);
    let broker = Broker::new(&world, Form::AccessOnly);
    let error = waiting.await.expect("no panic").expect_err("it cannot be redeemed");
    assert_eq!((error.code(), world.issuer.requests().0), ("refresh_transient", 0));
    broker.renew();
    assert_eq!(recover(&manager, &auth).await.expect("recovered"), RETRY);
}

#[tokio::test(start_paused = true)]
async fn a_guardian_follows_a_broker_and_does_not_spin() {
    for form in FORMS {
        let world = World::new();
        let broker = Broker::new(&world, form);
        let manager = world.manager().await;
        let mut events = manager.subscribe();
        let _guardian = manager.keep_fresh();
        world.pass(LONG).await;
        assert!(world.store.reads.load(Ordering::SeqCst) < 300, "{form:?}: one in 30 seconds");
        assert_eq!(kinds(&mut events).await, [""; 0]);
        broker.renew();
        world.pass(SECOND * 31).await;
        assert!(broker.has_stored(&manager.auth().expect("signed in")), "{form:?}");
        assert_eq!(kinds(&mut events).await, ["adopted"]);
        assert_only_read(&world);
    }
}

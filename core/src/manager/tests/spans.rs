//! What a subscriber of `tracing` sees: names, fields and outcomes, and nothing secret.

use crate::LogoutOptions;
use std::fmt::Debug;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::{Layer, Registry};

use super::world::{Fault, World};
use super::{recover, start_recovery};
use crate::auth_dot_json::AuthDotJson;
use crate::token_endpoint::RefusalReason;

/// Keeps all that is recorded.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    /// The text of all fields of all spans and events.
    said: Arc<Mutex<String>>,
}

struct Span {
    id: Id,
    name: &'static str,
    fields: String,
    /// The names of the span that this one is in, and of the one that it follows from.
    parent: Option<&'static str>,
    follows: Option<&'static str>,
}

struct Fields(String);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0 += &format!(" {field}={value}");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

impl Collector {
    fn start() -> (Self, DefaultGuard) {
        let collector = Self::default();
        let subscriber = Registry::default().with(collector.clone());
        (collector, tracing::subscriber::set_default(subscriber))
    }

    fn read(&self, record: impl FnOnce(&mut Fields)) -> String {
        let mut fields = Fields(String::new());
        record(&mut fields);
        self.said.lock().expect("no panic").push_str(&fields.0);
        fields.0
    }

    fn change(&self, id: &Id, change: impl FnOnce(&mut Span)) {
        let mut spans = self.spans.lock().expect("no panic");
        // Registries use an id again once its span is over.
        change(spans.iter_mut().rev().find(|span| span.id == *id).expect("known"));
    }

    /// The spans so far, in the order in which they began: name and fields.
    fn spans(&self) -> Vec<String> {
        let spans = self.spans.lock().expect("no panic");
        spans.iter().map(|span| format!("{}{}", span.name, span.fields)).collect()
    }
}

impl Layer<Registry> for Collector {
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, context: Context<'_, Registry>) {
        let metadata = span.metadata();
        assert_eq!((metadata.target(), *metadata.level()), ("codex_auth_sdk", Level::INFO));
        let fields = self.read(|fields| span.record(fields));
        let parent = context.span(id).and_then(|span| span.parent()).map(|parent| parent.name());
        let (id, name) = (id.clone(), metadata.name());
        self.spans.lock().expect("no panic").push(Span { id, name, fields, parent, follows: None });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, Registry>) {
        let fields = self.read(|fields| values.record(fields));
        self.change(id, |span| span.fields += &fields);
    }

    fn on_follows_from(&self, id: &Id, earlier: &Id, context: Context<'_, Registry>) {
        let earlier = context.span(earlier).map(|span| span.name());
        self.change(id, |span| span.follows = earlier);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, Registry>) {
        self.read(|fields| event.record(fields));
    }
}

#[tokio::test(start_paused = true)]
async fn a_recovery_is_told_in_spans_with_stable_names_fields_and_outcomes() {
    let world = World::new();
    let (manager, late) = (world.manager().await, world.manager().await);
    let auth = manager.auth().expect("signed in");
    let (collector, _guard) = Collector::start();
    recover(&manager, &auth).await.expect("recovered");
    assert_eq!(
        collector.spans(),
        [
            "codex_auth.recovery outcome=retry",
            "codex_auth.refresh purpose=rejected outcome=fresh",
            "codex_auth.lock_wait outcome=locked",
            "codex_auth.redemption outcome=granted",
            "codex_auth.commit outcome=saved",
        ]
    );
    late.refresh_token(&auth).await.expect("adopted");
    assert_eq!(
        collector.spans()[5..],
        [
            "codex_auth.refresh purpose=rejected outcome=fresh",
            "codex_auth.lock_wait outcome=answered",
        ]
    );
    let spans = collector.spans.lock().expect("no panic");
    let around: Vec<_> = spans.iter().map(|span| (span.parent, span.follows)).collect();
    assert_eq!(around[..2], [(None, None), (None, Some("codex_auth.recovery"))]);
    assert_eq!(around[2..5], [(Some("codex_auth.refresh"), None); 3]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_has_the_code_of_its_error() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let (collector, _guard) = Collector::start();
    world.issuer.fail_with([Fault::Unsent, Fault::Refused(RefusalReason::Invalidated)]);
    recover(&manager, &auth).await.expect_err("refused");
    world.store.memory.replace(None);
    recover(&manager, &auth).await.expect("an outcome");
    assert_eq!(
        collector.spans(),
        [
            "codex_auth.recovery outcome=refresh_token_invalidated",
            "codex_auth.refresh purpose=rejected outcome=refresh_token_invalidated",
            "codex_auth.lock_wait outcome=locked",
            "codex_auth.redemption outcome=not_spent",
            "codex_auth.redemption outcome=invalidated",
            "codex_auth.recovery outcome=logged_out",
        ]
    );
    world.sign_in("acct-a");
    manager.reload().await.expect("read");
    world.store.failing_commits.store(1, Ordering::SeqCst);
    world.pass(Duration::from_secs(3600 - 599)).await;
    manager.fresh_auth().await.expect("ready");
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(
        collector.spans()[6..],
        [
            "codex_auth.refresh purpose=proactive outcome=fresh",
            "codex_auth.lock_wait outcome=locked",
            "codex_auth.redemption outcome=granted",
            "codex_auth.commit outcome=store_unavailable",
            "codex_auth.commit outcome=saved",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn each_opened_manager_is_described() {
    let world = World::new();
    let (collector, _guard) = Collector::start();
    drop((world.manager().await, world.builder().build_now().expect("a manager")));
    world.pass(Duration::from_secs(1)).await;
    let said = collector.said.lock().expect("no panic").clone();
    assert_eq!(said.matches("a manager was opened").count(), 2, "{said}");
    assert_eq!(said.matches("\"chosen_by\":\"option\"").count(), 2, "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_workspace_that_no_token_names_is_told_of_once() {
    let world = World::new();
    let mut record = AuthDotJson::clone(&world.store.memory.record().expect("a record"));
    record.tokens.as_mut().expect("tokens").account_id = Some("acct-b".to_owned());
    world.store.memory.replace(Some(record));
    let (collector, _guard) = Collector::start();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    recover(&manager, &auth).await.expect("recovered");
    manager.reload().await.expect("read");
    let said = collector.said.lock().expect("no panic").clone();
    assert_eq!(said.matches("which its tokens do not name").count(), 1, "{said}");
}

#[tokio::test(start_paused = true)]
async fn g9_nothing_that_is_traced_names_a_token_or_an_account() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let (collector, _guard) = Collector::start();
    world.store.failing_commits.store(2, Ordering::SeqCst);
    world.issuer.fail_with([Fault::Unanswered, Fault::Unsent]);
    start_recovery(&manager, &auth).await.expect("no panic").expect("recovered");
    world.pass(Duration::from_secs(60)).await;
    let fresh = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::Refused(RefusalReason::Invalidated)]);
    recover(&manager, &fresh).await.expect_err("refused");
    manager.logout(LogoutOptions::default()).await.expect("signed out");
    let said = collector.said.lock().expect("no panic").clone();
    assert!(said.contains("the refresh token is refused"), "events are collected: {said}");
    for auth in [&auth, &fresh] {
        let tokens = auth.managed_tokens().expect("a login");
        for secret in [&tokens.access_token, &tokens.id_token, &tokens.refresh_token] {
            assert!(!said.contains(secret.expose()), "{said}");
        }
    }
    assert!(!said.contains("acct-a"), "{said}");
}

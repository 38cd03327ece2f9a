//! RFC 8628: the user types a code in on another device.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use codex_auth_sdk::environment::{BoxFuture, Clock, Environment, SystemClock};
use codex_auth_sdk::{AuthManager, DeviceLogin};
use serde_json::{Value, json};

use crate::scene::{Scene, options, refused};

/// A clock whose pauses between two requests are short, and known. A user is waited for in full.
#[derive(Default)]
struct Pauses {
    clock: SystemClock,
    asked: Mutex<Vec<u64>>,
}

impl Clock for Pauses {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(duration.as_secs());
        let is_pause = duration < Duration::from_secs(60);
        Box::pin(tokio::time::sleep(if is_pause { duration / 20 } else { duration }))
    }
}

/// A device whose user has been told where to go.
async fn device(scene: &mut Scene) -> (AuthManager, DeviceLogin, Arc<Pauses>) {
    let pauses = Arc::new(Pauses::default());
    let mut environment = Environment::default();
    environment.clock = pauses.clone();
    let manager = scene.builder().environment(environment).build().await.expect("a manager");
    let login = manager.login_with_device_code(options()).await.expect("begun");
    scene.browser.open(login.verification_uri()).await;
    (manager, login, pauses)
}

#[tokio::test]
async fn a_user_types_the_code_in_and_the_device_is_signed_in() {
    let Some(mut scene) = Scene::new().await else { return };
    scene.realm().run("hurry", &json!({"times": 2}));
    let (manager, login, pauses) = device(&mut scene).await;
    let mut events = manager.subscribe();
    for _ in 0..3 {
        assert_eq!(events.next().await.expect("told").kind(), "login_pending");
    }
    scene.types_in(login.user_code(), "[autofocus]").await;
    scene.logs_in("ada").await;
    scene.agrees().await;
    scene.browser.sees("Sign-in Success").await;
    let auth = login.wait().await.expect("signed in");
    assert_eq!(auth.email(), Some("ada@example.com"));
    assert_eq!(
        scene.record()["tokens"]["access_token"],
        auth.access_token().expect("one").expose()
    );
    let asked = pauses.asked.lock().expect("sound").clone();
    let intervals: Vec<_> = asked.into_iter().filter(|pause| (1..600).contains(pause)).collect();
    // 5 s, as nothing was said; 5 more each time that it was too soon.
    assert_eq!(intervals[..4], [5, 10, 15, 15], "{intervals:?}");
    assert!(manager.refresh_token(&auth).await.expect("renewed").is_some());
}

#[tokio::test]
async fn a_user_who_does_not_know_the_device_aborts() {
    let Some(mut scene) = Scene::new().await else { return };
    let (_manager, login, _) = device(&mut scene).await;
    scene.types_in(login.user_code(), "[name=abort]").await;
    scene.browser.sees("The Sign-in request was interrupted").await;
    let error = refused(login.wait().await);
    assert_eq!((error.code(), error.reason()), ("login_denied", Some("access_denied")));
    assert_eq!(scene.record(), Value::Null);
}

#[tokio::test]
async fn a_code_that_nobody_has_typed_in_expires() {
    let Some(mut scene) = Scene::new().await else { return };
    let (_manager, login, _) = device(&mut scene).await;
    scene.realm().run("expire_devices", &json!({}));
    assert_eq!(refused(login.wait().await).code(), "login_timeout");
    // It is the server that said so: ours has heard of ten minutes.
    let refused = scene.realm().stats()["refused"].take();
    assert_eq!(refused.as_array().and_then(|all| all.last()), Some(&json!("expired_token")));
    assert_eq!(scene.record(), Value::Null);
}

//! Answers of the token endpoint that do not say whether the refresh token is good.

use std::time::Duration;

use super::world::{Fault, World};
use super::{RETRY, recover};
use crate::error::Error;
use crate::snapshot::CodexAuth;
use crate::token_endpoint::RefusalReason;
use crate::{AuthManager, UnauthorizedRecoveryDecision};

const UNCODED: Fault = Fault::Refused(RefusalReason::Uncoded);

/// Recovers, and goes on after each rest while the error is transient, at most so often. Returns the
/// errors.
async fn persist(
    world: &World,
    manager: &AuthManager,
    auth: &CodexAuth,
    most: usize,
) -> (Vec<Error>, Option<UnauthorizedRecoveryDecision>) {
    let mut errors = Vec::new();
    while errors.len() < most {
        match recover(manager, auth).await {
            Ok(decision) => return (errors, Some(decision)),
            Err(error) => {
                let rest = error.retry_after();
                errors.push(error);
                let Some(rest) = rest else { break };
                world.pass(rest).await;
            }
        }
    }
    (errors, None)
}

#[tokio::test(start_paused = true)]
async fn g2_a_stray_401_without_a_code_ends_no_login() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([UNCODED]);
    let (errors, decision) = persist(&world, &manager, &auth, 9).await;
    assert!(errors.iter().all(Error::is_transient) && errors.len() == 1, "{errors:?}");
    assert_eq!(decision, Some(RETRY));
}

#[tokio::test(start_paused = true)]
async fn a_401_without_a_code_is_believed_if_it_lasts_for_a_minute() {
    let world = World::new();
    world.issuer.fail_with([UNCODED; 30]);
    let managers = [world.manager().await, world.manager().await];
    let auth = managers[0].auth().expect("signed in");
    let start = world.environment.clock.elapsed();
    let (errors, _) = persist(&world, &managers[0], &auth, 30).await;
    let (last, others) = errors.split_last().expect("errors");
    assert!(others.iter().all(Error::is_transient), "{errors:?}");
    let believed = (last.code(), last.reason(), last.is_transient());
    assert_eq!(believed, ("refresh_token_rejected", Some("uncoded"), false));
    let minute = Duration::from_secs(60);
    assert!(world.environment.clock.elapsed() - start >= minute);
    let asked = world.issuer.requests().0;
    assert!((3..=12).contains(&asked), "{asked} requests");
    // Another program believes it too, and after five minutes it is asked again, once.
    let error = recover(&managers[1], &auth).await.expect_err("refused");
    assert_eq!((error.reason(), world.issuer.requests().0), (Some("uncoded"), asked));
    world.pass(minute * 5).await;
    let error = recover(&managers[0], &auth).await.expect_err("refused");
    assert_eq!((error.reason(), world.issuer.requests().0), (Some("uncoded"), asked + 1));
}

#[tokio::test(start_paused = true)]
async fn two_strays_that_are_hours_apart_are_two_strays() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    for _ in 0..2 {
        world.issuer.fail_with([UNCODED]);
        assert!(recover(&manager, &auth).await.expect_err("a stray").is_transient());
        world.pass(Duration::from_secs(2 * 60 * 60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_known_is_named_and_asked_for_less_and_less_often() {
    let world = World::new();
    let answer = "issuer.example answered the error new_code (HTTP 400)";
    world.issuer.fail_with([Fault::Declined(answer); 30]);
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    let start = world.environment.clock.elapsed();
    let (errors, _) = persist(&world, &manager, &auth, 12).await;
    assert!(errors.len() == 12 && errors.iter().all(Error::is_transient), "{errors:?}");
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert!(texts.iter().all(|text| text.contains("new_code")), "{texts:?}");
    let tells = |text: &String| text.contains("sign-in");
    assert!(!texts[..2].iter().any(tells) && texts[2..].iter().all(tells), "{texts:?}");
    let elapsed = world.environment.clock.elapsed() - start;
    assert!(elapsed > Duration::from_secs(60), "{elapsed:?}");
    // A program that may not ask yet says it too.
    recover(&manager, &auth).await.expect_err("declined");
    let impatient = world.builder().refresh_deadline(Duration::from_millis(10));
    let impatient = impatient.build().await.expect("a manager");
    let error = recover(&impatient, &auth).await.expect_err("too early");
    assert!(error.to_string().contains("sign in"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn g11_no_server_puts_programs_off_for_longer_than_five_minutes() {
    let world = World::new();
    let manager = world.manager().await;
    let auth = manager.auth().expect("signed in");
    world.issuer.fail_with([Fault::PutOff(1_000_000_000)]);
    let (errors, decision) = persist(&world, &manager, &auth, 9).await;
    let rests: Vec<_> = errors.iter().map(Error::retry_after).collect();
    assert_eq!(rests, [Some(Duration::from_secs(300))]);
    assert_eq!(decision, Some(RETRY));
}

//! Options that make no sense are refused, each with its name, its value and what to do.

use std::time::Duration;

use super::world::World;
use crate::secret::Secret;
use crate::{
    AuthManager, AuthManagerBuilder, Error, LoginOptions, RefreshMode, StoreKind, TokenEncoding,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NS: Duration = Duration::from_nanos(1);
const MS: Duration = Duration::from_millis(1);

type Change = fn(AuthManagerBuilder) -> AuthManagerBuilder;

/// Fails unless `error` names `option`, shows the `value` and says what to do.
fn assert_clear(error: &Error, option: &str, value: &str) {
    let text = error.to_string();
    assert_eq!(error.code(), "invalid_option", "{text}");
    let begin = format!("{option} is {value}");
    assert!(text.starts_with(&begin) && text.contains("; "), "{begin:?} in {text:?}");
}

#[tokio::test]
async fn an_option_that_makes_no_sense_is_refused_with_its_name_its_value_and_what_to_do() {
    let cases: &[(Change, &str, &str)] = &[
        (|it| it.refresh_deadline(Duration::ZERO), "refresh_deadline", "0ns"),
        (|it| it.refresh_deadline(MS - NS), "refresh_deadline", "999.999µs"),
        (|it| it.refresh_deadline(Duration::MAX), "refresh_deadline", "1844"),
        (|it| it.request_timeout(Duration::ZERO), "request_timeout", "0ns"),
        (|it| it.request_timeout(DAY + NS), "request_timeout", "86400.000000001s"),
        (|it| it.lock_timeout(Duration::ZERO), "lock_timeout", "0ns"),
        (|it| it.lock_timeout(Duration::MAX), "lock_timeout", "1844"),
        (|it| it.lock_timeout(Duration::from_secs(45)), "lock_timeout", "45s"),
        (|it| it.refresh_deadline(Duration::from_secs(60)), "lock_timeout", "60s"),
        (|it| it.winner_wait(Duration::MAX), "winner_wait", "1844"),
        (|it| it.refresh_window(366 * DAY + NS), "refresh_window", "3162"),
        (|it| it.account_id(""), "account_id", "\"\""),
        (|it| it.account_id(" acct-1"), "account_id", "\" acct-1\""),
        (|it| it.client_id(""), "client_id", "\"\""),
        (|it| it.client_id("a\nb"), "client_id", "\"a\\nb\""),
        (|it| it.originator(""), "originator", "\"\""),
        (|it| it.originator("a\r\nb: c"), "originator", "\"a\\r\\nb: c\""),
        (|it| it.user_agent(" "), "user_agent", "\" \""),
        (|it| it.user_agent("caf\u{e9}"), "user_agent", "\"caf"),
        (|it| it.token_url(""), "token_url", "\"\""),
        (|it| it.token_url("nonsense"), "token_url", "\"nonsense\""),
        (|it| it.token_url("http://example.com/"), "token_url", "\"http"),
        (|it| it.token_url("file:///etc/passwd"), "token_url", "\"file"),
        (|it| it.token_url("https://a.example/#part"), "token_url", "\"https"),
        (|it| it.token_url("https://user@a.example/"), "token_url", "a URL (not shown)"),
        (|it| it.revoke_url(""), "revoke_url", "\"\""),
        (|it| it.revoke_url("https://:secret@a.example/"), "revoke_url", "a URL (not shown)"),
        (|it| it.revoke_url("https://a.example/revoke#"), "revoke_url", "\"https"),
        (|it| it.issuer(""), "issuer", "\"\""),
        (|it| it.issuer("https://a.example/?tenant=1"), "issuer", "\"https"),
        (|it| it.issuer("https://a.example#part"), "issuer", "\"https"),
        (|it| it.issuer("http://a.example"), "issuer", "\"http"),
        (|it| it.proxy(""), "proxy", "a text (not shown)"),
        (|it| it.proxy("socks://proxy:1080"), "proxy", "a text (not shown)"),
        (|it| it.proxy("user:secret@proxy:1"), "proxy", "a text (not shown)"),
        (|it| it.proxy("http://user:secret@proxy:1/path"), "proxy", "a text (not shown)"),
        (|it| it.proxy("http://proxy:1#part"), "proxy", "a text (not shown)"),
        (|it| it.allowed_origins(vec![String::new()]), "allowed_origins", "\"\""),
        (|it| it.allowed_origins(vec!["https://a.example/v1".into()]), "allowed_origins", "\"h"),
        (|it| it.allowed_origins(vec!["https://a.example#".into()]), "allowed_origins", "\"h"),
        (|it| it.allowed_origins(vec!["*".into()]), "allowed_origins", "\"*\""),
        (
            |it| it.allowed_origins(vec!["https://user:secret@a.example".into()]),
            "allowed_origins",
            "a URL (not shown)",
        ),
    ];
    for (change, option, value) in cases {
        let world = World::new();
        let error = change(world.builder()).build().await.expect_err(value);
        assert_clear(&error, option, value);
        assert!(!format!("{error:?}").contains("secret"), "{error}");
        assert_eq!(
            change(world.builder()).build_now().expect_err(value).to_string(),
            error.to_string()
        );
    }
}

#[tokio::test]
async fn a_home_that_is_no_folder_is_refused() {
    let missing = tempfile::tempdir().expect("a folder").path().join("gone");
    for home in ["".into(), missing, "~/.codex".into()] {
        let error = AuthManager::builder().codex_home(&home).build().await.expect_err("none");
        assert_clear(&error, "codex_home", &format!("{home:?}"));
        assert_eq!(error.to_string().contains("only a shell"), home.starts_with("~"), "{error}");
    }
}

#[tokio::test]
async fn g3_the_name_of_a_login_is_refused_where_it_would_choose_none() {
    let home = tempfile::tempdir().expect("a folder");
    for store in [StoreKind::File, StoreKind::Codex, "agent".parse().expect("a store")] {
        let builder = || AuthManager::builder().codex_home(home.path()).store(store.clone());
        let error = builder().login("bob").build_unread().expect_err("refused");
        assert_eq!(error.code(), "invalid_option", "{store:?}");
        assert!(error.to_string().starts_with("login is"), "{error}");
        let error = builder()
            .store_key(Secret::new("s3cret"))
            .build_unread()
            .expect_err("refused")
            .to_string();
        assert!(error.starts_with("store_key is") && !error.contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn what_is_at_the_border_makes_sense() {
    let cases: &[Change] = &[
        |it| it.refresh_deadline(MS).request_timeout(MS).lock_timeout(MS + NS),
        |it| it.lock_timeout(DAY).refresh_deadline(DAY - NS).request_timeout(DAY),
        |it| it.winner_wait(Duration::ZERO).refresh_window(Duration::ZERO),
        |it| it.winner_wait(DAY).refresh_window(366 * DAY),
        |it| it.token_url("https://a.example/token?tenant=1").proxy("http://proxy:3128/"),
        |it| it.proxy("socks5h://user:password@proxy:1080"),
        |it| it.issuer("https://a.example/realm/").token_url("http://127.0.0.1:1/token"),
    ];
    for change in cases {
        let world = World::new();
        change(world.builder()).build().await.expect("it makes sense");
    }
}

#[tokio::test]
async fn a_sign_in_that_makes_no_sense_is_refused() {
    let manager = World::new().manager().await;
    type Change = fn(&mut LoginOptions);
    let cases: &[(Change, &str, &str)] = &[
        (|it| it.timeout = Some(Duration::ZERO), "timeout", "0ns"),
        (|it| it.timeout = Some(Duration::MAX), "timeout", "1844"),
        (|it| it.scope = Some(String::new()), "scope", "\"\""),
        (|it| it.ports.clear(), "ports", "empty"),
        (|it| (it.ports, it.manual) = (vec![0], true), "ports", "[0, ..]"),
        (|it| it.allowed_workspaces.push(String::new()), "allowed_workspaces", "\"\""),
    ];
    for (change, option, value) in cases {
        let mut options = LoginOptions::default();
        change(&mut options);
        let error = manager.login_with_browser(options.clone()).await.expect_err(value);
        assert_clear(&error, option, value);
        let error = manager.login_with_device_code(options).await.expect_err(value);
        assert_clear(&error, option, value);
    }
}

#[test]
fn numbers_and_words_that_are_no_value_are_refused() {
    for number in [-1.0, -0.001, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
        let error = crate::option_value::seconds("lock_timeout", number).expect_err("no duration");
        assert_clear(&error, "lock_timeout", &number.to_string());
        let error =
            crate::option_value::milliseconds("lockTimeoutMs", number).expect_err("no duration");
        assert_clear(&error, "lockTimeoutMs", &number.to_string());
    }
    for word in ["", "Auto", "auto "] {
        let value = format!("{word:?}");
        assert_clear(&word.parse::<RefreshMode>().expect_err("unknown"), "refresh", &value);
        assert_clear(&word.parse::<StoreKind>().expect_err("unknown"), "store", &value);
        let unknown = word.parse::<TokenEncoding>().expect_err("unknown");
        assert_clear(&unknown, "token_encoding", &value);
        let unknown = word.parse::<crate::LoginProtocol>().expect_err("unknown");
        assert_clear(&unknown, "protocol", &value);
    }
}

//! Prints what the calls of a program cost that has nothing to refresh, and how long a thousand
//! tasks with one rejected token take. Run with `cargo bench -p codex-auth-sdk --features test-util`.

#![allow(clippy::print_stdout, missing_docs, reason = "a program that prints")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use codex_auth_sdk::environment::{BoxFuture, Environment};
use codex_auth_sdk::storage::FileStorage;
use codex_auth_sdk::token_endpoint::{
    Grant, Redemption, StoredToken, TokenEndpoint, TokenReply, TokenTypeHint,
};
use codex_auth_sdk::{AuthManager, Secret};
use serde_json::json;

const LATENCY: Duration = Duration::from_millis(100);
const BATCHES: usize = 15;

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let home = tempfile::tempdir().expect("a folder");
    write_login(home.path(), 0);
    let endpoint = Arc::new(SlowEndpoint::default());
    let manager = runtime.block_on(manager(home.path(), &endpoint));

    report("auth() and its access token", 200_000, || {
        let auth = black_box(&manager).auth().expect("signed in");
        black_box(auth.access_token());
    });
    report("fresh_auth() of a fresh token", 200_000, || {
        black_box(runtime.block_on(manager.fresh_auth()).expect("fresh"));
    });
    report("fresh_auth_if_ready() of a fresh token", 200_000, || {
        black_box(manager.fresh_auth_if_ready());
    });
    let auth = manager.auth().expect("signed in");
    report("sync_from_storage, nothing changed", 2_000, || {
        black_box(runtime.block_on(manager.sync_from_storage(&auth)).expect("read"));
    });
    let mut login = 0;
    report_part("sync_from_storage, 4 KiB changed", 500, || {
        login += 1;
        write_login(home.path(), login);
        let start = Instant::now();
        black_box(runtime.block_on(manager.sync_from_storage(&auth)).expect("read"));
        start.elapsed()
    });
    thousand_tasks(&runtime, &manager, &endpoint);
}

fn thousand_tasks(
    runtime: &tokio::runtime::Runtime,
    manager: &AuthManager,
    endpoint: &SlowEndpoint,
) {
    let mut slowest = Vec::new();
    for _ in 0..4 {
        // A young token may be rejected four times: a new manager on a new home is not needed.
        let auth = manager.auth().expect("signed in");
        let before = endpoint.redeemed.load(Ordering::SeqCst);
        let start = Instant::now();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..1000)
                .map(|_| {
                    let (manager, auth) = (manager.clone(), auth.clone());
                    tokio::spawn(async move {
                        let recovery = manager.unauthorized_recovery();
                        manager.recover_from_unauthorized(&auth, &recovery).await
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("no panic").expect("recovered");
            }
        });
        slowest.push(start.elapsed());
        assert_eq!(endpoint.redeemed.load(Ordering::SeqCst) - before, 1, "one redemption");
    }
    slowest.sort();
    println!(
        "{:<44} {:>10.1} ms beyond the issuer's {} ms (median of {})",
        "1,000 tasks with one rejected token",
        (slowest[slowest.len() / 2].saturating_sub(LATENCY)).as_secs_f64() * 1e3,
        LATENCY.as_millis(),
        slowest.len()
    );
}

/// Prints the median and the best batch of calls.
fn report(what: &str, calls: u32, mut call: impl FnMut()) {
    let batches = (0..BATCHES).map(|_| {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed() / calls
    });
    print(what, batches.collect());
}

/// The same for calls of which only a part counts.
fn report_part(what: &str, calls: u32, mut call: impl FnMut() -> Duration) {
    let batches = (0..BATCHES).map(|_| (0..calls).map(|_| call()).sum::<Duration>() / calls);
    print(what, batches.collect());
}

fn print(what: &str, mut batches: Vec<Duration>) {
    batches.sort();
    let (median, best) = (batches[batches.len() / 2], batches[0]);
    println!("{what:<44} {:>10} ns (best batch {})", median.as_nanos(), best.as_nanos());
}

async fn manager(home: &Path, endpoint: &Arc<SlowEndpoint>) -> AuthManager {
    AuthManager::builder()
        .storage(Arc::new(FileStorage::new(home, Environment::default())))
        .token_endpoint(Arc::clone(endpoint) as Arc<dyn TokenEndpoint>)
        .build()
        .await
        .expect("a manager")
}

/// A login of 4 KiB, of the same owner each time.
fn write_login(home: &Path, generation: usize) {
    let now = chrono::Utc::now();
    let record = json!({
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": null,
        "tokens": {
            "id_token": jwt(&json!({"sub": "u", "iss": "i", "https://api.openai.com/auth": {"chatgpt_account_id": "acct"}})),
            "access_token": access_token(generation),
            "refresh_token": format!("rt-{generation}"),
            "account_id": "acct",
        },
        "last_refresh": (now - chrono::TimeDelta::hours(1)).to_rfc3339(),
    });
    let path = home.join("auth.json.new");
    std::fs::write(&path, serde_json::to_vec_pretty(&record).expect("JSON")).expect("written");
    std::fs::rename(path, home.join("auth.json")).expect("renamed");
}

fn access_token(generation: usize) -> String {
    let now = chrono::Utc::now().timestamp();
    jwt(
        &json!({"iat": now - 3600, "exp": now + 86_400, "jti": generation, "pad": "x".repeat(2200)}),
    )
}

fn jwt(payload: &serde_json::Value) -> String {
    format!("h.{}.s", URL_SAFE_NO_PAD.encode(payload.to_string()))
}

/// Grants everything, slowly.
#[derive(Debug, Default)]
struct SlowEndpoint {
    redeemed: AtomicUsize,
}

impl TokenEndpoint for SlowEndpoint {
    fn redeem<'a>(&'a self, _: StoredToken<'a>, _timeout: Duration) -> BoxFuture<'a, TokenReply> {
        Box::pin(async {
            let generation = 1_000_000 + self.redeemed.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(LATENCY).await;
            let mut grant = Grant::default();
            grant.access_token = Some(Secret::new(access_token(generation)));
            grant.refresh_token = Some(Secret::new(format!("rt-{generation}")));
            Redemption::Granted(grant).into()
        })
    }

    fn revoke<'a>(
        &'a self,
        _token: StoredToken<'a>,
        _hint: TokenTypeHint,
        _timeout: Duration,
    ) -> BoxFuture<'a, codex_auth_sdk::Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

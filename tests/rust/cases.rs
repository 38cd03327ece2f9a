//! Runs the shared cases through the Rust API; `tests/README.md` describes them.

mod case {
    pub(crate) mod fields;
    pub(crate) mod run;
    pub(crate) mod store;
}

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use codex_auth_tests::issuer::Issuer;
use codex_auth_tests::log::Log;
use codex_auth_tests::session_keyring::SessionKeyring;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use tokio::runtime::Runtime;

use case::fields::Fields;
use case::run::Run;
use case::store::StoreKind;

/// Set in a process that is in a session.
const IN_SESSION: &str = "CASE_IN_SESSION";

/// Started by the first case that needs it.
type Session = LazyLock<Option<SessionKeyring>>;

fn main() {
    let arguments = Arguments::from_args();
    let log = Log::of_everything();
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    let issuer = Arc::new(Issuer::start().expect("an issuer"));
    let session: Arc<Session> = Arc::new(LazyLock::new(SessionKeyring::start));
    let trials = cases().into_iter().flat_map(|case| {
        let stores = case["stores"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| ["file", "keyring", "ephemeral", "custom"].map(Value::from).into());
        let (runtime, issuer, log) = (Arc::clone(&runtime), Arc::clone(&issuer), log.clone());
        let session = Arc::clone(&session);
        stores.into_iter().map(move |store| {
            let kind: StoreKind =
                serde_json::from_value(store.clone()).expect("a store of the format");
            let name = format!(
                "{}::{}",
                case["name"].as_str().expect("a name"),
                store.as_str().expect("a store")
            );
            // A process with threads cannot fork itself in Rust.
            let needs_more = case["needs"].as_array().is_some_and(|needs| !needs.is_empty());
            let needs_session = kind == StoreKind::Keyring;
            let is_skipped = needs_more || needs_session && !SessionKeyring::is_possible();
            let is_elsewhere = needs_session && std::env::var_os(IN_SESSION).is_none();
            let session = Arc::clone(&session);
            let (case, runtime, issuer, log) =
                (case.clone(), Arc::clone(&runtime), Arc::clone(&issuer), log.clone());
            Trial::test(name.clone(), move || {
                if is_elsewhere {
                    return run_in(&session, &name);
                }
                let run = Run::new(&issuer, &name.replace("::", "-"), kind);
                runtime.block_on(run_case(run, &case, &log)).map_err(Failed::from)
            })
            .with_ignored_flag(is_skipped)
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // The exit would leave its daemons behind.
    drop(Arc::into_inner(session).expect("no case is left"));
    conclusion.exit();
}

/// Runs the case `name` in a process that finds the session.
fn run_in(session: &Session, name: &str) -> Result<(), Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    session.as_ref().ok_or("there is no session")?.enter(&mut command);
    let output = command.args([name, "--exact", "--nocapture"]).env(IN_SESSION, "1").output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && said.contains("1 passed") { Ok(()) } else { Err(said.into()) }
}

async fn run_case(run: Run, case: &Value, log: &Log) -> Result<(), String> {
    let mut case = Fields::of(case.clone());
    for known in ["name", "doc", "stores", "needs"] {
        drop(case.take(known));
    }
    run.prepare(&mut case).await?;
    let steps = case.take("steps");
    let expect = case.take("expect");
    case.end()?;
    for (index, step) in steps.as_array().into_iter().flatten().enumerate() {
        let checked = Run::checked_step(run.clone(), step.clone()).await;
        checked.map_err(|error| format!("step {index} {step}: {error}"))?;
    }
    run.finish(expect, &log.text()).await
}

fn cases() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let files = std::fs::read_dir(folder).expect("the folder of the cases");
    let files = files.map(|file| std::fs::read(file.expect("a file").path()).expect("read"));
    files
        .flat_map(|json| serde_json::from_slice::<Vec<Value>>(&json).expect("a list of cases"))
        .collect()
}

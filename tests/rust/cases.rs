//! Runs the shared cases through the Rust API; `tests/README.md` describes them.

mod case {
    pub(crate) mod fields;
    pub(crate) mod run;
    pub(crate) mod store;
}

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use codex_auth_tests::issuer::Issuer;
use codex_auth_tests::log::Log;
use codex_auth_tests::postgres::Postgres;
use codex_auth_tests::session_keyring::SessionKeyring;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use tokio::runtime::Runtime;

use case::fields::Fields;
use case::run::Run;
use case::store::{DATABASE, StoreKind};

/// Set in a process that is in a session.
const IN_SESSION: &str = "CASE_IN_SESSION";

fn main() {
    // The runner ends by returning from here. Without this, a refresh that is due is never in the background
    // on Windows, as in each program in Rust.
    codex_auth_sdk::bindings::expect_finish();
    let arguments = Arguments::from_args();
    let log = Log::of_everything();
    let runtime = Arc::new(Runtime::new().expect("a runtime"));
    let issuer = Arc::new(Issuer::start().expect("an issuer"));
    let is_staged = [IN_SESSION, DATABASE].iter().any(|name| std::env::var_os(name).is_some());
    let has_database = !is_staged && !Postgres::is_denied();
    let mut trials = Vec::new();
    for (file, cases) in files() {
        let (staged, alone): (Vec<_>, Vec<_>) =
            cases.iter().flat_map(on_each_store).partition(CaseOn::needs_stage);
        if !is_staged {
            trials.push(in_one_session(&file, &staged));
            let on_database = on_one_database(&file, &staged);
            trials.push(on_database.with_ignored_flag(!has_database));
        }
        for case in if is_staged { staged } else { alone } {
            let (runtime, issuer, log) = (Arc::clone(&runtime), Arc::clone(&issuer), log.clone());
            let (name, is_skipped) = (case.name.clone(), case.needs_more());
            let trial = Trial::test(name, move || {
                let run = Run::new(&issuer, &case.name.replace("::", "-"), case.kind);
                runtime.block_on(run_case(run, &case.json, &log)).map_err(Failed::from)
            });
            trials.push(trial.with_ignored_flag(is_skipped));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A case on one kind of store.
struct CaseOn {
    name: String,
    kind: StoreKind,
    json: Value,
}

impl CaseOn {
    /// Whether it needs a keyring or a database, which several cases share.
    fn needs_stage(&self) -> bool {
        matches!(self.kind, StoreKind::Keyring | StoreKind::Postgres)
    }

    /// A process with threads cannot fork itself in Rust.
    fn needs_more(&self) -> bool {
        self.json["needs"].as_array().is_some_and(|needs| !needs.is_empty())
    }
}

fn on_each_store(case: &Value) -> Vec<CaseOn> {
    let mut stores = case["stores"]
        .as_array()
        .cloned()
        .unwrap_or_else(|| ["file", "keyring", "ephemeral", "custom"].map(Value::from).into());
    // What holds on any store of a program's own holds on a row too.
    if stores.contains(&"custom".into()) {
        stores.push("postgres".into());
    }
    let on = |store: Value| {
        let names = [&case["name"], &store].map(|name| name.as_str().expect("a name").to_owned());
        let kind = serde_json::from_value(store).expect("a store of the format");
        CaseOn { name: names.join("::"), kind, json: case.clone() }
    };
    stores.into_iter().map(on).collect()
}

/// The cases of a file that need a keyring, in one session: starting one takes longer than a case.
/// Each is run by a process of its own, which finds the session.
fn in_one_session(file: &str, cases: &[CaseOn]) -> Trial {
    let names = names(cases, StoreKind::Keyring);
    let is_skipped = names.is_empty() || !SessionKeyring::is_possible();
    let trial = Trial::test(format!("keyring::{file}"), move || {
        let session = SessionKeyring::start().ok_or("there is no session")?;
        run_each(&names, |command| session.enter(command.env(IN_SESSION, "1")))
    });
    trial.with_ignored_flag(is_skipped)
}

/// The cases of a file that need a database, on one server. Each is run by a process of its own, which
/// finds no login.
fn on_one_database(file: &str, cases: &[CaseOn]) -> Trial {
    let names = names(cases, StoreKind::Postgres);
    Trial::test(format!("postgres::{file}"), move || {
        let database = Postgres::start().ok_or("there is no database")?;
        database.migrate();
        run_each(&names, |command| {
            database.run("DELETE FROM codex_auth_sdk_logins");
            command.env(DATABASE, database.url());
        })
    })
}

fn names(cases: &[CaseOn], kind: StoreKind) -> Vec<String> {
    let cases = cases.iter().filter(|case| case.kind == kind && !case.needs_more());
    cases.map(|case| case.name.clone()).collect()
}

/// Runs the cases of these names, each in a process that `enter` has find what it needs.
fn run_each(names: &[String], enter: impl Fn(&mut Command)) -> Result<(), Failed> {
    let run = |name: &String| run_in(name, &enter).err().map(|error| format!("{name}: {error}"));
    let failed: Vec<String> = names.iter().filter_map(run).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}

fn run_in(name: &str, enter: impl Fn(&mut Command)) -> Result<(), String> {
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    enter(&mut command);
    command.args([name, "--exact", "--nocapture"]);
    let output = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let is_passed = output.status.success() && said.contains("1 passed");
    if is_passed { Ok(()) } else { Err(said.into_owned()) }
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

/// The cases of each file, by its name.
fn files() -> Vec<(String, Vec<Value>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let files = std::fs::read_dir(folder).expect("the folder of the cases");
    let paths = files.map(|file| file.expect("a file").path());
    let read = |path: PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let json = std::fs::read(path).expect("read");
        (name, serde_json::from_slice(&json).expect("a list of cases"))
    };
    paths.map(read).collect()
}

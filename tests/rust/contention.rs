//! Many processes, one login: one redemption per rotation, and nobody is logged out.
//!
//! `cargo test` runs contenders in Rust. With the feature `bindings` also in Python and Node: then
//! `PYTHON` names an interpreter that has the package, and `NODE` (default `node`) runs the addon.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use codex_auth_tests::issuer::{Issuer, Realm};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug)]
enum Language {
    Rust,
    #[cfg(feature = "bindings")]
    Python,
    #[cfg(feature = "bindings")]
    Node,
}

impl Language {
    fn command(self) -> Command {
        #[cfg(feature = "bindings")]
        let program = |variable: &str, default: &str, script: &str| {
            let program = std::env::var_os(variable).unwrap_or_else(|| default.into());
            let mut command = Command::new(program);
            command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script));
            command
        };
        match self {
            Self::Rust => Command::new(env!("CARGO_BIN_EXE_contender")),
            #[cfg(feature = "bindings")]
            Self::Python => program("PYTHON", "python3", "python/contender.py"),
            #[cfg(feature = "bindings")]
            Self::Node => program("NODE", "node", "node/contender.mjs"),
        }
    }
}

struct Contender {
    language: Language,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Contender {
    fn start(language: Language, home: &Path, realm: &Realm) -> Self {
        let mut command = language.command();
        command.arg(home).arg(realm.url()).arg(format!("{language:?}").to_lowercase());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (input, output) =
            (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Self { language, child, input, output: BufReader::new(output) }
    }

    fn go(&mut self) {
        writeln!(self.input, "go").expect("the contender listens");
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the contender speaks");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{:?} said {line:?}", self.language))
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Lets all contenders make their requests at once, first with a token that has expired, then
/// three times with one that the server has killed.
fn contend(policy: &str, languages: &[Language], processes: usize) {
    let issuer = Issuer::start().expect("an issuer");
    let realm = issuer.realm("");
    realm.run(
        "reset",
        &json!({"policy": policy, "grant_latency_ms": 100, "refusal_latency_ms": 100}),
    );
    let login = realm.call("login", &json!({"name": "a", "access_age_s": 7200}));
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("auth.json"), login["text"].as_str().expect("a record"))
        .expect("written");

    let languages = languages.iter().copied().cycle();
    let mut contenders: Vec<_> = languages
        .take(processes)
        .map(|language| Contender::start(language, home.path(), &realm))
        .collect();
    for contender in &mut contenders {
        assert_eq!(contender.answer(), json!({"ready": true}));
    }
    for rotations in 1..=4 {
        contenders.iter_mut().for_each(Contender::go);
        for contender in &mut contenders {
            let answer = contender.answer();
            assert_eq!(answer["status"], 200, "{:?}: {answer}", contender.language);
        }
        let stats = realm.stats();
        let redemptions = (&stats["requests"], &stats["grants"], &stats["refused"]);
        assert_eq!(redemptions, (&json!(rotations), &json!(rotations), &json!(0)), "{stats}");
        realm.run("kill_access", &json!({}));
    }
    let stored = std::fs::read_to_string(home.path().join("auth.json")).expect("a record");
    let live = realm.call("live", &json!({"text": stored}));
    assert_eq!(live["refresh"], true, "the stored login is good");
}

#[test]
fn g1_rust() {
    for policy in ["error", "revoke_family"] {
        for processes in [2, 8, 32] {
            contend(policy, &[Language::Rust], processes);
        }
    }
}

#[cfg(feature = "bindings")]
#[test]
fn g1_python() {
    for policy in ["error", "revoke_family"] {
        for processes in [2, 8, 32] {
            contend(policy, &[Language::Python], processes);
        }
    }
}

#[cfg(feature = "bindings")]
#[test]
fn g1_node() {
    for policy in ["error", "revoke_family"] {
        for processes in [2, 8, 32] {
            contend(policy, &[Language::Node], processes);
        }
    }
}

#[cfg(feature = "bindings")]
#[test]
fn g1_mixed() {
    for policy in ["error", "revoke_family"] {
        for processes in [3, 8, 32] {
            contend(policy, &[Language::Rust, Language::Python, Language::Node], processes);
        }
    }
}

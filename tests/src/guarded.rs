//! A machine of idle Codex CLIs whose access token ends again and again: with the agent, and without.

mod agent;
mod intruder;
mod mishaps;
mod sinks;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use chrono::Utc;
use codex_auth_sdk::seams::end_of_token;
use codex_auth_sdk::storage::AuthDotJson;
use serde_json::json;

use crate::chance::Chance;
use crate::codex_cli::{AppServer, CodexCli, installed};
use crate::crash::signal::pause;
use crate::foreign::SharedLogin;
use crate::privilege::are_containers_denied;
use crate::torture::{Trial, Trials};

use agent::{Agent, Settings};
use intruder::Intruder;
use sinks::{INSIDE, Sinks, container};

/// How long before the end of an access token a CLI redeems the refresh token. Releases before
/// 0.166 wait for the end.
const CODEX_WINDOW: Duration = Duration::from_secs(300);

/// How long after a rotation the CLIs would make the next one: a machine that is busy otherwise has time
/// for a round of turns, and for a start of the agent, until then.
const CODEX_DUE: Duration = Duration::from_secs(30);

/// How long after it the agent does: later than the 5 s in which it leaves a record alone.
const AGENT_DUE: Duration = Duration::from_secs(6);

/// An agent that has not acted by then never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many `codex exec` follow each round of turns, one after the other.
const EXECS: usize = 2;

/// Idle `codex app-server` processes with one login, which a spent refresh token ends.
#[derive(Debug)]
pub struct Machine {
    what: String,
    window: Duration,
    login: SharedLogin,
    /// Those of the servers, which have one home or a sink each.
    clis: Vec<CodexCli>,
    servers: Vec<AppServer>,
    turns: usize,
    failed: Vec<String>,
}

impl Machine {
    /// A round of turns after each of so many rotations by the agent, which looks after the home of
    /// all. The CLIs must redeem nothing, and no turn may fail.
    ///
    /// # Panics
    ///
    /// If a program does not start, or the agent ends by itself.
    #[must_use]
    pub fn guarded(program: &Path, servers: usize, rotations: u64) -> Trial {
        let mut machine = Self::new(program, "guarded");
        let agent = machine.settings(&[]).start();
        machine.start(servers);
        machine.rotate(agent, rotations, |machine, agent| {
            machine.turns();
            agent
        })
    }

    /// Rotations under CLIs in containers, whose homes are sinks of the agent: they have no refresh token.
    /// After each rotation the agent is killed at an instant that `seed` decides, and is away for a
    /// while. All the time another container spoils a sink of its own.
    ///
    /// # Panics
    ///
    /// If a program does not start, or the agent ends by itself.
    #[must_use]
    pub fn on_sinks(program: &Path, servers: usize, rotations: u64, seed: u64) -> Trial {
        let mut machine = Self::new(program, "on sinks");
        let sinks = Sinks::new(servers + 1);
        let settings = machine.settings(sinks.folders());
        let agent = settings.start();
        sinks.wait();
        let (spoilt, homes) = sinks.folders().split_last().expect("one at least");
        machine.clis = homes.iter().map(|home| machine.contained(program, home)).collect();
        machine.start(servers);
        let intruder = Intruder::start(spoilt, machine.login.home());
        let (chance, mut kills) = (Chance::new(seed), 0);
        let mut trial = machine.rotate(agent, rotations, |machine, agent| {
            machine.wait_until_saved();
            let end = machine.end_of_token() - machine.agent_window().as_millis() as i64;
            let (agent, is_killed) = machine.turns_while(|| settings.restart(agent, end, &chance));
            kills += u64::from(is_killed);
            agent
        });
        trial.lost.extend(sinks.refresh_tokens());
        let (rounds, lost) = intruder.end(&settings.start(), &machine.login);
        trial.lost.extend(lost);
        trial.detail += &format!("; agent killed {kills} times, a sink spoilt {rounds} times");
        trial
    }

    fn rotate(
        &mut self,
        mut agent: Agent,
        rotations: u64,
        mut round: impl FnMut(&mut Self, Agent) -> Agent,
    ) -> Trial {
        for _ in 0..rotations {
            if !self.is_rotated() {
                break;
            }
            agent = round(self, agent);
        }
        let end = agent.end();
        let (ours, theirs) = self.redemptions();
        let mut trial = self.trial();
        trial.check(end.signal() == Some(15), || format!("the agent ended with {end}"));
        trial.check(ours >= rotations, || format!("{ours} rotations by the agent"));
        trial.check(theirs == 0, || format!("{theirs} redemptions by the CLIs"));
        trial.check(self.login.is_live(), || "the login is dead".to_owned());
        trial.lost.append(&mut self.failed);
        trial
    }

    /// The same without an agent, until the turns in the first window: the login must be lost.
    ///
    /// # Panics
    ///
    /// If a program does not start.
    #[must_use]
    pub fn unguarded(program: &Path, servers: usize) -> Trial {
        let mut machine = Self::new(program, "alone");
        machine.start(servers);
        machine.wait_for_window();
        machine.turns();
        let mut trial = machine.trial();
        trial.check(!machine.login.is_live(), || "the login needs no agent".to_owned());
        trial
    }

    /// Signs in with a token as old as one that was just rotated.
    fn new(program: &Path, how: &str) -> Self {
        let window = window(program);
        let life = (window + CODEX_DUE).as_millis() as u64;
        // Long enough for all to have read what is about to be spent.
        let login = SharedLogin::new(&json!({"policy": "revoke_family", "access_ttl_ms": life,
            "grant_latency_ms": 300, "refusal_latency_ms": 300}));
        login.sign_in_new("b", "acct-a");
        let name = program.parent().and_then(Path::file_name).unwrap_or_default();
        let what = format!("{}, {how}", name.to_string_lossy());
        let cli = CodexCli::new(program, login.home(), login.realm(), "codex").expect("configured");
        let clis = vec![cli];
        Self { what, window, login, clis, servers: Vec::new(), turns: 0, failed: Vec::new() }
    }

    /// How long before the end of a token the agent refreshes it.
    fn agent_window(&self) -> Duration {
        self.window + CODEX_DUE - AGENT_DUE
    }

    fn settings(&self, sinks: &[PathBuf]) -> Settings {
        Settings::new(&self.login, self.agent_window(), sinks)
    }

    /// A CLI in a container, which sees the sink at `home` and nothing of the login's home.
    fn contained(&self, program: &Path, home: &Path) -> CodexCli {
        let cli = CodexCli::new(program, home, self.login.realm(), "codex").expect("configured");
        cli.inside(Arc::new(container(home, self.login.home())), Path::new(INSIDE))
    }

    fn start(&mut self, servers: usize) {
        let clis = self.clis.iter().cycle().take(servers);
        self.servers = clis.map(|cli| cli.app_server().expect("it starts")).collect();
    }

    /// Whether the login is rotated once more, in good time.
    fn is_rotated(&self) -> bool {
        let realm = self.login.realm();
        let grants = realm.stats()["grants"].as_u64().unwrap_or_default();
        let until = json!({"grants": {"$at_least": grants + 1}});
        let wait = json!({"until": until, "timeout_ms": PATIENCE.as_millis() as u64});
        realm.post("/control/wait", &wait).0 == 200
    }

    /// Waits until the last grant is stored.
    fn wait_until_saved(&self) {
        while !self.login.is_live() {
            pause(Duration::from_millis(10));
        }
    }

    /// When the stored access token ends, in milliseconds since 1970.
    fn end_of_token(&self) -> i64 {
        let stored = self.login.stored().unwrap_or_default();
        let record = AuthDotJson::parse(stored.as_bytes()).expect("a record");
        let token = record.tokens.expect("a login").access_token;
        end_of_token(token.expose()).expect("it ends") * 1000
    }

    /// Waits until the CLIs find that the stored token is about to end.
    fn wait_for_window(&self) {
        wait_until(self.end_of_token() - self.window.as_millis() as i64);
    }

    /// A round of turns while `work` is done.
    fn turns_while<T: Send>(&mut self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let work = scope.spawn(work);
            self.turns();
            work.join().expect("no panic")
        })
    }

    /// A turn of every server at once, and a few programs one after the other.
    fn turns(&mut self) {
        thread::scope(|scope| {
            let turn = |server| scope.spawn(|| AppServer::turn(server));
            let turns: Vec<_> = self.servers.iter_mut().map(turn).collect();
            self.turns += turns.len();
            let ends = turns.into_iter().map(|turn| turn.join().expect("no panic"));
            self.failed.extend(ends.filter_map(Result::err));
        });
        self.turns += EXECS;
        let clis = self.clis.iter().cycle().take(EXECS);
        self.failed.extend(clis.filter_map(|cli| cli.exec().err()));
    }

    /// How often the agent redeemed a refresh token, and how often a CLI presented one.
    fn redemptions(&self) -> (u64, u64) {
        let stats = self.login.realm().stats();
        let ours = stats["redeemers"][agent::NAME].as_u64().unwrap_or_default();
        let tried = ["requests", "bad_requests"].map(|it| stats[it].as_u64().unwrap_or_default());
        (ours, tried.iter().sum::<u64>() - ours)
    }

    fn trial(&self) -> Trial {
        let (ours, theirs) = self.redemptions();
        let mut trial = Trial::new(format!("{} {}", self.servers.len(), self.what));
        trial.tried = self.turns as u64;
        trial.detail = format!(
            "{ours} rotations by the agent, {theirs} redemptions by CLIs; \
             {} of {} turns failed; login {}",
            self.failed.len(),
            self.turns,
            if self.login.is_live() { "alive" } else { "dead" }
        );
        trial
    }
}

/// Waits until this many milliseconds since 1970 have passed.
fn wait_until(end: i64) {
    while Utc::now().timestamp_millis() <= end {
        pause(Duration::from_millis(10));
    }
}

/// All of it at length.
#[must_use]
pub fn at_length() -> Trials {
    let on_one_home: [fn(&Path) -> Trial; 2] =
        [|program| Machine::guarded(program, 16, 50), |program| Machine::unguarded(program, 16)];
    let in_containers: &[fn(&Path) -> Trial] = if are_containers_denied() {
        &[]
    } else {
        &[
            |program| Machine::on_sinks(program, 16, 20, 1),
            mishaps::late,
            mishaps::rejected,
            mishaps::switched,
            mishaps::signed_in,
            mishaps::signed_out,
        ]
    };
    let rows = [&on_one_home[..], in_containers].concat();
    let clis = installed().into_iter();
    Box::new(clis.flat_map(move |program| rows.clone().into_iter().map(move |row| row(&program))))
}

/// The window of this release.
fn window(program: &Path) -> Duration {
    let output = Command::new(program).arg("--version").output().expect("started");
    let version = String::from_utf8_lossy(&output.stdout);
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse().ok());
    if minor.is_some_and(|minor: u32| minor < 166) { Duration::ZERO } else { CODEX_WINDOW }
}

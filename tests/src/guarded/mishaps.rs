//! What a Codex CLI on a sink does where something goes wrong. A row says so; what counts as lost is
//! that a turn fails after all is well again, or that the login of the host is.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::agent::{Agent, Settings};
use super::sinks::{Sinks, access_token};
use super::{Machine, wait_until};
use crate::contender::Language;
use crate::crash::signal::pause;
use crate::torture::Trial;

/// How long the agent may take to write a copy.
const PATIENCE: Duration = Duration::from_secs(30);

/// An error in a table is cut to so many characters.
const WORDS: usize = 60;

/// An app server and programs of a CLI in a container, whose home is a sink.
struct Patient {
    machine: Machine,
    sinks: Sinks,
    settings: Settings,
    trial: Trial,
}

impl Patient {
    fn new(program: &Path, mishap: &str) -> (Self, Agent) {
        let mut machine = Machine::new(program, mishap);
        // The other one shows when the agent has renewed its copies.
        let sinks = Sinks::new(2);
        let settings = machine.settings(sinks.folders());
        let agent = settings.start();
        sinks.wait();
        machine.clis = vec![machine.contained(program, &sinks.folders()[0])];
        machine.start(1);
        let trial = Trial::new(machine.what.clone());
        (Self { machine, sinks, settings, trial }, agent)
    }

    fn sink(&self) -> PathBuf {
        self.sinks.folders()[0].clone()
    }

    /// Has the app server and a program take a turn, and notes what comes of it.
    fn look(&mut self, when: &str) -> [bool; 2] {
        let turns = [self.machine.servers[0].turn(), self.machine.clis[0].exec()];
        let [server, exec] = turns.each_ref().map(|turn| match turn {
            Ok(()) => "works".to_owned(),
            Err(error) => format!("fails ({})", essence(error)),
        });
        self.trial.tried += 2;
        self.note(&format!("{when}: app server {server}, exec {exec}"));
        turns.map(|turn| turn.is_ok())
    }

    fn note(&mut self, text: &str) {
        let separator = if self.trial.detail.is_empty() { "" } else { "; " };
        self.trial.detail += &format!("{separator}{text}");
    }

    /// Waits until this sink has the token of the login.
    fn wait_for_copy(&mut self, number: usize) {
        let (folder, start) = (self.sinks.folders()[number].clone(), Instant::now());
        while access_token(&folder) != access_token(self.machine.login.home()) {
            if start.elapsed() > PATIENCE {
                self.trial.lost.push(format!("sink {number} gets no copy"));
                break;
            }
            pause(Duration::from_millis(10));
        }
    }

    /// Notes what the server was asked to revoke, and whether that has ended the login of the host.
    fn note_revocations(&mut self) {
        let revoked = self.machine.login.realm().stats()["revocations"].clone();
        let is_live = self.machine.login.is_live();
        self.note(&format!(
            "revoked: {revoked}, and the login of the host is {}",
            if is_live { "alive" } else { "dead" }
        ));
        self.trial.excepted += u64::from(!is_live);
    }

    /// The row, of a login that must be good, unless its user has signed in anew. A CLI may ask for a
    /// refresh with the empty token of its copy, but with no other.
    fn end(mut self) -> Trial {
        let stats = self.machine.login.realm().stats();
        let (ours, theirs) = self.machine.redemptions();
        let empty = stats["bad_requests"].as_u64().unwrap_or_default();
        let presented = theirs - empty;
        self.note(&format!("{ours} rotations by the agent, {empty} tries with an empty token"));
        self.trial.check(presented == 0, || format!("{presented} redemptions by the CLI"));
        let is_live = self.machine.login.is_live();
        self.trial.check(is_live, || "the login of the host is dead".to_owned());
        self.trial
    }

    fn check(&mut self, turns: [bool; 2]) {
        self.trial.check(turns == [true, true], || "a turn failed after all was well".to_owned());
    }
}

/// What an error of a CLI says first.
fn essence(error: &str) -> String {
    let message = serde_json::from_str::<Value>(error).ok();
    let message = message.as_ref().and_then(|error| error["message"].as_str()).unwrap_or(error);
    let words: String = message.chars().take(WORDS).collect();
    words.replace('\n', " ")
}

/// The copy is not renewed in time, since the agent is away.
pub(super) fn late(program: &Path) -> Trial {
    let (mut patient, agent) = Patient::new(program, "sink late");
    drop(agent);
    patient.machine.wait_for_window();
    patient.look("in the CLI's window");
    wait_until(patient.machine.end_of_token());
    patient.look("after the end of the token");
    let _agent = patient.settings.start();
    let realm = patient.machine.login.realm().clone();
    drop(realm.wait(&json!({"grants": {"$at_least": 1}})));
    patient.machine.wait_until_saved();
    patient.wait_for_copy(0);
    let turns = patient.look("renewed");
    patient.check(turns);
    patient.end()
}

/// The server kills the access token. A client of the agent meets that, and reports it.
pub(super) fn rejected(program: &Path) -> Trial {
    let (mut patient, _agent) = Patient::new(program, "token killed");
    patient.machine.login.realm().run("kill_access", &json!({}));
    patient.look("killed");
    let socket = patient.machine.login.home().join("agent/agent.sock");
    let at_agent = json!({"store": format!("agent:unix:{}", socket.display())});
    let mut other = patient.machine.login.contender(Language::Rust, &at_agent);
    other.go();
    let answer = other.answer();
    patient.trial.check(answer["status"] == 200, || format!("a client of the agent: {answer}"));
    patient.machine.wait_until_saved();
    patient.wait_for_copy(0);
    let turns = patient.look("reported by a client of the agent");
    patient.check(turns);
    patient.end()
}

/// Another workspace of the same user is stored.
pub(super) fn switched(program: &Path) -> Trial {
    let (mut patient, _agent) = Patient::new(program, "workspace switched");
    let login =
        json!({"name": "c", "account_id": "acct-c", "user_id": "user-a", "access_age_s": 0});
    let login = patient.machine.login.realm().call("login", &login);
    patient.machine.login.store(login["text"].as_str().expect("a record"));
    patient.wait_for_copy(0);
    patient.look("switched");
    patient.machine.start(1);
    let turns = patient.look("after a new start");
    patient.check(turns);
    patient.end()
}

/// A user signs in inside the container, and later out.
pub(super) fn signed_in(program: &Path) -> Trial {
    let (mut patient, agent) = Patient::new(program, "signed in inside");
    let copied = access_token(&patient.sink());
    let login = patient.machine.clis[0].login();
    patient.trial.check(login.is_ok(), || format!("{login:?}"));
    let own = access_token(&patient.sink());
    patient.trial.check(own.is_some() && own != copied, || "no login was stored".to_owned());
    patient.note_revocations();
    patient.look("signed in");
    // The agent writes new copies, and this is none.
    patient.machine.login.sign_in_new("c", "acct-a");
    patient.wait_for_copy(1);
    patient.look("signed in on the host too");
    let kept = access_token(&patient.sink()) == own;
    patient.trial.check(kept, || "the agent has overwritten a login".to_owned());
    let logout = patient.machine.clis[0].logout();
    patient.trial.check(logout.is_ok(), || format!("{logout:?}"));
    patient.look("signed out");
    drop(agent);
    let _agent = patient.settings.start();
    patient.wait_for_copy(0);
    patient.machine.start(1);
    let turns = patient.look("agent and app server started again");
    patient.check(turns);
    patient.end()
}

/// A user signs out inside the container, which has the copy only.
pub(super) fn signed_out(program: &Path) -> Trial {
    let (mut patient, _agent) = Patient::new(program, "signed out inside");
    let logout = patient.machine.clis[0].logout();
    patient.trial.check(logout.is_ok(), || format!("{logout:?}"));
    patient.note_revocations();
    patient.look("signed out");
    patient.machine.login.sign_in_new("c", "acct-a");
    patient.wait_for_copy(0);
    patient.machine.start(1);
    let turns = patient.look("signed in on the host, app server started again");
    patient.check(turns);
    patient.end()
}

//! Programs that share the login without the SDK, as they were measured: without a lock around the
//! redemption, some without any, in place, late, or never saving, and losing what they do not know.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::disk::{Hold, Lock};
use super::executor::ProcessId;
use super::hazards::Foreign;
use super::issuer::Answer;
use super::ledger::{Client, PEOPLE, PairId, PersonId};
use super::record::{Content, of_login, rewritten};
use super::world::World;

/// A foreign program in its process.
struct Program {
    world: Arc<World>,
    process: ProcessId,
}

/// Lets a foreign program do one thing, in a process of its own.
pub(super) fn start(world: &Arc<World>, kind: Foreign) {
    let program = Program::new(world);
    world.state().tally.foreign_turns += 1;
    world.spawn(program.process, async move { program.run(kind).await });
}

/// A user signs in by a foreign program, which writes in place and takes no lock if it is an old
/// one.
pub(super) fn sign_in(world: &Arc<World>, person: PersonId, is_old: bool) {
    let program = Program::new(world);
    world.spawn(program.process, async move {
        let revokes = program.world.chance.happens(0.3);
        let record = {
            let mut state = program.world.state();
            if revokes {
                state.revoke_stored("signed out by a CLI");
            }
            let pair = state.sign_in(person);
            of_login(&state.ledger, pair, state.now())
        };
        if is_old {
            program.write_in_place(&record).await;
        } else {
            let _lock = program.commit_lock().await;
            program.world.pause(0, 20).await;
            program.replace(Some(&record));
        }
    });
}

impl Program {
    fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world), process: world.executor.start_process() }
    }

    async fn run(&self, kind: Foreign) {
        match kind {
            Foreign::OldCli => self.refresh_blindly(Some((0, 20))).await,
            Foreign::LateSaver => self.refresh_blindly(Some((500, 4500))).await,
            Foreign::NeverSaver => self.refresh_blindly(None).await,
            Foreign::NewCli => self.refresh_carefully().await,
            Foreign::Editor => self.edit().await,
            Foreign::Logout => self.sign_out().await,
            Foreign::Stuck => {
                let _lock = self.commit_lock().await;
                self.world.pause(1000, 15_000).await;
            }
            Foreign::Mixer => {
                let Some(mut record) = self.read() else { return };
                // What it read may be old by then.
                self.world.pause(0, 3000).await;
                if let Some(account) = record.pointer_mut("/tokens/account_id") {
                    *account = json!(self.world.chance.pick(&PEOPLE).account);
                    self.replace(Some(&record));
                }
            }
            Foreign::ApiKey => {
                let _lock = self.commit_lock().await;
                self.replace(Some(&json!({"auth_mode": "apikey", "OPENAI_API_KEY": "sk-1"})));
            }
        }
    }

    /// Redeems what it read a while ago, and puts what it gets into whatever record there is then:
    /// so it mixes two accounts if the user has signed in as another.
    async fn refresh_blindly(&self, saves_after: Option<(u64, u64)>) {
        let Some(record) = self.read() else { return };
        self.world.pause(0, 3000).await;
        let Some(pair) = self.redeem(&record).await else { return };
        let Some((shortest, longest)) = saves_after else { return };
        self.world.pause(shortest, longest).await;
        let Some(found) = self.read().filter(|found| found["tokens"].is_object()) else { return };
        let record = self.rewritten(&found, pair);
        self.write_in_place(&record).await;
    }

    /// Redeems what the store holds, and saves it only over what it redeemed.
    async fn refresh_carefully(&self) {
        let Some(record) = self.read() else { return };
        let Some(pair) = self.redeem(&record).await else { return };
        let _lock = self.commit_lock().await;
        let Some(found) = self.read() else { return };
        let is_same = ["/tokens/refresh_token", "/tokens/account_id"]
            .iter()
            .all(|field| found.pointer(field) == record.pointer(field));
        if is_same {
            self.world.pause(0, 20).await;
            self.replace(Some(&self.rewritten(&found, pair)));
        }
    }

    async fn edit(&self) {
        let Some(mut record) = self.read().filter(Value::is_object) else { return };
        self.world.pause(0, 2000).await;
        record["edited"] = json!(self.process);
        if self.world.chance.happens(0.5) {
            self.write_in_place(&record).await;
        } else {
            self.replace(Some(&record));
        }
    }

    async fn sign_out(&self) {
        let record = self.read();
        if let Some(record) = record.filter(|_| self.world.chance.happens(0.5)) {
            self.world.pause(5, 200).await;
            let token = record.pointer("/tokens/refresh_token").and_then(Value::as_str);
            self.world.state().revoke_login(token.unwrap_or_default(), "signed out by a CLI");
        }
        let _lock = self.commit_lock().await;
        self.replace(None);
    }

    /// Redeems the token in `record`, once.
    async fn redeem(&self, record: &Value) -> Option<PairId> {
        let client = Client::Foreign(self.process);
        let token = record.pointer("/tokens/refresh_token").and_then(Value::as_str)?;
        match self.world.ask(client, token).await.map(|reply| reply.answer) {
            Ok(Answer::Granted(pair)) => {
                self.world.state().deliver(client, pair);
                Some(pair)
            }
            Ok(_) | Err(_) => None,
        }
    }

    fn read(&self) -> Option<Value> {
        self.world.state().disk.content()?.json()
    }

    fn rewritten(&self, record: &Value, pair: PairId) -> Value {
        let state = self.world.state();
        rewritten(record, &state.ledger, pair, state.now())
    }

    fn replace(&self, record: Option<&Value>) {
        let mut state = self.world.state();
        let content = record.map(|record| Content::new(&pretty(record), &state.ledger));
        state.put(Client::Foreign(self.process), content, "replaced");
    }

    /// Truncates the file, then writes it in two parts.
    async fn write_in_place(&self, record: &Value) {
        let text = pretty(record);
        self.overwrite("", "half-written");
        self.world.pause(0, 15).await;
        self.world.may_crash(self.process).await;
        self.overwrite(&text[..text.len() / 2], "half-written");
        self.world.pause(0, 15).await;
        self.world.may_crash(self.process).await;
        self.overwrite(&text, "written in place");
    }

    fn overwrite(&self, text: &str, how: &'static str) {
        let mut state = self.world.state();
        let content = Content::new(text, &state.ledger);
        state.put(Client::Foreign(self.process), Some(content), how);
    }

    async fn commit_lock(&self) -> Option<Hold> {
        Hold::take(&self.world, Lock::Commit, self.process, Duration::from_secs(10)).await
    }
}

fn pretty(record: &Value) -> String {
    serde_json::to_string_pretty(record).expect("JSON")
}

//! `codex app-server`: the CLI as the process that an editor keeps, by JSON-RPC on standard streams.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// A CLI that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running app server with one thread of conversation. It is killed when this is dropped.
#[derive(Debug)]
pub struct AppServer {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    last_id: u64,
    thread: String,
}

impl AppServer {
    pub(super) fn start(mut command: Command, folder: &Path) -> Result<Self, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let (input, output) =
            (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let (sender, messages) = channel();
        // It also talks while nobody asks, and must not find its pipe full.
        drop(thread::spawn(move || forward(output, &sender)));
        let mut server = Self { child, input, messages, last_id: 0, thread: String::new() };
        let client = json!({"name": "tests", "title": "tests", "version": "0.0.0"});
        let capabilities = json!({"experimentalApi": true});
        server.ask("initialize", &json!({"clientInfo": client, "capabilities": capabilities}))?;
        server.send(&json!({"method": "initialized"}))?;
        let started = server.ask("thread/start", &json!({"cwd": folder}))?;
        started["thread"]["id"].as_str().ok_or("no thread")?.clone_into(&mut server.thread);
        Ok(server)
    }

    /// One turn of the conversation, which needs a good login.
    ///
    /// # Errors
    ///
    /// Why it failed.
    pub fn turn(&mut self) -> Result<(), String> {
        let input = json!([{"type": "text", "text": "say hi"}]);
        self.ask("turn/start", &json!({"threadId": self.thread, "input": input}))?;
        let completed = self.receive(|message| message["method"] == "turn/completed")?;
        let turn = &completed["params"]["turn"];
        if turn["status"] == "completed" { Ok(()) } else { Err(turn["error"].to_string()) }
    }

    /// Switches the stored login to another workspace of its user. `owner` is the `login_owner_id` of
    /// the record. Not every release can.
    ///
    /// # Errors
    ///
    /// Why it failed.
    pub fn switch_workspace(&mut self, owner: &str, account_id: &str) -> Result<(), String> {
        self.ask("account/read", &json!({}))?;
        let target = json!({"sessionId": owner, "accountId": account_id});
        self.ask("accountSession/switch", &target).map(drop)
    }

    fn ask(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({"id": id, "method": method, "params": params}))?;
        let mut answer = self.receive(|message| message["id"] == id)?;
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer["result"].take()),
        }
    }

    fn send(&mut self, message: &Value) -> Result<(), String> {
        writeln!(self.input, "{message}").map_err(|error| format!("it has ended: {error}"))
    }

    fn receive(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Result<Value, String> {
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.map_err(|error| format!("it says nothing: {error}"))?;
            if is_wanted(&message) {
                return Ok(message);
            }
        }
    }
}

impl Drop for AppServer {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Passes on what the server says, until it ends or nobody listens.
fn forward(output: ChildStdout, listener: &Sender<Value>) {
    let messages = BufReader::new(output).lines().map_while(Result::ok);
    for message in messages.filter_map(|line| serde_json::from_str(&line).ok()) {
        if listener.send(message).is_err() {
            break;
        }
    }
}

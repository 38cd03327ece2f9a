//! Prints what the command and the agent cost: how long a program runs that prints a token, how long an
//! answer of the agent takes, how many it gives, and how large it is with many clients. Run with `cargo
//! bench -p codex-auth-sdk --features cli --bench agent`. `CODEX_CLIS` may name a Codex CLI to compare
//! with.

#![allow(clippy::print_stdout, missing_docs, reason = "a program that prints")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tempfile::TempDir;

const COMMAND: &str = env!("CARGO_BIN_EXE_codex-auth-sdk");
const RUNS: usize = 100;
const ANSWERS: usize = 20_000;
const CLIENTS: usize = 256;
/// So many clients ask at once.
const THREADS: usize = 4;
/// What Linux counts the time of processes in, by the second.
const TICKS: f64 = 100.0;

fn main() {
    let home = Home::with_login();
    let agent = home.agent();
    starts(&home);
    answers(&home);
    throughput(&home, &agent);
    memory(&home, &agent);
}

/// From the start of a program to its end, in turns.
fn starts(home: &Home) {
    let mut programs = vec![
        ("`true`, for comparison", Command::new("true")),
        ("`token`, from the agent", home.command(&["--store", "agent", "token"])),
        ("`token`, from the file", home.command(&["--store", "file", "token"])),
    ];
    if let Some(program) = codex_cli() {
        let mut command = Command::new(program);
        command.args(["login", "status"]).env("CODEX_HOME", home.folder.path());
        programs.push(("`codex login status`", command));
    }
    let mut times = vec![Vec::new(); programs.len()];
    for _ in 0..RUNS {
        for ((_, program), times) in programs.iter_mut().zip(&mut times) {
            let start = Instant::now();
            let output = program.stdin(Stdio::null()).output().expect("started");
            times.push(start.elapsed());
            assert!(output.status.success(), "{output:?}");
        }
    }
    for ((name, _), times) in programs.iter().zip(times) {
        print(name, times);
    }
}

/// The first Codex CLI that `CODEX_CLIS` names, as in the tests; none if it names none.
fn codex_cli() -> Option<PathBuf> {
    let programs = std::env::var_os("CODEX_CLIS")?;
    std::env::split_paths(&programs).find(|program| program.is_file())
}

/// Answers on one connection, one after the other.
fn answers(home: &Home) {
    let mut client = home.client();
    let asked = (0..ANSWERS).map(|_| {
        let start = Instant::now();
        ask(&mut client);
        start.elapsed()
    });
    print("an answer of the agent", asked.collect());
}

/// Answers to many at once, by the time of processors that they cost the agent.
fn throughput(home: &Home, agent: &Agent) {
    let (start, before) = (Instant::now(), agent.processor_time());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut client = home.client();
                (0..ANSWERS).for_each(|_| ask(&mut client));
            });
        }
    });
    let (took, spent) = (start.elapsed().as_secs_f64(), agent.processor_time() - before);
    let all = (THREADS * ANSWERS) as f64;
    println!(
        "{:<32} {:>8.0} a second, {:.0} by the second of one core",
        format!("answers to {THREADS} clients"),
        all / took,
        all / spent
    );
}

fn memory(home: &Home, agent: &Agent) {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = home.client();
            ask(&mut client);
            client
        })
        .collect();
    println!(
        "{:<32} {:>8.1} MB",
        format!("memory with {} clients", clients.len()),
        agent.megabytes()
    );
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e6;
    println!("{what:<32} {:>8.0} µs (best {:.0}, 99 of 100 within {:.0})", at(50), at(0), at(99));
}

/// A home with a login that is not due.
struct Home {
    folder: TempDir,
}

impl Home {
    fn with_login() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let now = chrono::Utc::now();
        let ids = json!({"chatgpt_account_id": "acct", "chatgpt_user_id": "user"});
        let jwt = |mut claims: serde_json::Value| {
            claims["https://api.openai.com/auth"] = ids.clone();
            format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string()))
        };
        let (issued, ends) = (now.timestamp() - 3600, now.timestamp() + 86_400);
        let record = json!({
            "tokens": {
                "id_token": jwt(json!({"sub": "user"})),
                "access_token": jwt(json!({"iat": issued, "exp": ends, "pad": "x".repeat(1500)})),
                "refresh_token": "rt",
                "account_id": "acct",
            },
            "last_refresh": (now - chrono::TimeDelta::hours(1)).to_rfc3339(),
        });
        std::fs::write(folder.path().join("auth.json"), record.to_string()).expect("written");
        Self { folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("agent/agent.sock")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(COMMAND);
        let address = format!("unix:{}", self.socket().display());
        command.args(arguments).env("CODEX_HOME", self.folder.path());
        command.env("CODEX_AUTH_AGENT", address).stdin(Stdio::null());
        command
    }

    fn agent(&self) -> Agent {
        let mut command = self.command(&["--store", "file", "agent", "--socket"]);
        let mut process =
            command.arg(self.socket()).stdout(Stdio::piped()).spawn().expect("started");
        let mut lines = BufReader::new(process.stdout.as_mut().expect("piped")).lines();
        lines
            .find(|line| line.as_ref().is_ok_and(|it| it.contains("watching")))
            .expect("it serves")
            .expect("text");
        Agent { process }
    }

    fn client(&self) -> BufReader<UnixStream> {
        BufReader::new(UnixStream::connect(self.socket()).expect("it listens"))
    }
}

/// It is stopped when this is dropped.
struct Agent {
    process: Child,
}

impl Agent {
    fn file(&self, name: &str) -> String {
        let path = Path::new("/proc").join(self.process.id().to_string()).join(name);
        std::fs::read_to_string(path).expect("Linux tells")
    }

    /// In seconds of all cores.
    fn processor_time(&self) -> f64 {
        let text = self.file("stat");
        let fields: Vec<_> = text.rsplit(')').next().expect("fields").split_whitespace().collect();
        fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>()
            / TICKS
    }

    fn megabytes(&self) -> f64 {
        let text = self.file("status");
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        let kilobytes = line.split_whitespace().nth(1).expect("a number");
        kilobytes.parse::<f64>().expect("a number") / 1024.0
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it is a child");
    }
}

/// Asks for the token, and reads the answer.
fn ask(client: &mut BufReader<UnixStream>) {
    let request = b"GET /v1/token HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.get_mut().write_all(request).expect("sent");
    let mut length = 0;
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        client.read_line(&mut line).expect("an answer");
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().expect("a number");
        }
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).expect("the whole answer");
    assert!(length > 1500, "{}", String::from_utf8_lossy(&body));
}

//! A container that spoils its sink: it deletes the copy, plants links, pipes and folders in its place
//! and in that of the locks, and holds the locks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::agent::Agent;
use super::sinks::{INSIDE, access_token, container};
use crate::crash::signal::pause;
use crate::foreign::SharedLogin;
use crate::privilege::Namespace;

/// What it does, again and again. `$1` is the login of its host, `$2` a file of its host's.
const SCRIPT: &str = r#"
cd "$0"
while echo round >> rounds; do
  rm -f auth.json; sleep 0.1
  ln -s "$1" planted; mv -fT planted auth.json; sleep 0.3
  ln -s "$2" planted; mv -fT planted auth.json; sleep 0.3
  mkfifo planted; mv -fT planted auth.json; sleep 0.3
  rm -f auth.json; mkdir auth.json; sleep 0.3; rmdir auth.json
  : > auth.json; sleep 0.1
  for lock in auth.lock auth.json.lock; do
    rm -f $lock; ln -s "$2" $lock; sleep 0.2
    rm -f $lock; flock $lock sleep 2
  done
done
"#;

/// What a file of the host says that no container may change.
const PRECIOUS: &str = "precious";

/// How long the agent may take to write a copy again.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Intruder {
    program: Child,
    sink: PathBuf,
    host: TempDir,
    _container: Namespace,
}

impl Intruder {
    /// Starts it on the sink at this path. The login of its host is in `home`, which it does not see.
    pub(super) fn start(sink: &Path, home: &Path) -> Self {
        let host = tempfile::tempdir().expect("a folder");
        let precious = host.path().join("precious");
        fs::write(&precious, PRECIOUS).expect("written");
        let container = container(sink, home);
        let mut program = Command::new("unshare");
        program.args(["--pid", "--fork", "--kill-child", "--", "sh", "-c", SCRIPT, INSIDE]);
        program.arg(home.join("auth.json")).arg(precious);
        let mut program = container.enter(&program);
        // It complains where the agent is faster.
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let program = program.spawn().expect("nsenter");
        Self { program, sink: sink.to_owned(), host, _container: container }
    }

    /// Ends it. Returns how often it has done all of that, and a line for each harm. `agent` must have
    /// a copy of `login` in its sink afterwards.
    pub(super) fn end(mut self, agent: &Agent, login: &SharedLogin) -> (usize, Vec<String>) {
        self.program.kill().expect("it does not end by itself");
        self.program.wait().expect("it is a child of this process");
        // An agent replaces no folder. This fails where the end came at another moment.
        drop(fs::remove_dir(self.sink.join("auth.json")));
        let mut lost = Vec::new();
        let start = Instant::now();
        while access_token(&self.sink) != access_token(login.home()) {
            if start.elapsed() > PATIENCE {
                lost.push(format!("{agent:?} leaves the spoilt sink without a copy"));
                break;
            }
            pause(Duration::from_millis(10));
        }
        let names: Vec<_> = fs::read_dir(self.host.path()).expect("a folder").flatten().collect();
        let precious = fs::read_to_string(self.host.path().join("precious")).ok();
        if names.len() != 1 || precious.as_deref() != Some(PRECIOUS) {
            lost.push(format!("a link led to {names:?}, which says {precious:?}"));
        }
        let rounds = fs::read_to_string(self.sink.join("rounds")).unwrap_or_default();
        (rounds.lines().count(), lost)
    }
}

//! A PostgreSQL of our own, on a Unix socket in a folder that goes away.

use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use codex_auth_sdk::Secret;
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::PostgresStorage;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};

use crate::crash::signal;
use crate::privilege::{self, Namespace};

/// How long the server may take to start or to stop; it takes less than a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which user runs the server if this is root: it refuses to run as root.
const USER: &str = "nobody";

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It ends its sessions and writes all there is.
    Fast,
    /// It ends as by a crash, and recovers at its next start.
    Immediate,
}

/// A running server. It is stopped when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    server: Child,
    /// Where it has mounts of its own.
    mounts: Option<Namespace>,
}

impl Postgres {
    /// Starts a server with an empty database; none, which is said, where there can be none.
    ///
    /// # Panics
    ///
    /// If it does not start, or if there is none although `CI` is `true`.
    #[must_use]
    pub fn start() -> Option<Self> {
        if Self::is_denied() {
            return None;
        }
        let folder = folder();
        copy(&template(folder.path()), &data(folder.path()));
        Some(Self::run_in(folder, None))
    }

    /// Starts a server whose tables for logins are on a disk of one megabyte.
    ///
    /// # Panics
    ///
    /// If it does not start, or if there is none although `CI` is `true`.
    #[must_use]
    pub fn start_on_small_disk() -> Option<Self> {
        if Self::is_denied() || privilege::is_root_denied() {
            return None;
        }
        let folder = folder();
        copy(&template(folder.path()), &data(folder.path()));
        let disk = folder.path().join("disk");
        let make = "mkdir \"$1\"; mount -t tmpfs -o size=1m,mode=777 none \"$1\"";
        let started = Self::run_in(folder, Some(Namespace::new(make, &[&disk])));
        // A tablespace's folder belongs to the server.
        let tables = disk.join("tables").display().to_string();
        started.run(&format!("COPY (SELECT) TO PROGRAM 'mkdir -m 700 {tables}'"));
        started.run(&format!("CREATE TABLESPACE small LOCATION '{tables}'"));
        started.run("ALTER DATABASE postgres SET default_tablespace = small");
        Some(started)
    }

    /// Starts a standby of this server, which follows it. It has caught up once this returns.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn standby(&self) -> Self {
        let folder = folder();
        let copied = program("pg_basebackup")
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--username=owner"])
            .arg("--host")
            .arg(self.folder.path())
            .arg("--pgdata")
            .arg(data(folder.path()))
            .output()
            .expect("setpriv");
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let standby = Self::run_in(folder, None);
        let written = self.ask("SELECT pg_current_wal_lsn()").remove(0).remove(0);
        standby.wait_until(&format!("SELECT pg_last_wal_replay_lsn() >= '{written}'"));
        standby
    }

    /// Has a standby hear nothing more of its primary: what is committed from now on is lost to it.
    pub fn leave_behind(&self) {
        self.run("ALTER SYSTEM SET primary_conninfo = ''");
        self.run("SELECT pg_reload_conf()");
        self.wait_until("SELECT count(*) = 0 FROM pg_stat_wal_receiver");
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        assert_eq!(self.ask("SELECT pg_promote()"), [["t"]]);
    }

    /// Leaves no room on the small disk for one more record.
    ///
    /// # Panics
    ///
    /// If there is no small disk, or the room does not end.
    pub fn fill_disk(&self) {
        let mounts = self.mounts.as_ref().expect("a small disk");
        let fill = "dd if=/dev/zero of=\"$1/rest\" bs=1k 2>/dev/null || true";
        mounts.run(fill, &self.path().join("disk"));
        // What is left of the table's own pages.
        let write = "UPDATE codex_auth_sdk_logins SET record = record || ''::bytea";
        while try_ask(&self.url(), write).is_ok() {}
    }

    /// Makes room on the small disk again.
    ///
    /// # Panics
    ///
    /// If there is no small disk.
    pub fn clear_disk(&self) {
        let mounts = self.mounts.as_ref().expect("a small disk");
        mounts.run("rm \"$1/rest\"", &self.path().join("disk"));
    }

    fn run_in(folder: TempDir, mounts: Option<Namespace>) -> Self {
        let server = spawn(folder.path(), mounts.as_ref());
        let started = Self { folder, server, mounts };
        started.wait_until_ready();
        started
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path().join(".s.PGSQL.5432")
    }

    /// Returns whether there can be none.
    ///
    /// # Panics
    ///
    /// If so although `CI` is `true`.
    #[must_use]
    pub fn is_denied() -> bool {
        let remedy = "install postgresql and setpriv (util-linux)";
        privilege::is_denied("PostgreSQL", remedy, program("postgres").arg("--version"))
    }

    /// Returns the URL of the database, for its owner.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("owner")
    }

    /// Returns the URL of the database, for `role`.
    #[must_use]
    pub fn url_of(&self, role: &str) -> String {
        format!("postgres:///postgres?host={}&user={role}", self.folder.path().display())
    }

    /// Returns the URL of whichever of the two takes writes, for their owner.
    #[must_use]
    pub fn url_with(&self, other: &Self) -> String {
        let host = |server: &Self| server.path().display().to_string().replace('/', "%2F");
        let hosts = [host(self), host(other)].join(",");
        format!("postgres://owner@{hosts}/postgres?target_session_attrs=read-write")
    }

    /// Makes the tables for logins.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn migrate(&self) {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let url = Secret::new(self.url());
        let made = runtime.block_on(PostgresStorage::migrate(&url, Environment::default()));
        assert_eq!(made.expect("the owner may"), 2);
    }

    /// Returns the rows that `text` comes to, which may be many statements; columns are texts.
    ///
    /// # Panics
    ///
    /// If the server refuses them.
    #[must_use]
    pub fn ask(&self, text: &str) -> Vec<Vec<String>> {
        ask(&self.url(), text)
    }

    /// Runs `text`, which may be many statements.
    ///
    /// # Panics
    ///
    /// If the server refuses them.
    pub fn run(&self, text: &str) {
        drop(self.ask(text));
    }

    /// Runs `text` in a transaction that stays open.
    ///
    /// # Panics
    ///
    /// If the server refuses it.
    #[must_use]
    pub fn hold(&self, text: &str) -> Transaction {
        Transaction::begin(&self.url(), text)
    }

    /// Waits until the first column of the first row that `text` comes to is `t`.
    ///
    /// # Panics
    ///
    /// If it never is.
    pub fn wait_until(&self, text: &str) {
        let start = Instant::now();
        while self.ask(text).first().is_none_or(|row| row[0] != "t") {
            assert!(start.elapsed() < PATIENCE, "never: {text}");
            signal::pause(Duration::from_millis(10));
        }
    }

    /// Stops the server.
    ///
    /// # Panics
    ///
    /// If it does not stop.
    pub fn stop(&mut self, how: Stop) {
        let signal = match how {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        };
        signal::send(signal, &[self.server.id()]);
        self.server.wait().expect("it ends");
    }

    /// Starts the server that was stopped.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start_again(&mut self) {
        self.server = spawn(self.folder.path(), self.mounts.as_ref());
        self.wait_until_ready();
    }

    /// Has the server log all statements from now on.
    pub fn log_statements(&self) {
        // Not in one transaction, which no change of the system may be in.
        self.run("ALTER SYSTEM SET log_statement = 'all'");
        self.run("SELECT pg_reload_conf()");
        self.wait_until("SELECT setting = 'all' FROM pg_settings WHERE name = 'log_statement'");
    }

    /// Returns the text of the server's log.
    #[must_use]
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn wait_until_ready(&self) {
        let start = Instant::now();
        while let Err(error) = try_ask(&self.url(), "SELECT 1") {
            assert!(start.elapsed() < PATIENCE, "{error}\n{}", self.log_text());
            signal::pause(Duration::from_millis(20));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if matches!(self.server.try_wait(), Ok(None)) {
            self.stop(Stop::Immediate);
        }
    }
}

/// Returns the rows that `text` comes to in the database at `url`; see [`Postgres::ask`].
///
/// # Panics
///
/// If the server refuses it.
#[must_use]
pub fn ask(url: &str, text: &str) -> Vec<Vec<String>> {
    try_ask(url, text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn try_ask(url: &str, text: &str) -> Result<Vec<Vec<String>>, tokio_postgres::Error> {
    let config: Config = url.parse().expect("a URL");
    // Tests may be in a runtime of their own.
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(rows(&config, text))
        });
        asked.join().expect("no panic")
    })
}

/// A PgBouncer in front of a server, which hands each transaction to one of two sessions. It is killed
/// when this is dropped.
#[derive(Debug)]
pub struct Bouncer {
    pooler: Child,
    url: String,
}

impl Bouncer {
    /// Starts one; none, which is said, where there can be none.
    ///
    /// # Panics
    ///
    /// If it does not start, or if there is none although `CI` is `true`.
    #[must_use]
    pub fn start(database: &Postgres) -> Option<Self> {
        let probe = &mut program("pgbouncer");
        if privilege::is_denied("PgBouncer", "install pgbouncer", probe.arg("--version")) {
            return None;
        }
        let folder = database.folder.path();
        let users = folder.join("users");
        let config = folder.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={folder}\n\
             [pgbouncer]\nlisten_addr =\nlisten_port = 6432\nunix_socket_dir = {folder}\n\
             auth_type = trust\nauth_file = {users}\n\
             pool_mode = transaction\ndefault_pool_size = 2\n",
            folder = folder.display(),
            users = users.display(),
        );
        std::fs::write(&users, "\"owner\" \"\"\n").expect("written");
        std::fs::write(&config, text).expect("written");
        let pooler = program("pgbouncer")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("setpriv");
        let bouncer = Self { pooler, url: format!("{}&port=6432", database.url()) };
        let start = Instant::now();
        while let Err(error) = try_ask(&bouncer.url, "SELECT 1") {
            assert!(start.elapsed() < PATIENCE, "{error}");
            signal::pause(Duration::from_millis(20));
        }
        Some(bouncer)
    }

    /// Returns the URL of the database through it, for its owner.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        drop(self.pooler.kill());
        drop(self.pooler.wait());
    }
}

/// A transaction that is open. It is rolled back when this is dropped.
#[derive(Debug)]
pub struct Transaction {
    runtime: Runtime,
    client: Client,
}

impl Transaction {
    fn begin(url: &str, text: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let config: Config = url.parse().expect("a URL");
        let (client, connection) = runtime.block_on(config.connect(NoTls)).expect("connected");
        runtime.spawn(connection);
        let begun = runtime.block_on(client.batch_execute(&format!("BEGIN; {text}")));
        begun.unwrap_or_else(|error| panic!("{text}: {error:?}"));
        Self { runtime, client }
    }

    /// Commits it.
    ///
    /// # Panics
    ///
    /// If the server refuses that.
    pub fn commit(self) {
        self.runtime.block_on(self.client.batch_execute("COMMIT")).expect("committed");
    }
}

async fn rows(config: &Config, text: &str) -> Result<Vec<Vec<String>>, tokio_postgres::Error> {
    let (client, connection): (Client, _) = config.connect(NoTls).await?;
    let driver = tokio::spawn(connection);
    let answered = client.simple_query(text).await;
    driver.abort();
    let rows = answered?.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(texts(&row)),
        _ => None,
    });
    Ok(rows.collect())
}

fn texts(row: &SimpleQueryRow) -> Vec<String> {
    (0..row.len()).map(|at| row.get(at).unwrap_or("null").to_owned()).collect()
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// Returns the data of a server that never ran, beside the test programs: `initdb` takes longer than most
/// tests, and a copy of what it makes does not. The first test of a build makes it, in `folder`.
fn template(folder: &Path) -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let said = program("initdb").arg("--version").output().expect("initdb").stdout;
    let version =
        String::from_utf8_lossy(&said).split_whitespace().nth(2).expect("a version").to_owned();
    let template = test.with_file_name(format!("postgres-{version}"));
    if !template.exists() {
        let made = program("initdb")
            .args(["--no-sync", "--no-locale", "--encoding=UTF8", "--auth=trust"])
            .args(["--wal-segsize=1", "--username=owner", "--pgdata"])
            .arg(folder.join("made"))
            .output()
            .expect("initdb");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let beside = test.parent().expect("a folder");
        let copied = tempfile::tempdir_in(beside).expect("a folder");
        copy(&folder.join("made"), &copied.path().join("data"));
        // Another test may have been as fast, and then its data are used.
        let renamed = std::fs::rename(copied.path().join("data"), &template);
        assert!(renamed.is_ok() || template.exists(), "{renamed:?}");
    }
    template
}

/// Copies a folder with its owners.
fn copy(folder: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([folder, to]).output().expect("cp");
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
}

/// A folder of the user that runs the server.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    if privilege::is_root() {
        let id = Command::new("id").args(["-u", USER]).output().expect("id").stdout;
        let id = String::from_utf8_lossy(&id).trim().parse().expect("a number");
        chown(folder.path(), Some(id), None).expect("root may");
    }
    folder
}

/// Starts the server of `folder`, with these `mounts`. It ends with the thread that started it.
fn spawn(folder: &Path, mounts: Option<&Namespace>) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log"));
    let log = log.expect("a log");
    let mut server = program("postgres");
    server
        .arg("-D")
        .arg(data(folder))
        .arg("-k")
        .arg(folder)
        // No port, and no waiting for the disk: only a crash of the machine would show that.
        .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]);
    if let Some(mounts) = mounts {
        server = mounts.enter(&server);
        server.current_dir("/");
    }
    server
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("setpriv")
}

/// Returns the command of a program of PostgreSQL's, as an ordinary user.
fn program(name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if privilege::is_root() {
        command.args(["--reuid", USER, "--regid", "nogroup", "--clear-groups"]);
    }
    // As the server's folder is: an ordinary user may not enter this one.
    command.current_dir("/").arg(installed(name).unwrap_or_else(|_| name.into()));
    command
}

/// Returns where Debian installs the newest version of a program, which is not in `PATH`.
fn installed(name: &str) -> io::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")?.flatten();
    let programs = versions.map(|version| version.path().join("bin").join(name));
    let newest = programs.filter(|path| path.is_file()).max();
    newest.ok_or_else(|| io::ErrorKind::NotFound.into())
}

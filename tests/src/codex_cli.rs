//! The real Codex CLI, against the test issuer: one more program that knows nothing of us.

mod app_server;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use crate::contender::Language;
use crate::issuer::Realm;
#[cfg(unix)]
use crate::privilege::Namespace;
use crate::session_keyring::SessionKeyring;

pub use app_server::AppServer;

/// There is none elsewhere.
#[cfg(not(unix))]
#[derive(Debug)]
pub enum Namespace {}

#[cfg(not(unix))]
impl Namespace {
    fn enter(&self, _: &Command) -> Command {
        match *self {}
    }
}

/// A Codex CLI on one `CODEX_HOME`.
#[derive(Clone, Debug)]
pub struct CodexCli {
    program: PathBuf,
    home: PathBuf,
    url: String,
    name: String,
    variables: Vec<(String, OsString)>,
    container: Option<Arc<Namespace>>,
}

/// The programs that `CODEX_CLIS` names, separated as in `PATH`. None where it is not set: then the
/// test is skipped, which is said. `make test-codex` sets it.
///
/// # Panics
///
/// If it names what is not there.
#[must_use]
#[expect(clippy::print_stderr, reason = "a skip is said")]
pub fn installed() -> Vec<PathBuf> {
    let Some(programs) = std::env::var_os("CODEX_CLIS") else {
        eprintln!("skipped: CODEX_CLIS names no Codex CLI; `make test-codex` fetches it");
        return Vec::new();
    };
    let programs: Vec<PathBuf> = std::env::split_paths(&programs).collect();
    for program in &programs {
        assert!(program.is_file(), "CODEX_CLIS names {}, which is no file", program.display());
    }
    programs
}

/// Those of `programs`, each with the languages that meet it: all of them meet the first, which is the
/// newest. The others meet Rust, since one core has the stores of all languages.
pub fn with_languages(programs: &[PathBuf]) -> impl Iterator<Item = (&Path, &'static [Language])> {
    let languages = |at| if at == 0 { &Language::ALL[..] } else { &[Language::Rust] };
    programs.iter().enumerate().map(move |(at, program)| (program.as_path(), languages(at)))
}

impl CodexCli {
    /// Tells the CLI in `home`, by its `config.toml`, to talk to `realm` only. The issuer counts it
    /// under `name`.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn new(program: &Path, home: &Path, realm: &Realm, name: &str) -> io::Result<Self> {
        let url = realm.url();
        let config = format!(
            r#"model_provider = "lab"
chatgpt_base_url = "{url}/backend-api"
check_for_update_on_startup = false
[model_providers.lab]
name = "lab"
base_url = "{url}/v1"
wire_api = "responses"
requires_openai_auth = true
request_max_retries = 0
stream_max_retries = 0
[analytics]
enabled = false
[otel]
exporter = "none"
[feedback]
enabled = false
"#
        );
        std::fs::write(home.join("config.toml"), config)?;
        Ok(Self {
            program: program.into(),
            home: home.into(),
            url,
            name: name.to_owned(),
            variables: Vec::new(),
            container: None,
        })
    }

    /// Puts it into a container, in which its home is at `home`.
    #[must_use]
    pub fn inside(self, container: Arc<Namespace>, home: &Path) -> Self {
        Self { home: home.into(), container: Some(container), ..self }
    }

    /// Keeps the login in another store than `auth.json`, by the name that `config.toml` has for
    /// it, in the session that `enter` leads to.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn with_store(mut self, store: &str, session: &SessionKeyring) -> io::Result<Self> {
        let path = self.home.join("config.toml");
        let config = std::fs::read_to_string(&path)?;
        std::fs::write(&path, format!("cli_auth_credentials_store = \"{store}\"\n{config}"))?;
        let mut command = Command::new("true");
        session.enter(&mut command);
        let set = command.get_envs().filter_map(|(name, value)| name.to_str().zip(value));
        self.variables = set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(self)
    }

    /// Signs in, so that the record is the CLI's own.
    ///
    /// # Errors
    ///
    /// What the CLI said.
    pub fn login(&self) -> Result<(), String> {
        self.run(&["login", "--device-auth", "--experimental_issuer", &self.url])
    }

    /// Signs out, which also revokes the refresh token.
    ///
    /// # Errors
    ///
    /// What the CLI said.
    pub fn logout(&self) -> Result<(), String> {
        self.run(&["logout"])
    }

    /// Whether it finds a login.
    #[must_use]
    pub fn is_signed_in(&self) -> bool {
        self.run(&["login", "status"]).is_ok()
    }

    /// One turn in a process of its own, which needs a good login.
    ///
    /// # Errors
    ///
    /// What the CLI said.
    pub fn exec(&self) -> Result<(), String> {
        self.run(&["exec", "--skip-git-repo-check", "say hi"])
    }

    /// A process that stays, with the login that it finds now.
    ///
    /// # Errors
    ///
    /// What went wrong on the way to its first thread.
    pub fn app_server(&self) -> Result<AppServer, String> {
        AppServer::start(self.command(&["app-server"]), &self.home)
    }

    fn run(&self, arguments: &[&str]) -> Result<(), String> {
        let output = self.command(arguments).output();
        succeeded(&output.map_err(|error| format!("{}: {error}", self.program.display()))?)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        if let Some(container) = &self.container {
            command = container.enter(&command);
        } else {
            command.current_dir(&self.home);
        }
        command
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("CODEX_HOME", &self.home)
            .env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", format!("{}/oauth/token", self.url))
            .env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE", &self.name)
            .stdin(Stdio::null());
        command
    }
}

fn succeeded(output: &Output) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last: Vec<_> = text.lines().rev().take(3).collect();
    Err(format!("{}: {}", output.status, last.join(" / ")))
}

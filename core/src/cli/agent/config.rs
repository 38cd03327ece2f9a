//! The logins of an agent: those of its configuration file, or the one of its options.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::agent::SinkOptions;
use crate::cli::arguments::{Agent as Arguments, Which, check_window, duration, lasting_store};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::agent::is_login_name;
use crate::{AuthManagerBuilder, StoreKind};

/// The name of the login of an agent without a configuration file.
const DEFAULT_NAME: &str = "default";

/// A login, and what differs from the options of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoginConfig {
    pub(super) name: String,
    pub(super) sinks: Vec<SinkOptions>,
    pub(super) source: Source,
}

/// Which login it is, and when it is refreshed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Source {
    codex_home: Option<PathBuf>,
    store: Option<StoreKind>,
    login: Option<String>,
    account_id: Option<String>,
    refresh_window: Option<Duration>,
}

impl LoginConfig {
    /// Returns the logins that `arguments` name.
    ///
    /// # Errors
    ///
    /// `invalid_option`, with the line if it is in the file.
    pub(super) fn all(arguments: &Arguments) -> Result<Vec<Self>> {
        match &arguments.config {
            Some(path) => File::read(path)?.logins(arguments.refresh_window),
            None => {
                check_window(arguments.refresh_window, &arguments.sink)?;
                let refresh_window = arguments.refresh_window;
                let source = Source { refresh_window, ..Source::default() };
                let (name, sinks) = (DEFAULT_NAME.to_owned(), arguments.sink.clone());
                Ok(vec![Self { name, sinks, source }])
            }
        }
    }

    /// Returns the options of a manager of this login. What it does not say is what `which` says.
    pub(super) fn builder(&self, which: &Which) -> AuthManagerBuilder {
        let mut builder = which.clone().builder();
        let Source { codex_home, store, login, account_id, refresh_window } = self.source.clone();
        if let Some(home) = codex_home {
            builder = builder.codex_home(home);
        }
        if let Some(store) = store {
            builder = builder.store(store);
        }
        if let Some(name) = login {
            builder = builder.login(name);
        }
        if let Some(id) = account_id {
            builder = builder.account_id(id);
        }
        if let Some(window) = refresh_window {
            builder = builder.refresh_window(window);
        }
        builder
    }
}

/// What is in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    #[serde(default)]
    login: Vec<Table>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: Spanned<String>,
    codex_home: Option<Spanned<String>>,
    store: Option<Spanned<String>>,
    login: Option<String>,
    account_id: Option<String>,
    refresh_window: Option<Spanned<String>>,
    #[serde(default)]
    sinks: Vec<Spanned<String>>,
}

/// A file, with which errors name the line. They do not quote it: the URL of a store may have a password.
struct File<'a> {
    path: &'a Path,
    text: String,
}

impl<'a> File<'a> {
    fn read(path: &'a Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let message = format!("{} cannot be read: {error}; name another file", path.display());
            Error::new(ErrorKind::InvalidOption, message)
        })?;
        Ok(Self { path, text })
    }

    /// Returns the logins; one that says nothing of it is refreshed in the `window`.
    fn logins(&self, window: Option<Duration>) -> Result<Vec<LoginConfig>> {
        let tables: Tables = toml::from_str(&self.text)
            .map_err(|error| self.wrong(error.span().unwrap_or_default(), error.message()))?;
        if tables.login.is_empty() {
            return Err(self.wrong(0..0, "it has no login: write [[login]] and a name"));
        }
        let mut logins: Vec<LoginConfig> = Vec::new();
        for table in &tables.login {
            let login = self.login(table, window)?;
            if logins.iter().any(|other| other.name == login.name) {
                return Err(self.wrong(table.name.span(), "another login has this name"));
            }
            logins.push(login);
        }
        Ok(logins)
    }

    fn login(&self, table: &Table, window: Option<Duration>) -> Result<LoginConfig> {
        let sinks = table.sinks.iter().map(|sink| self.parsed(sink, absolute_sink));
        let sinks = sinks.collect::<Result<Vec<_>>>()?;
        let refresh_window = self.parsed_if_there(table.refresh_window.as_ref(), duration)?;
        let source = Source {
            codex_home: self.parsed_if_there(table.codex_home.as_ref(), absolute)?,
            store: self.parsed_if_there(table.store.as_ref(), lasting_store)?,
            login: table.login.clone(),
            account_id: table.account_id.clone(),
            refresh_window: refresh_window.or(window),
        };
        let span = table.refresh_window.as_ref().unwrap_or(&table.name).span();
        check_window(source.refresh_window, &sinks).map_err(|error| self.wrong(span, error))?;
        Ok(LoginConfig { name: self.parsed(&table.name, login_name)?, sinks, source })
    }

    fn parsed_if_there<T, E: Display>(
        &self,
        value: Option<&Spanned<String>>,
        parse: impl Fn(&str) -> std::result::Result<T, E>,
    ) -> Result<Option<T>> {
        value.map(|value| self.parsed(value, parse)).transpose()
    }

    fn parsed<T, E: Display>(
        &self,
        value: &Spanned<String>,
        parse: impl Fn(&str) -> std::result::Result<T, E>,
    ) -> Result<T> {
        parse(value.get_ref()).map_err(|problem| self.wrong(value.span(), problem))
    }

    fn wrong(&self, place: Range<usize>, problem: impl Display) -> Error {
        let before = self.text.as_bytes().iter().take(place.start);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        let message = format!(
            "{}, line {line}: {problem}; codex-auth-sdk agent --help shows such a file",
            self.path.display()
        );
        Error::new(ErrorKind::InvalidOption, message)
    }
}

fn login_name(text: &str) -> std::result::Result<String, &'static str> {
    let name = is_login_name(text).then(|| text.to_owned());
    name.ok_or("a name has the characters a-z, 0-9, - and _ only")
}

fn absolute(text: &str) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_absolute = path.is_absolute().then_some(path);
    is_absolute.ok_or_else(|| format!("{text:?} is no whole path: write it from / on"))
}

fn absolute_sink(text: &str) -> std::result::Result<SinkOptions, String> {
    let sink: SinkOptions = text.parse().map_err(|error: Error| error.to_string())?;
    absolute(&sink.folder.to_string_lossy()).map(|_| sink)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(text: &str) -> Result<Vec<LoginConfig>> {
        let file = File { path: Path::new("/etc/agent.toml"), text: text.to_owned() };
        file.logins(Some(Duration::from_secs(900)))
    }

    #[test]
    fn each_login_has_a_name_and_what_differs_from_the_options() {
        let found = logins(
            r#"
            [[login]]
            name = "work-2"
            codex_home = "/home/me/work"
            store = "file"
            account_id = "acct"
            refresh_window = "30m"
            sinks = ["/srv/a,uid=7", "/srv/b"]

            [[login]]
            name = "alice"
            login = "a b"
            "#,
        );
        let found = found.expect("logins");
        let [work, alice] = &*found else { panic!("two logins") };
        let sinks = ["/srv/a,uid=7", "/srv/b"].map(|sink| sink.parse().expect("a sink"));
        assert_eq!((&*work.name, &*work.sinks), ("work-2", &sinks[..]));
        let source = Source {
            codex_home: Some("/home/me/work".into()),
            store: Some(StoreKind::File),
            account_id: Some("acct".to_owned()),
            refresh_window: Some(Duration::from_secs(1800)),
            ..Source::default()
        };
        assert_eq!(work.source, source);
        assert_eq!(alice.source.login.as_deref(), Some("a b"));
        assert_eq!(alice.source.refresh_window, Some(Duration::from_secs(900)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_the_rest_of_it() {
        let name = "[[login]]\nname = \"a\"\n";
        for (text, line, told) in [
            (String::new(), 1, "no login"),
            ("[[login]]\n".to_owned(), 1, "name"),
            ("x = [".to_owned(), 1, ""),
            (format!("{name}home = \"/a\"\n"), 3, "home"),
            (format!("{name}codex_home = \"~/.codex\"\n"), 3, "whole path"),
            (format!("{name}sinks = [\n\"/a\",\n\"b\"]\n"), 5, "whole path"),
            (format!("{name}sinks = [\"/a,uid=x\"]\n"), 3, "write DIR"),
            (format!("{name}sinks = \"/a\"\n"), 3, "sequence"),
            (format!("{name}store = \"ephemeral\"\n"), 3, "outlives"),
            (format!("{name}store = \"secret\n"), 3, ""),
            (format!("{name}refresh_window = 5\n"), 3, "string"),
            (format!("{name}refresh_window = \"5m\"\nsinks = [\"/a\"]"), 3, "more than 5m"),
            (format!("{name}\n{name}"), 5, "another login has this name"),
            ("[[login]]\nname = \"A\"\n".to_owned(), 2, "characters"),
        ] {
            let error = logins(&text).expect_err(&text);
            assert_eq!(error.code(), "invalid_option");
            let error = error.to_string();
            assert!(error.starts_with(&format!("/etc/agent.toml, line {line}: ")), "{text}{error}");
            assert!(error.contains(told) && !error.contains("secret"), "{text}{error}");
        }
    }
}

//! The file with the secret that an agent asks of programs whose user it does not know.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use http::HeaderValue;

use super::message::LARGEST;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::file_calls::FileCalls;
use crate::storage::plain_file::{self, Links};
use crate::variable;

/// Names the file.
const VARIABLE: &str = "CODEX_AUTH_AGENT_BEARER_FILE";

/// The file of this program. It is read for each request, and may change.
#[derive(Debug)]
pub(super) struct BearerFile {
    path: PathBuf,
    calls: FileCalls,
}

impl BearerFile {
    /// Returns the file that the environment names, if it names one.
    pub(super) fn named(environment: &Environment) -> Option<Self> {
        variable::path(VARIABLE).map(|path| Self::at(path, environment.clone()))
    }

    fn at(path: PathBuf, environment: Environment) -> Self {
        let folder = path.parent().unwrap_or(&path);
        let calls = FileCalls::on(folder, [path.clone(), path.clone()], environment);
        Self { path, calls }
    }

    /// Returns what the header `Authorization` says that tells the secret.
    ///
    /// # Errors
    ///
    /// `store_unavailable` if the file cannot be read in time, or if its content is no secret.
    pub(super) async fn authorization(&self) -> Result<HeaderValue> {
        let path = self.path.clone();
        self.calls.make(move || authorization(&path)).await
    }
}

fn authorization(path: &Path) -> Result<HeaderValue> {
    let failed = |error: &dyn Display| {
        let message = format!("${VARIABLE} is {}, which cannot be used: {error}", path.display());
        Error::new(ErrorKind::StoreUnavailable, message)
    };
    let bytes = plain_file::read(path, LARGEST as u64, Links::Followed);
    let bytes = bytes.map_err(|error| failed(&error))?;
    let said = zeroize::Zeroizing::new([b"Bearer ", bytes.trim_ascii()].concat());
    let mut said = HeaderValue::from_bytes(&said).map_err(|error| failed(&error))?;
    said.set_sensitive(true);
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_system_that_hangs_stops_no_thread_of_the_caller() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bearer");
        std::fs::write(&path, "0123456789abcdef\n").expect("written");
        let calls = FileCalls::far(folder.path(), Environment::default());
        let end = calls.hang().await;
        let file = BearerFile { path, calls };
        let mut asked = Box::pin(file.authorization());
        let patience = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(patience, &mut asked).await.is_err(), "it waits");
        drop(end);
        assert_eq!(asked.await.expect("it is back"), "Bearer 0123456789abcdef");
    }
}

//! The secret of programs whose user the system does not tell.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use http::HeaderValue;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};
use crate::option_value::invalid;
use crate::secret::{Fingerprint, Secret};
use crate::storage::agent::message::LARGEST;
use crate::storage::plain_file::{self, Links};
use crate::storage::temp_file;

/// A shorter secret could be guessed.
const SHORTEST: usize = 16;

/// What a program must say in the header `Authorization` (RFC 6750).
#[derive(Debug)]
pub(super) struct Bearer(Fingerprint);

impl Bearer {
    /// Reads the secret in the file at `path`. Where there is none, it makes one.
    ///
    /// # Errors
    ///
    /// `invalid_option` if the file is another user's, if other users may open it, or if its content is
    /// no secret.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let refuse = |problem: &str, fix: &str| {
            invalid("the bearer's file", format_args!("{}", path.display()), problem, fix)
        };
        let failed = |error: io::Error| -> Error {
            refuse(&format!("which cannot be used: {error}"), "name another one")
        };
        let open = || plain_file::open(path, OpenOptions::new().read(true), Links::Followed);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(path).and_then(|()| open())
            }
            opened => opened,
        };
        let file = file.map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(refuse("which is another user's", "name another one, or remove it"));
        }
        if found.mode() & 0o077 != 0 {
            return Err(refuse("which other users may open", "close it to them: chmod 600"));
        }
        let bytes = plain_file::content(file, found.len(), LARGEST as u64).map_err(failed)?;
        let secret = bytes.trim_ascii();
        if secret.len() < SHORTEST || !secret.iter().all(u8::is_ascii_graphic) {
            let fix = "remove it, and the agent makes another one";
            return Err(refuse("whose content is not one word of at least 16 characters", fix));
        }
        Ok(Self(Fingerprint::of(secret)))
    }

    /// Returns whether a program that says `authorization` knows the secret.
    pub(super) fn is_in(&self, authorization: Option<&HeaderValue>) -> bool {
        let said = authorization.map(HeaderValue::as_bytes).unwrap_or_default();
        let Some((scheme, said)) = said.split_at_checked(b"Bearer ".len()) else { return false };
        // The fingerprints are compared, so that not even the length of the secret shows.
        let said = Fingerprint::of(said.trim_ascii());
        let is_one = said.to_bytes().ct_eq(&self.0.to_bytes());
        scheme.eq_ignore_ascii_case(b"Bearer ") && is_one.into()
    }
}

/// Makes a file with a new secret, which only its owner may open. It is whole as soon as it is there;
/// one that another agent has made meanwhile stays.
fn make(path: &Path) -> io::Result<()> {
    let mut secret = [0; 32];
    let random = SystemRandom::new().fill(&mut secret);
    random.map_err(|_| io::Error::other("the system has no random numbers"))?;
    let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    let mut file = temp_file::private(
        builder.prefix(".codex-auth-bearer-"),
        folder.unwrap_or(Path::new(".")),
    )?;
    file.write_all(Secret::new(secret).expose().as_bytes())?;
    match file.persist_noclobber(path) {
        Err(failed) if failed.error.kind() != io::ErrorKind::AlreadyExists => Err(failed.error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_secret_is_its_owners_alone_and_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bearer");
        let first = Bearer::open(&path).expect("made");
        assert_eq!(path.metadata().expect("there").mode() & 0o777, 0o600);
        let secret = std::fs::read_to_string(&path).expect("there");
        assert_eq!(Bearer::open(&path).expect("read").0, first.0);
        let said = |text: &str| first.is_in(Some(&HeaderValue::from_str(text).expect("a header")));
        assert!(said(&format!("Bearer {secret}")) && said(&format!("bearer {secret}")));
        for wrong in ["", "Bearer", "Bearer ", &secret, &format!("Basic {secret}"), "Bearer x"] {
            assert!(!said(wrong), "{wrong}");
        }
        assert!(!said(&format!("Bearer {}", &secret[1..])) && !first.is_in(None));
    }

    #[test]
    fn a_secret_that_another_user_has_put_there_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bearer");
        Bearer::open(&path).expect("made");
        if std::os::unix::fs::chown(&path, Some(65534), None).is_err() {
            return crate::child::skip("another user");
        }
        let error = Bearer::open(&path).expect_err("refused");
        assert_eq!(error.code(), "invalid_option");
        assert!(error.to_string().contains("another user's"), "{error}");
    }

    #[test]
    fn agents_that_start_at_once_have_one_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bearer");
        let agents = [(); 8].map(|()| {
            let path = path.clone();
            std::thread::spawn(move || Bearer::open(&path))
        });
        let secrets = agents.map(|agent| agent.join().expect("no panic").expect("a secret").0);
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_file_that_others_may_open_or_that_holds_no_secret_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bearer");
        for (content, mode, problem) in [
            ("0123456789abcdef", 0o640, "chmod 600"),
            ("0123456789abcdef", 0o604, "chmod 600"),
            ("short", 0o600, "16 characters"),
            ("0123456789abcdef 0123456789abcdef", 0o600, "16 characters"),
        ] {
            std::fs::write(&path, content).expect("written");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set");
            let error = Bearer::open(&path).expect_err("refused");
            assert_eq!(error.code(), "invalid_option");
            assert!(error.to_string().contains(problem), "{error}");
            assert!(!error.to_string().contains("0123"), "{error}");
        }
    }
}

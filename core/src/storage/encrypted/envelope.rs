//! The encrypted file as `age` with a passphrase.
//!
//! Each write has a header of its own, so a key of its own: the key that a passphrase and a header
//! make wraps one file's key under a nonce that is always the same, and must not wrap another.

use std::fmt;
use std::io::{Read, Write};
use std::iter;

use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor, scrypt};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The work of a derivation, as the power of two that the Codex CLI was seen to write: about 2 s
/// and 512 MiB.
pub(super) const WORK_FACTOR: u8 = 19;

/// The most that a file may ask for, 2 GiB: the CLI takes what takes its machine a second.
const MOST_WORK: u8 = 21;

/// Why a file does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// The passphrase is another's, or the header is damaged.
    WrongKey,
    /// It asks for more work than is given to any file.
    TooMuchWork,
    /// It is no such file, or cut, or changed.
    Damaged,
}

/// Decrypts a file. Slow.
pub(super) fn open(file: &[u8], passphrase: &Secret) -> Result<Zeroizing<Vec<u8>>, Closed> {
    let mut key = scrypt::Identity::new(text(passphrase));
    key.set_max_work_factor(MOST_WORK);
    let mut plain = Zeroizing::new(Vec::with_capacity(file.len()));
    let mut reader = Decryptor::new_buffered(file)?.decrypt(iter::once(&key as _))?;
    reader.read_to_end(&mut plain).map_err(|_| Closed::Damaged)?;
    Ok(plain)
}

impl From<DecryptError> for Closed {
    fn from(error: DecryptError) -> Self {
        match error {
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => Self::WrongKey,
            DecryptError::ExcessiveWork { .. } => Self::TooMuchWork,
            _ => Self::Damaged,
        }
    }
}

/// The header and key of a file that is still to be written. Made slowly, used quickly, and once.
pub(super) struct Seal(Encryptor);

impl Seal {
    pub(super) fn new(passphrase: &Secret, work_factor: u8) -> Self {
        let mut recipient = scrypt::Recipient::new(text(passphrase));
        recipient.set_work_factor(work_factor);
        let encryptor = Encryptor::with_recipients(iter::once(&recipient as _));
        Self(encryptor.expect("one passphrase makes a valid header"))
    }

    /// The file that holds `plain`.
    pub(super) fn close(self, plain: &[u8]) -> Vec<u8> {
        let file = Vec::with_capacity(plain.len() + 1024);
        let written = self.0.wrap_output(file).and_then(|mut writer| {
            writer.write_all(plain)?;
            writer.finish()
        });
        written.expect("memory takes what is written to it")
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

fn text(passphrase: &Secret) -> SecretString {
    SecretString::from(passphrase.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_it_closed_and_nothing_else() {
        let passphrase = Secret::new("right");
        let file = Seal::new(&passphrase, 1).close(b"plain");
        assert_eq!(open(&file, &passphrase).expect("opens").as_slice(), b"plain");
        assert_eq!(open(&file, &Secret::new("wrong")), Err(Closed::WrongKey));
        assert_eq!(open(&file[..file.len() - 1], &passphrase), Err(Closed::Damaged));
        assert_eq!(open(b"", &passphrase), Err(Closed::Damaged));
        let text = String::from_utf8_lossy(&file).into_owned();
        assert_ne!(file, Seal::new(&passphrase, 1).close(b"plain"), "every header is new");
        assert!(text.starts_with("age-encryption.org/v1\n-> scrypt "), "{text}");
    }

    #[test]
    fn does_not_begin_what_would_take_minutes() {
        let passphrase = Secret::new("right");
        let file = Seal::new(&passphrase, 1).close(b"plain");
        let end = file.iter().skip(30).position(|byte| *byte == b'\n').expect("a line") + 30;
        let greedy = [&file[..end - 1], b"30", &file[end..]].concat();
        assert_eq!(open(&greedy, &passphrase), Err(Closed::TooMuchWork));
    }
}

//! Encrypts records, and the states of sign-ins, before they leave the process: AES-256-GCM. The kind of the
//! text and the name of its login are associated data, so that no text opens in the place of another.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::auth_dot_json::AuthDotJson;
use crate::error::{Error, ErrorKind, Result};
use crate::option_value::invalid;
use crate::secret::Secret;
use crate::variable;

/// The variable that has the keys where the option `store_key` is not set.
const KEY_VARIABLE: &str = "CODEX_AUTH_STORE_KEY";

/// What stands for a key where records are to be stored as they are.
const PLAIN_TEXT: &str = "plaintext";

/// What the associated data begins with: another form of what is stored is another purpose.
const LOGIN: &[u8] = b"codex-auth-sdk login 1\0";
const SIGN_IN: &[u8] = b"codex-auth-sdk sign-in 1\0";

/// What the name of a key is derived from, besides the key.
const KEY_NAME: &[u8] = b"codex-auth-sdk key name\0";

/// The keys of a store. The first one encrypts, and each of them decrypts.
#[derive(Debug)]
pub(super) struct StoreKeys(Vec<Key>);

/// A key, or the absence of one that was asked for by name.
struct Key {
    /// None for plain text.
    cipher: Option<Cipher>,
}

struct Cipher {
    id: String,
    key: LessSafeKey,
}

/// What is encrypted, which is the associated data: it opens as nothing else. No name of a login has
/// the byte 0.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    /// The record of the login of this name.
    Login(&'a str),
    /// The state of a sign-in for a login.
    SignIn { login: &'a str, id: &'a str },
}

impl Subject<'_> {
    fn associated(self) -> Aad<Vec<u8>> {
        Aad::from(match self {
            Self::Login(login) => [LOGIN, login.as_bytes()].concat(),
            Self::SignIn { login, id } => {
                [SIGN_IN, login.as_bytes(), b"\0", id.as_bytes()].concat()
            }
        })
    }
}

/// A record as it is stored.
#[derive(Debug)]
pub(super) struct Sealed {
    /// The name of the key; none for plain text.
    pub(super) key_id: Option<String>,
    pub(super) bytes: Vec<u8>,
}

impl StoreKeys {
    /// Reads the keys of the `option`, or those of the environment.
    ///
    /// # Errors
    ///
    /// `invalid_option`
    pub(super) fn named(option: Option<&Secret>) -> Result<Self> {
        if let Some(keys) = option {
            return Self::parse("store_key", keys);
        }
        let keys = variable::text(KEY_VARIABLE)?.map(Secret::new).ok_or_else(|| {
            let problem = "and records are stored encrypted";
            let fix =
                "set it, or $CODEX_AUTH_STORE_KEY, to a key made by `openssl rand -base64 32`";
            invalid("store_key", "not set", problem, fix)
        })?;
        Self::parse(&format!("${KEY_VARIABLE}"), &keys)
    }

    /// Reads keys, each the Base64 of 32 bytes, or the word `plaintext`, separated by commas; `option`
    /// is where they come from.
    ///
    /// # Errors
    ///
    /// `invalid_option`
    fn parse(option: &str, text: &Secret) -> Result<Self> {
        let keys = text.expose().split(',').map(|word| Key::parse(option, word.trim()));
        keys.collect::<Result<_>>().map(Self)
    }

    /// Returns the name of the key that encrypts; none if records are stored as they are.
    #[cfg(feature = "cli")]
    pub(super) fn first(&self) -> Option<&str> {
        self.0.first().and_then(Key::id)
    }

    /// Encrypts `text`, which is `subject`, by the first key.
    pub(super) fn seal(&self, subject: Subject<'_>, text: &[u8]) -> Result<Sealed> {
        match self.0.first().and_then(|key| key.cipher.as_ref()) {
            Some(cipher) => {
                Ok(Sealed { key_id: Some(cipher.id.clone()), bytes: cipher.seal(subject, text)? })
            }
            None => Ok(Sealed { key_id: None, bytes: text.to_vec() }),
        }
    }

    /// Decrypts and reads the record in the row of `login`, which is at `place`.
    ///
    /// # Errors
    ///
    /// `store_unavailable` if no key opens it, `store_corrupt` if it is no login.
    pub(super) fn open_record(
        &self,
        login: &str,
        sealed: Sealed,
        place: &str,
    ) -> Result<AuthDotJson> {
        let record = self.open(Subject::Login(login), sealed, place)?;
        AuthDotJson::parse(&record).map_err(|invalid| {
            let message = format!("{place} is no Codex login: {invalid}; sign in again");
            Error::new(ErrorKind::StoreCorrupt, message)
        })
    }

    /// Decrypts what is stored as `subject`, which is at `place`.
    ///
    /// # Errors
    ///
    /// `store_unavailable` if no key opens it.
    pub(super) fn open(
        &self,
        subject: Subject<'_>,
        sealed: Sealed,
        place: &str,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let closed =
            |why: String| Error::new(ErrorKind::StoreUnavailable, format!("{place} {why}"));
        let key_id = sealed.key_id.as_deref();
        let found = self.0.iter().find(|key| key.id() == key_id);
        let Some(key) = found else {
            let by =
                key_id.map_or_else(|| "in plain text".to_owned(), |id| format!("by the key {id}"));
            let ids: Vec<_> = self.0.iter().map(|key| key.id().unwrap_or(PLAIN_TEXT)).collect();
            return Err(closed(format!(
                "is stored {by}, and store_key names {}; add the key that is missing",
                ids.join(", ")
            )));
        };
        match &key.cipher {
            None => Ok(Zeroizing::new(sealed.bytes)),
            Some(cipher) => cipher.open(subject, sealed.bytes).ok_or_else(|| {
                closed(format!(
                    "does not hold what was stored there with the key {}: another program has changed \
                     the row, or moved it from another login; restore it, or delete the row and sign \
                     in again",
                    cipher.id
                ))
            }),
        }
    }
}

impl Key {
    fn parse(option: &str, word: &str) -> Result<Self> {
        if word == PLAIN_TEXT {
            return Ok(Self { cipher: None });
        }
        let bytes = Zeroizing::new(STANDARD.decode(word).unwrap_or_default());
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| {
            let problem = "which is not the Base64 of 32 bytes";
            let fix = "make one by `openssl rand -base64 32`; several are separated by commas";
            invalid(option, "a key (not shown)", problem, fix)
        })?;
        let mut name = Zeroizing::new(KEY_NAME.to_vec());
        name.extend_from_slice(&bytes);
        let digest = digest::digest(&digest::SHA256, &name);
        let id = digest.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { cipher: Some(Cipher { id, key: LessSafeKey::new(key) }) })
    }

    fn id(&self) -> Option<&str> {
        self.cipher.as_ref().map(|cipher| cipher.id.as_str())
    }
}

impl Cipher {
    fn seal(&self, subject: Subject<'_>, text: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::new(ErrorKind::StoreUnavailable, "the record cannot be encrypted");
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(failed)?;
        let mut text = Zeroizing::new(text.to_vec());
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                subject.associated(),
                &mut text,
            )
            .map_err(failed)?;
        Ok([&nonce, &text[..], tag.as_ref()].concat())
    }

    fn open(&self, subject: Subject<'_>, bytes: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
        let mut bytes = Zeroizing::new(bytes);
        let (nonce, text) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.key.open_in_place(nonce, subject.associated(), text).ok()?;
        Some(Zeroizing::new(text.to_vec()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.id().unwrap_or(PLAIN_TEXT)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; 32])
    }

    fn keys(text: &str) -> StoreKeys {
        StoreKeys::parse("store_key", &Secret::new(text)).expect("keys")
    }

    fn sealed(by: &str, login: &str) -> Sealed {
        keys(by).seal(Subject::Login(login), b"the record").expect("sealed")
    }

    fn open(by: &str, login: &str, sealed: Sealed) -> Result<Zeroizing<Vec<u8>>> {
        keys(by).open(Subject::Login(login), sealed, "the row")
    }

    #[test]
    fn the_first_key_encrypts_and_each_of_them_decrypts() {
        let (old, new) = (key(1), key(2));
        for (by, readers) in [
            (old.clone(), vec![old.clone(), format!("{old},{new}"), format!("{new}, {old}")]),
            (format!("{new},{old}"), vec![new.clone(), format!("{old},{new}")]),
            ("plaintext".to_owned(), vec!["plaintext".to_owned(), format!("{new},plaintext")]),
        ] {
            for reader in readers {
                let record = open(&reader, "a", sealed(&by, "a")).expect("opened");
                assert_eq!(&record[..], b"the record", "{by} {reader}");
            }
        }
        let sealed = sealed(&old, "a");
        assert!(!sealed.bytes.windows(6).any(|part| part == b"record"));
    }

    #[test]
    fn what_no_key_opens_is_an_error_and_no_record() {
        let (one, other) = (key(1), key(2));
        for (reader, found) in [
            (&other, sealed(&one, "a")),
            (&one, sealed("plaintext", "a")),
            (&"plaintext".to_owned(), sealed(&one, "a")),
        ] {
            let error = open(reader, "a", found).expect_err("closed");
            assert_eq!(error.code(), "store_unavailable");
            assert!(error.to_string().contains("add the key"), "{error}");
        }
    }

    #[test]
    fn a_record_that_was_changed_or_moved_is_refused() {
        let one = key(1);
        let whole = sealed(&one, "a");
        let mut damaged: Vec<_> =
            (0..whole.bytes.len()).map(|to| whole.bytes[..to].to_vec()).collect();
        damaged.extend((0..whole.bytes.len()).map(|at| {
            let mut bytes = whole.bytes.clone();
            bytes[at] ^= 1;
            bytes
        }));
        for bytes in damaged {
            let found = Sealed { key_id: whole.key_id.clone(), bytes };
            let error = open(&one, "a", found).expect_err("refused");
            assert_eq!(error.code(), "store_unavailable");
        }
        let error = open(&one, "b", sealed(&one, "a")).expect_err("refused");
        assert!(error.to_string().contains("moved it from another login"), "{error}");
    }

    #[test]
    fn a_bad_key_is_refused_and_no_key_is_shown() {
        for bad in ["", "short", &STANDARD.encode([1; 31]), &format!("{},", key(1)), "Plaintext"] {
            let error = StoreKeys::parse("store_key", &Secret::new(bad)).expect_err("refused");
            assert_eq!(error.code(), "invalid_option");
            assert!(!error.to_string().contains(&key(1)[..8]), "{error}");
        }
        let shown = format!("{:?}", keys(&format!("{},plaintext", key(1))));
        assert!(!shown.contains(&key(1)[..8]) && shown.contains("plaintext"), "{shown}");
    }
}

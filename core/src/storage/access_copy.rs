//! A copy of a login with its access token only, for a program that must not refresh it.
//!
//! There is no refresh token in it, no API key, and no id token, which could be exchanged for an API
//! key. In the place of the id token is one that names the user, the workspace and the plan, since
//! the Codex CLI reads no record without.

use std::io::{self, Write};
use std::path::Path;

use chrono::Utc;
use serde::de::IgnoredAny;

use super::plain_file::{self, Links};
use super::{AuthDotJson, TokenData, temp_file};
use crate::claims::IdTokenClaims;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::snapshot::{AuthMode, CodexAuth};

/// A login is a few kilobytes; nothing near this is one.
pub(crate) const LARGEST: u64 = 4 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct AccessCopy(AuthDotJson);

impl AccessCopy {
    /// Returns the copy of the login in `auth`.
    ///
    /// # Errors
    ///
    /// `unsupported_mode` if it is not a ChatGPT login: another credential does not end, and would
    /// be no copy but the credential itself.
    pub(crate) fn of(auth: &CodexAuth) -> Result<Self> {
        let token = auth.access_token().filter(|_| auth.mode() == AuthMode::ChatGpt);
        let access_token = token.cloned().ok_or_else(|| {
            let mode = auth.mode().as_str();
            let message = format!("only a ChatGPT login has an access-only copy, and not {mode}");
            Error::new(ErrorKind::UnsupportedMode, message)
        })?;
        let account_id = auth.account_id().map(str::to_owned);
        let claims = IdTokenClaims {
            account_id: account_id.clone(),
            plan_type: auth.plan_type().map(str::to_owned),
            chatgpt_user_id: auth.user_id().map(str::to_owned),
            is_fedramp: auth.is_fedramp(),
            ..IdTokenClaims::default()
        };
        let tokens = TokenData {
            id_token: Secret::new(claims.to_unsigned_token()),
            access_token,
            account_id,
            ..TokenData::default()
        };
        Ok(Self(AuthDotJson {
            auth_mode: Some("chatgpt".to_owned()),
            tokens: Some(tokens),
            // The CLI sends no request with a record that has none.
            last_refresh: auth.last_refresh().or_else(|| Some(Utc::now())),
            ..AuthDotJson::default()
        }))
    }

    /// Returns the copy as `auth.json` has it.
    pub(crate) fn to_json(&self) -> Secret {
        self.0.to_json_pretty()
    }

    /// Writes the copy to `path`, whole or not at all, for its owner only. It replaces an earlier
    /// copy, and a symbolic link rather than what that leads to.
    ///
    /// # Errors
    ///
    /// `save_failed` if there is something else, which stays: a login of its own, say; or if the
    /// folder cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let is_there = is_copy_there(path)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new("."));
        self.put(path, folder, is_there).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => occupied(path, "another program has just written it"),
            _ => failed(path, &error),
        })
    }

    fn put(&self, path: &Path, folder: &Path, is_there: bool) -> io::Result<()> {
        let mut temp = temp_file::create(folder)?;
        temp.write_all(self.to_json().expose().as_bytes())?;
        temp.as_file().sync_all()?;
        // Where there was nothing, a login that another program stores meanwhile is not replaced.
        if is_there {
            temp_file::put(&mut temp, path)?;
        } else {
            temp.persist_noclobber(path).map_err(|error| error.error)?;
        }
        temp_file::sync_folder(folder)
    }
}

/// Returns whether there is something to replace at `path`.
///
/// # Errors
///
/// `save_failed` if it may not be replaced.
fn is_copy_there(path: &Path) -> Result<bool> {
    if path.is_symlink() {
        return Ok(true);
    }
    match plain_file::read(path, LARGEST, Links::Refused) {
        Ok(bytes) if matches!(content(&bytes), Content::Copy | Content::Nothing) => Ok(true),
        Ok(_) => Err(occupied(path, "it holds something else than an access-only copy")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            Err(occupied(path, "it is too large to be a copy of a login"))
        }
        Err(error) => Err(failed(path, &error)),
    }
}

/// What a file holds in which a copy may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// An access-only copy, or a record without a credential.
    Copy,
    /// Not a letter: a program may be about to write something.
    Nothing,
    /// A login with a credential that lasts, what may be one or a part of one, or another program's
    /// record.
    Login,
    /// Something else: what is being written, say.
    Unclear,
}

/// Returns what a file with these `bytes` holds.
pub(crate) fn content(bytes: &[u8]) -> Content {
    if bytes.trim_ascii().is_empty() {
        return Content::Nothing;
    }
    match AuthDotJson::parse(bytes) {
        Ok(record) if is_access_only(&record) => Content::Copy,
        Err(_) if !is_whole(bytes) && !has_refresh_token(bytes) => Content::Unclear,
        _ => Content::Login,
    }
}

/// Returns whether `record` has no credential but an access token. A field that this crate does not
/// know may be one.
fn is_access_only(record: &AuthDotJson) -> bool {
    let has_refresh_token = record.tokens.as_ref().is_some_and(|it| !it.refresh_token.is_empty());
    !has_refresh_token && record.openai_api_key.is_none() && record.extra.names().next().is_none()
}

/// Returns whether `bytes` are JSON from the beginning to the end.
fn is_whole(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

/// Returns whether `bytes`, which are no record, have the beginning of a refresh token in them.
fn has_refresh_token(bytes: &[u8]) -> bool {
    const NAME: &[u8] = b"\"refresh_token\"";
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == b':';
    let ends = bytes.windows(NAME.len()).enumerate().filter(|(_, found)| *found == NAME);
    ends.map(|(start, _)| &bytes[start + NAME.len()..]).any(|rest| {
        let value: Vec<u8> = rest.iter().copied().skip_while(is_blank).take(2).collect();
        value.len() == 2 && value[0] == b'"' && value[1] != b'"'
    })
}

fn occupied(path: &Path, problem: &str) -> Error {
    let path = path.display();
    let message = format!("{path} stays as it is: {problem}; name another file, or move it away");
    Error::new(ErrorKind::SaveFailed, message)
}

fn failed(path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    let message = format!("cannot write {path}: {error}; name a file that this user may write");
    Error::new(ErrorKind::SaveFailed, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::identity::Relation;

    fn auth(record: &[u8]) -> CodexAuth {
        let record = AuthDotJson::parse(record).expect("a record");
        CodexAuth::received(Arc::new(record), &"test".into()).expect("a login")
    }

    /// A login with everything that a copy must not have.
    fn login() -> CodexAuth {
        let claims = IdTokenClaims {
            email: Some("a@example.com".to_owned()),
            plan_type: Some("plus".to_owned()),
            account_id: Some("acct-1".to_owned()),
            chatgpt_user_id: Some("user-1".to_owned()),
            is_fedramp: true,
            ..IdTokenClaims::default()
        };
        let id_token = claims.to_unsigned_token();
        let record = json!({
            "auth_mode": "chatgpt", "OPENAI_API_KEY": "sk-secret",
            "tokens": {
                "id_token": format!("{id_token}real"), "access_token": "access",
                "refresh_token": "refresh-secret", "account_id": "acct-1",
                "oauth_provenance": {"client_id": "app"}, "login_owner_id": "owner",
            },
            "last_refresh": "2026-11-30T00:00:00Z", "agent_identity": "secret",
        });
        auth(record.to_string().as_bytes())
    }

    #[test]
    fn a_copy_is_the_same_login_and_has_nothing_that_lasts() {
        let original = login();
        let AccessCopy(record) = AccessCopy::of(&original).expect("a copy");
        let json = record.to_json_pretty();
        let copy = auth(json.expose().as_bytes());
        assert_eq!(copy.headers().expect("headers"), original.headers().expect("headers"));
        assert_eq!((copy.plan_type(), copy.user_id()), (Some("plus"), Some("user-1")));
        assert_eq!(copy.last_refresh(), original.last_refresh());
        assert_eq!(original.identity().relation(copy.identity(), || false), Relation::Same);
        let tokens = record.tokens.expect("tokens");
        assert!(tokens.refresh_token.is_empty() && tokens.extra == TokenData::default().extra);
        for absent in ["real", "secret", "sk-", "example.com", "provenance", "owner", "agent"] {
            assert!(!json.expose().contains(absent), "{absent}: {}", json.expose());
        }
    }

    #[test]
    fn only_a_chatgpt_login_is_copied() {
        for record in [r#"{"OPENAI_API_KEY": "sk-1"}"#, r#"{"personal_access_token": "at-1"}"#] {
            let error = AccessCopy::of(&auth(record.as_bytes())).expect_err("refused");
            assert_eq!(error.code(), "unsupported_mode");
        }
    }

    #[test]
    fn a_copy_takes_the_place_of_a_copy_and_of_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("auth.json");
        let copy = AccessCopy::of(&login()).expect("a copy");
        let write_over = |found: &str| {
            std::fs::write(&path, found).expect("written");
            let written = copy.write(&path).map_err(|error| error.code());
            let now = std::fs::read_to_string(&path).expect("there");
            assert_eq!(now == found, written.is_err(), "{found}");
            written
        };
        copy.write(&path).expect("where there is nothing");
        let earlier = std::fs::read_to_string(&path).expect("there");
        for found in [&*earlier.replace("\"access\"", "\"older\""), "", "\n", "{}"] {
            assert_eq!(write_over(found), Ok(()), "{found}");
        }
        let access_only = r#"{"tokens": {"access_token": "a"}, "OPENAI_API_KEY": "sk-1"}"#;
        for found in [
            r#"{"tokens": {"access_token": "a", "refresh_token": "r"}}"#,
            access_only,
            r#"{"personal_access_token": "at-1"}"#,
            r#"{"bedrock_api_key": "key"}"#,
            r#"{"tokens": {"#,
            "a letter",
        ] {
            assert_eq!(write_over(found), Err("save_failed"), "{found}");
        }
        assert_eq!(temp_file::all(folder.path()).count(), 0);
    }

    #[test]
    fn a_part_of_a_login_is_told_from_junk() {
        for (bytes, expected) in [
            (r#"{"tokens": {"refresh_token": "r"#, Content::Login),
            (r#"{"tokens": {"refresh_token" :"", "id_token"#, Content::Unclear),
            (r#"{"tokens": {"refresh_token": ""#, Content::Unclear),
            (r#"{"tokens": {"refresh_token": null, "a"#, Content::Unclear),
            (r#"{"refresh_token": "", "tokens": {"refresh_token": "rt-1"#, Content::Login),
            ("\0\u{1}", Content::Unclear),
            (" \n", Content::Nothing),
        ] {
            assert_eq!(content(bytes.as_bytes()), expected, "{bytes}");
        }
    }

    #[test]
    fn a_credential_that_this_crate_does_not_know_makes_a_login() {
        for (bytes, expected) in [
            (r#"{"auth_mode": "bedrockApiKey", "bedrock_api_key": "key"}"#, Content::Login),
            (r#"{"bedrock_access_keys": {"id": "id", "secret": "key"}}"#, Content::Login),
            (r#"{"tokens": {"access_token": "a"}, "from_the_future": {}}"#, Content::Login),
            (r#"{"tokens": {"access_token": "a"}, "agent_identity": null}"#, Content::Copy),
            (r#"{"tokens": {"accessToken": "a", "refreshToken": "r"}}"#, Content::Login),
            (r#"{"OPENAI_API_KEY": null}"#, Content::Copy),
        ] {
            assert_eq!(content(bytes.as_bytes()), expected, "{bytes}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_copy_is_its_owners_alone_and_follows_no_link() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let (path, real) = (folder.path().join("auth.json"), folder.path().join("real.json"));
        let precious = r#"{"tokens": {"access_token": "a", "refresh_token": "r"}}"#;
        std::fs::write(&real, precious).expect("written");
        symlink(&real, &path).expect("linked");
        let copy = AccessCopy::of(&login()).expect("a copy");
        copy.write(&path).expect("written");
        let metadata = path.symlink_metadata().expect("there");
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&real).expect("there"), precious);
        std::fs::remove_file(&path).expect("removed");
        std::fs::create_dir(&path).expect("a folder");
        assert!(copy.write(&path).is_err(), "a folder stays");
    }

    #[test]
    fn a_login_that_comes_meanwhile_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("auth.json");
        let copy = AccessCopy::of(&login()).expect("a copy");
        std::fs::write(&path, "a login").expect("written");
        let error = copy.put(&path, folder.path(), false).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "a login");
    }
}

//! The record that all Codex programs share, as it is stored in `auth.json` or in a keyring item.
//!
//! Fields that this crate does not know are kept as their JSON text, at every level, because a
//! newer Codex may need them.

mod extra_fields;
mod invalid_record;
mod parked;
mod stranger;

use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

pub use self::extra_fields::ExtraFields;
pub use self::invalid_record::InvalidRecord;
#[cfg(feature = "cli")]
pub(crate) use self::parked::ParkingMark;
use crate::secret::{Fingerprint, Secret};

/// The record of a login as the Codex CLI stores it in `auth.json`: `auth_mode`, `OPENAI_API_KEY`,
/// `tokens`, `last_refresh`, and all other fields.
///
/// ```
/// use codex_auth_sdk::storage::AuthDotJson;
///
/// let record = AuthDotJson::parse(br#"{"OPENAI_API_KEY": "sk-1", "from_the_future": 1.50}"#)?;
/// assert!(record.openai_api_key.is_some());
/// assert!(record.to_json_pretty().expose().contains("\"from_the_future\": 1.50"));
/// # Ok::<(), codex_auth_sdk::storage::InvalidRecord>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthDotJson {
    /// `auth_mode` as it is stored, even if this crate does not know the word.
    pub auth_mode: Option<String>,
    /// `OPENAI_API_KEY`. None is written as `null`.
    pub openai_api_key: Option<Secret>,
    /// `tokens` of a ChatGPT login.
    pub tokens: Option<TokenData>,
    /// `last_refresh`; none if it is absent or not an RFC 3339 time.
    pub last_refresh: Option<DateTime<Utc>>,
    /// Every other field, such as `agent_identity` or `personal_access_token`.
    pub extra: ExtraFields,
}

/// The `tokens` object of a ChatGPT login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenData {
    /// The id token as it is stored; empty if there is none.
    pub id_token: Secret,
    /// The access token: the bearer token of API requests.
    pub access_token: Secret,
    /// The single-use refresh token; empty if there is none.
    pub refresh_token: Secret,
    /// The id of the workspace that requests are made for.
    pub account_id: Option<String>,
    /// Every other field, such as `oauth_provenance` or `login_owner_id`.
    pub extra: ExtraFields,
}

/// The prefix of personal access tokens.
pub(crate) const PERSONAL_ACCESS_TOKEN: &str = "at-";

impl AuthDotJson {
    /// Returns the login with the personal access token `token`, or with the token of an agent if
    /// it does not begin like one. The token is not checked.
    pub(crate) fn of_access_token(token: &Secret) -> Self {
        let is_personal = token.expose().starts_with(PERSONAL_ACCESS_TOKEN);
        let (auth_mode, field) = if is_personal {
            (None, "personal_access_token")
        } else {
            (Some("agentIdentity".to_owned()), "agent_identity")
        };
        let mut record = Self { auth_mode, ..Self::default() };
        record.extra.set(field, token);
        record
    }

    /// Returns what this record looks like, if it looks like the file of another program.
    pub(crate) fn stranger(&self) -> Option<&'static str> {
        stranger::stranger_with(&self.extra)
    }

    /// Returns the fingerprint of the refresh token; none if there is no such token.
    pub(crate) fn refresh_fingerprint(&self) -> Option<Fingerprint> {
        let token = self.tokens.as_ref().map(|tokens| &tokens.refresh_token);
        token.filter(|token| !token.is_empty()).map(Secret::fingerprint)
    }

    /// Reads a record from UTF-8 JSON. A byte order mark is skipped.
    ///
    /// # Errors
    ///
    /// [`InvalidRecord`] if the bytes are not one JSON object, or if a field that a login needs has
    /// the wrong type.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidRecord> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut fields = ExtraFields::parse(bytes).map_err(|error| {
            InvalidRecord::new(format!(
                "not a JSON object (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        Ok(Self {
            auth_mode: fields.take("auth_mode", "auth_mode")?,
            openai_api_key: fields.take("OPENAI_API_KEY", "OPENAI_API_KEY")?,
            tokens: fields.take_raw("tokens").map(|raw| TokenData::parse(&raw)).transpose()?,
            last_refresh: fields
                .take_raw("last_refresh")
                .and_then(|raw| serde_json::from_str::<String>(raw.expose()).ok())
                .and_then(|text| DateTime::parse_from_rfc3339(&text).ok())
                .map(|time| time.to_utc())
                .filter(|time| (1..=9999).contains(&time.year())),
            extra: fields,
        })
    }

    /// Returns the record as the Codex CLI writes `auth.json`: indented by two spaces, in the CLI's
    /// order of fields, without a final newline.
    pub fn to_json_pretty(&self) -> Secret {
        let mut json = Zeroizing::new(Vec::with_capacity(8 * 1024));
        serde_json::to_writer_pretty(&mut *json, self).expect("a record is always valid JSON");
        into_secret(&json)
    }

    /// Returns the record on one line, as it is stored in a keyring item.
    pub fn to_json(&self) -> Secret {
        let mut json = Zeroizing::new(Vec::with_capacity(8 * 1024));
        serde_json::to_writer(&mut *json, self).expect("a record is always valid JSON");
        into_secret(&json)
    }
}

/// The field of [`TokenData`] that says where its tokens are from.
const PROVENANCE: &str = "oauth_provenance";

/// The field of [`TokenData`] with the name of the login.
const LOGIN_OWNER_ID: &str = "login_owner_id";

/// Where the tokens of a login are from, as the Codex CLI stores it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Provenance {
    /// The origin of the token endpoint. The CLI drops a provenance with another one.
    #[serde(default)]
    pub(crate) issuer: String,
    /// The OAuth client to which the tokens were issued.
    pub(crate) client_id: String,
}

impl TokenData {
    /// Returns the OAuth client to which the tokens were issued; none if the record does not say.
    pub(crate) fn client_id(&self) -> Option<String> {
        let provenance: Provenance = self.extra.get(PROVENANCE)?;
        Some(provenance.client_id).filter(|id| !id.is_empty())
    }

    /// Returns the name that the Codex CLI gives a login at its sign-in, and that refreshes and
    /// switches of the workspace keep.
    pub(crate) fn login_owner_id(&self) -> Option<String> {
        self.extra.get(LOGIN_OWNER_ID).filter(|id: &String| !id.is_empty())
    }

    /// Stores a name for the login, by which it is told from others.
    pub(crate) fn set_login_owner_id(&mut self, id: &str) {
        self.extra.set(LOGIN_OWNER_ID, &id);
    }

    /// Stores where the tokens are from.
    pub(crate) fn set_provenance(&mut self, provenance: &Provenance) {
        self.extra.set(PROVENANCE, provenance);
    }

    fn parse(raw: &Secret) -> Result<Self, InvalidRecord> {
        let mut fields = ExtraFields::parse(raw.expose().as_bytes())
            .map_err(|_| InvalidRecord::new("`tokens` is not an object"))?;
        // Sorted as they are written, so that a record that is written and read again is equal.
        fields.move_to_front(is_login_field);
        Ok(Self {
            id_token: fields.take("id_token", "tokens.id_token")?.unwrap_or_default(),
            access_token: fields
                .take("access_token", "tokens.access_token")?
                .ok_or_else(|| without_access_token(&fields))?,
            refresh_token: fields
                .take("refresh_token", "tokens.refresh_token")?
                .unwrap_or_default(),
            account_id: fields
                .take::<String>("account_id", "tokens.account_id")?
                .filter(|id| !id.is_empty()),
            extra: fields,
        })
    }
}

impl Serialize for AuthDotJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(mode) = &self.auth_mode {
            map.serialize_entry("auth_mode", mode)?;
        }
        map.serialize_entry("OPENAI_API_KEY", &self.openai_api_key)?;
        if let Some(tokens) = &self.tokens {
            map.serialize_entry("tokens", tokens)?;
        }
        if let Some(time) = &self.last_refresh {
            let text = time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            map.serialize_entry("last_refresh", &text)?;
        }
        self.extra.serialize_into(&mut map, |_| true)?;
        map.end()
    }
}

/// Returns whether the CLI writes `name` between the refresh token and the account id.
fn is_login_field(name: &str) -> bool {
    [PROVENANCE, LOGIN_OWNER_ID].contains(&name)
}

impl Serialize for TokenData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id_token", &self.id_token)?;
        map.serialize_entry("access_token", &self.access_token)?;
        map.serialize_entry("refresh_token", &self.refresh_token)?;
        self.extra.serialize_into(&mut map, is_login_field)?;
        map.serialize_entry("account_id", &self.account_id)?;
        self.extra.serialize_into(&mut map, |name| !is_login_field(name))?;
        map.end()
    }
}

fn without_access_token(fields: &ExtraFields) -> InvalidRecord {
    let missing = "`tokens.access_token` is missing";
    InvalidRecord::new(match stranger::has_camel_case(fields) {
        true => format!("{missing}, and another program's tokens are there, in camel case"),
        false => missing.to_owned(),
    })
}

fn into_secret(json: &[u8]) -> Secret {
    Secret::new(std::str::from_utf8(json).expect("JSON is UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLI: &str = r#"{
  "auth_mode": "chatgpt",
  "OPENAI_API_KEY": null,
  "tokens": {
    "id_token": "h.e30.s",
    "access_token": "at-1",
    "refresh_token": "rt-1",
    "oauth_provenance": {
      "issuer": "https://issuer",
      "client_id": "app"
    },
    "login_owner_id": "owner",
    "account_id": "acct-1"
  },
  "last_refresh": "2026-11-23T18:17:09.251614588Z"
}"#;

    fn rewritten(json: &str) -> String {
        let record = AuthDotJson::parse(json.as_bytes()).expect("a record");
        record.to_json_pretty().expose().to_owned()
    }

    #[test]
    fn writes_what_the_cli_writes() {
        assert_eq!(rewritten(CLI), CLI);
    }

    #[test]
    fn the_client_of_a_login_is_read_and_written_as_the_cli_does() {
        let tokens = |json: &str| {
            AuthDotJson::parse(json.as_bytes()).expect("a record").tokens.expect("tokens")
        };
        let mut login = tokens(CLI);
        assert_eq!(login.client_id().as_deref(), Some("app"));
        let provenance =
            Provenance { issuer: "https://issuer".to_owned(), client_id: "app".to_owned() };
        login.extra = ExtraFields::default();
        assert_eq!(login.client_id(), None);
        login.set_provenance(&provenance);
        let written = serde_json::to_string(&login).expect("JSON");
        let expected = r#""oauth_provenance":{"issuer":"https://issuer","client_id":"app"}"#;
        assert!(written.contains(expected), "{written}");
        for odd in [r#""app""#, "null", "{}", r#"{"client_id": 1}"#, r#"{"client_id": ""}"#] {
            let json =
                format!(r#"{{"tokens": {{"access_token": "a", "oauth_provenance": {odd}}}}}"#);
            assert_eq!(tokens(&json).client_id(), None, "{odd}");
        }
    }

    #[test]
    fn keeps_unknown_fields_to_the_letter() {
        let json = r#"{"z": 123456789012345678901234567890, "auth_mode": "futureMode",
            "tokens": {"new": [1.0, {"b": 1, "a": 2}], "access_token": "a"}, "a": {"k": 1e400}}"#;
        let text = rewritten(json);
        for kept in
            ["123456789012345678901234567890", r#"[1.0, {"b": 1, "a": 2}]"#, "1e400", "futureMode"]
        {
            assert!(text.contains(kept), "{kept} in {text}");
        }
        assert_eq!(rewritten(&text), text);
    }

    #[test]
    fn what_was_written_is_what_is_read() {
        let json = r#"{"tokens": {"new": 1, "login_owner_id": "o", "access_token": "a"}}"#;
        let record = AuthDotJson::parse(json.as_bytes()).expect("a record");
        let written = record.to_json_pretty();
        assert_eq!(AuthDotJson::parse(written.expose().as_bytes()).expect("a record"), record);
    }

    #[test]
    fn no_unreadable_time_is_written() {
        for time in ["9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+00:01"] {
            let text = rewritten(&format!(r#"{{"last_refresh": "{time}"}}"#));
            assert!(!text.contains("last_refresh"), "{text}");
        }
    }

    #[test]
    fn the_last_of_several_fields_with_one_name_counts() {
        let json = r#"{"OPENAI_API_KEY": "x", "a": 1, "b": 2, "a": 3, "OPENAI_API_KEY": null}"#;
        let kept = "{\n  \"OPENAI_API_KEY\": null,\n  \"b\": 2,\n  \"a\": 3\n}";
        assert_eq!(rewritten(json), kept);
    }

    #[test]
    fn tolerates_what_other_writers_leave() {
        let json = "\u{feff}{\"tokens\": {\"access_token\": \"a\", \"account_id\": \"\"}, \"last_refresh\": \"yesterday\"}";
        let record = AuthDotJson::parse(json.as_bytes()).expect("a record");
        let tokens = record.tokens.expect("tokens");
        assert!(tokens.id_token.is_empty() && tokens.refresh_token.is_empty());
        assert_eq!((tokens.account_id, record.last_refresh), (None, None));
    }

    #[test]
    fn an_error_names_the_place_and_not_the_value() {
        let error =
            |json: &str| AuthDotJson::parse(json.as_bytes()).expect_err("invalid").to_string();
        assert_eq!(
            error(r#"{"tokens": {"access_token": 42}}"#),
            "`tokens.access_token` is not a string"
        );
        assert_eq!(error(r#"{"tokens": "secret"}"#), "`tokens` is not an object");
        assert_eq!(error("{\n\"tok"), "not a JSON object (line 2, column 4)");
        assert_eq!(error("[]"), "not a JSON object (line 1, column 0)");
        assert!(!format!("{:?}", AuthDotJson::parse(CLI.as_bytes())).contains("rt-1"));
    }
}

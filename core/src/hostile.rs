//! What must hold of input that somebody else wrote, whatever it is. Fuzz targets and ordinary tests
//! feed these with bytes.
//!
//! # Panics
//!
//! Each of these functions, where it does not hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::auth_dot_json::{AuthDotJson, TokenData};
use crate::claims::{AccessTokenTimes, IdTokenClaims};
use crate::clock::{Skew, Timekeeping};
use crate::environment::{BootId, Moment};
use crate::identity::IdentityMatch;
use crate::ledger::{Knowledge, LARGEST_LEDGER, Ledger, SHARED_REFUSAL};
use crate::secret::{Fingerprint, Secret};
use crate::snapshot::{AuthMode, CodexAuth, is_header_value};
use crate::token_endpoint::{
    Grant, NoAnswer, Redemption, RefusalReason, Reply, classify, retry_after,
};

const MINUTE: Duration = Duration::from_secs(60);

/// The content of `auth.json`: what is read is written again with every field that others own, and
/// neither an error nor a debug text says what a secret is.
pub fn auth_file(content: &[u8]) {
    let record = match AuthDotJson::parse(content) {
        Ok(record) => record,
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 80 && text.is_ascii(), "{text} is more than a place");
            return;
        }
    };
    survives_writing(&record);
    keeps_foreign_fields(content, &record);
    assert_eq!(format!("{record:?}"), format!("{:?}", without_secrets(&record)));
    hands_out_good_headers(&record);
}

/// The claims of a token: eight bytes of time, then the payload.
pub fn claims(input: &[u8]) {
    let Some((time, payload)) = input.split_first_chunk::<8>() else { return };
    let now = time_of(i64::from_le_bytes(*time));
    let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode(payload));
    let json = serde_json::from_slice::<Value>(payload).ok().filter(Value::is_object);
    assert_eq!(IdTokenClaims::parse(&token).is_some(), json.is_some());
    let times = AccessTokenTimes::parse(&token);
    if let Some(expires_at) = times.expires_at {
        let exp = json.as_ref().and_then(|json| json.get("exp"));
        assert_eq!(exp.and_then(Value::as_i64), Some(expires_at));
    }
    IdTokenClaims::parse(&String::from_utf8_lossy(payload));

    let tokens = TokenData {
        id_token: Secret::new(&*token),
        access_token: Secret::new(token),
        ..TokenData::default()
    };
    for last_refresh in [None, Some(now), Some(DateTime::UNIX_EPOCH)] {
        let record =
            AuthDotJson { tokens: Some(tokens.clone()), last_refresh, ..AuthDotJson::default() };
        ages_in_one_direction(&login(&record).expect("tokens make a login"), now);
        hands_out_good_headers(&record);
    }
}

/// A reply of the token endpoint: status, the length of `Retry-After`, that, then the body.
pub fn reply(input: &[u8]) {
    let Some(([high, low, length], rest)) = input.split_first_chunk::<3>() else { return };
    let status = u16::from_be_bytes([*high, *low]) % 1000;
    let (header, body) = rest.split_at(usize::from(*length).min(rest.len()));
    let now = time_of(1_800_000_000);
    let retry_after = (!header.is_empty()).then(|| retry_after(header, now)).flatten();
    let body = (*length != u8::MAX).then_some(body);
    let answer = classify(&Reply { status, retry_after, body });
    match &answer {
        Redemption::Granted(grant) => {
            let body = body.expect("a whole body");
            assert!(serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(body).is_ok());
            grants(status, grant);
        }
        Redemption::Refused(reason) => {
            assert!(!(200..300).contains(&status));
            let error = reason.into_error();
            assert!(!error.is_transient() && error.reason() == Some(reason.as_str()));
        }
        Redemption::NotSpent(answer) => puts_off(status, answer, &[408, 429, 503]),
        Redemption::Declined(answer) => {
            puts_off(status, answer, &[]);
            assert!(!(200..300).contains(&status) && status < 500);
        }
        Redemption::InDoubt(answer) => {
            puts_off(status, answer, &[]);
            assert!((200..300).contains(&status) || status >= 500);
        }
    }
}

/// The stored ledger: eight bytes of time, then its content.
pub fn ledger(input: &[u8]) {
    let Some((time, content)) = input.split_first_chunk::<8>() else { return };
    let now = time_of(i64::from_le_bytes(*time));
    let Some(read) = Ledger::from_bytes(content) else { return };
    let mut tokens = vec![Fingerprint::of(content)];
    tokens.extend(read.tokens());
    keeps_nobody_out(&read, &tokens, now);

    // Whatever its next holders add to it.
    let mut ledger = read;
    for (index, token) in tokens.iter().enumerate() {
        ledger.rotate(*token, Fingerprint::of(&index.to_le_bytes()));
        if index % 3 == 0 {
            ledger.doubt(*token, now);
        }
        match index % 2 {
            0 => ledger.refuse(*token, RefusalReason::EmptyRefreshToken, now, Some(SHARED_REFUSAL)),
            _ => ledger.rest(*token, now, now + TimeDelta::hours(24)),
        }
        ledger.take_rejected_rotation(now, MINUTE);
    }
    keeps_nobody_out(&ledger, &tokens, now);
}

/// A file's name in the folder of a login: a byte for what it is, then the name. Leftovers are our
/// temp files and nothing else, its lock is beside it, and it is known as a mount point.
#[cfg(unix)]
pub fn names(input: &[u8]) {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;

    use crate::storage::names::{is_mounted, is_temp_name, with_suffix};

    let Some((kind, name)) = input.split_first() else { return };
    let path = Path::new("/home").join(OsStr::from_bytes(name));
    let lock = with_suffix(&path, ".lock");
    assert_eq!(lock.as_os_str().as_bytes(), [path.as_os_str().as_bytes(), b".lock"].concat());

    let has_our_form = name.len() == ".codex-auth-sdk-123456.tmp".len()
        && name.starts_with(b".codex-auth-sdk-")
        && name.ends_with(b".tmp")
        && name[16..22].iter().all(u8::is_ascii_alphanumeric);
    assert_eq!(is_temp_name(OsStr::from_bytes(name)), has_our_form);

    assert!(is_mounted(&mountinfo(path.as_os_str().as_bytes()), path.as_os_str().as_bytes()));
    let columns = name.split(|byte| *byte == b' ').count();
    assert!(columns > 4 || !is_mounted(name, b"/home/auth.json"));

    // Real files take time: few of those whose names are like nothing of ours.
    let is_worth_it = name.starts_with(b".codex-auth-sdk") || *kind >= 0xf0;
    let is_a_file_name = !name.is_empty() && name.len() < 256 && !name.contains(&b'/');
    if is_worth_it && is_a_file_name && !name.contains(&0) && name != b"." && name != b".." {
        let removed = is_removed_as_leftover(*kind, OsStr::from_bytes(name));
        assert_eq!(removed, has_our_form && kind % 4 == 0, "{kind} {name:?}");
    }
}

fn survives_writing(record: &AuthDotJson) {
    for written in [record.to_json_pretty(), record.to_json()] {
        let read =
            AuthDotJson::parse(written.expose().as_bytes()).expect("what we write is a record");
        assert!(read == *record, "{read:?} {record:?}");
        assert!(read.to_json() == record.to_json());
    }
}

fn keeps_foreign_fields(content: &[u8], record: &AuthDotJson) {
    type Fields<'a> = BTreeMap<String, &'a RawValue>;
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let written = record.to_json();
    let before: Fields<'_> = serde_json::from_slice(content).expect("it was read as an object");
    let after: Fields<'_> = serde_json::from_str(written.expose()).expect("we write an object");
    let known = ["auth_mode", "OPENAI_API_KEY", "tokens", "last_refresh"];
    for (name, value) in before.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
        assert!(after.get(name).is_some_and(|kept| kept.get() == value.get()), "{name} is lost");
    }
    let (Some(before), Some(after)) = (before.get("tokens"), after.get("tokens")) else { return };
    let before: Option<Fields<'_>> = serde_json::from_str(before.get()).expect("an object or null");
    let after: Fields<'_> = serde_json::from_str(after.get()).expect("we write an object");
    let known = ["id_token", "access_token", "refresh_token", "account_id"];
    for (name, value) in before.iter().flatten().filter(|(name, _)| !known.contains(&name.as_str()))
    {
        assert!(after.get(name).is_some_and(|kept| kept.get() == value.get()), "{name} is lost");
    }
}

fn without_secrets(record: &AuthDotJson) -> AuthDotJson {
    let mut record = record.clone();
    record.openai_api_key = record.openai_api_key.map(|_| Secret::default());
    if let Some(tokens) = &mut record.tokens {
        tokens.id_token = Secret::default();
        tokens.access_token = Secret::default();
        tokens.refresh_token = Secret::default();
    }
    record
}

fn login(record: &AuthDotJson) -> Option<CodexAuth> {
    CodexAuth::received(Arc::new(record.clone()), &"originator".into())
}

fn hands_out_good_headers(record: &AuthDotJson) {
    let Some(auth) = login(record) else { return };
    assert_ne!(auth.identity().compare(auth.identity()), IdentityMatch::Different);
    match auth.headers() {
        Ok(headers) => {
            assert!(headers.iter().all(|(_, value)| is_header_value(value.expose())));
            let sends_id = headers.iter().any(|(name, _)| *name == "ChatGPT-Account-ID");
            assert!(sends_id || auth.mode() == AuthMode::ApiKey || auth.account_id().is_none());
        }
        Err(error) => assert_eq!(error.code(), "unsupported_mode"),
    }
    let plain = login(&without_secrets(record)).expect("the same login");
    assert_eq!(plain.mode(), auth.mode());
}

fn ages_in_one_direction(auth: &CodexAuth, now: DateTime<Utc>) {
    for window in [None, Some(TimeDelta::zero()), Some(TimeDelta::hours(1)), Some(TimeDelta::MAX)] {
        let mut was_expired = false;
        for days in [-1_000_000, -1, 0, 1, 1_000_000] {
            let moment = moment(time_of(now.timestamp().saturating_add(days * 86_400)));
            let timing = |known: &Timekeeping| {
                let timing = auth.timing(known, &moment, window);
                (timing.is_young(), timing.is_expired(), timing.due_in())
            };
            timing(&Timekeeping::default());
            let (_, is_expired, due_in) = timing(&right_clock(&moment));
            assert!(is_expired || !was_expired, "a token that ended does not come back");
            was_expired = is_expired;
            let is_late = due_in.is_none_or(|wait| wait > TimeDelta::seconds(10));
            assert!(!(is_expired && is_late), "{window:?}");
        }
        let moment = moment(now);
        let mut known = right_clock(&moment);
        if let Some(renewal) = auth.renewed(&known, &moment, &moment) {
            known.renew(renewal);
            let is_expired = auth.timing(&known, &moment, window).is_expired();
            assert!(!is_expired, "what has just come is good, whatever it says");
        }
    }
}

fn moment(wall: DateTime<Utc>) -> Moment {
    Moment::new(wall, BootId::of(b"boot"), Duration::from_secs(3600))
}

fn right_clock(now: &Moment) -> Timekeeping {
    let mut known = Timekeeping::default();
    known.measure(Skew::measured(now.wall(), now, now));
    known
}

fn grants(status: u16, grant: &Grant) {
    assert!((200..300).contains(&status));
    let tokens = [&grant.id_token, &grant.access_token, &grant.refresh_token];
    assert!(tokens.iter().all(|token| token.as_ref().is_none_or(|token| !token.is_empty())));
    assert!(grant.access_token.is_some() || grant.refresh_token.is_some());
    let shown = |token: &Option<Secret>| token.as_ref().map(|_| Secret::default());
    let plain = Grant {
        id_token: shown(&grant.id_token),
        access_token: shown(&grant.access_token),
        refresh_token: shown(&grant.refresh_token),
    };
    assert_eq!(format!("{grant:?}"), format!("{plain:?}"), "no token is shown");
    let text = |token: &Option<Secret>| token.clone().unwrap_or_default();
    let tokens = TokenData {
        id_token: text(&grant.id_token),
        access_token: text(&grant.access_token),
        refresh_token: text(&grant.refresh_token),
        ..TokenData::default()
    };
    survives_writing(&AuthDotJson { tokens: Some(tokens), ..AuthDotJson::default() });
}

/// An answer that leaves the token alone says the status and nothing of the body.
fn puts_off(status: u16, answer: &NoAnswer, only: &[u16]) {
    assert!(only.is_empty() || only.contains(&status));
    let what = if (200..300).contains(&status) { "an unusable success" } else { "an error" };
    assert_eq!(answer.detail, format!("the token endpoint answered with {what} (HTTP {status})"));
    let longest = Duration::from_secs(24 * 60 * 60);
    assert!(answer.retry_after.is_none_or(|after| !after.is_zero() && after <= longest));
}

fn keeps_nobody_out(ledger: &Ledger, tokens: &[Fingerprint], now: DateTime<Utc>) {
    let written = ledger.to_bytes();
    assert!(written.len() <= LARGEST_LEDGER);
    let read = Ledger::from_bytes(&written).expect("what we write is a ledger");
    assert!(read.to_bytes().len() <= LARGEST_LEDGER);
    let later = |seconds| now + TimeDelta::seconds(seconds);
    let may_rotate = |seconds| ledger.may_rotate_rejected(later(seconds), MINUTE);
    assert!([0, 60, 120].into_iter().any(may_rotate));
    for token in tokens {
        for other in tokens {
            let descends = ledger.descends(*token, *other);
            assert_eq!(descends, read.descends(*token, *other));
            assert!(descends || token != other);
        }
        let is_refused = |at| matches!(ledger.about(*token, at), Knowledge::Refused(_));
        match ledger.about(*token, now) {
            Knowledge::Refused(_) => assert!(!is_refused(later(120))),
            Knowledge::RestUntil { until, .. } => assert!(until <= later(24 * 60 * 60 + 60)),
            Knowledge::Nothing | Knowledge::InDoubt | Knowledge::Spent { .. } => {}
        }
    }
}

/// A time that a machine's clock may have: between the years 1 and 9000.
fn time_of(seconds: i64) -> DateTime<Utc> {
    let seconds = seconds.clamp(-62_000_000_000, 220_000_000_000);
    DateTime::from_timestamp(seconds, 0).expect("within the years of a calendar")
}

/// What Linux says of a mount at `path`.
#[cfg(unix)]
fn mountinfo(path: &[u8]) -> Vec<u8> {
    let mut line = b"36 35 98:0 / /other rw - ext4 /dev/a rw\n37 35 98:0 / ".to_vec();
    for byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => line.extend(format!("\\{byte:03o}").bytes()),
            byte => line.push(*byte),
        }
    }
    line.extend(b" rw - ext4 /dev/b rw\n\xff\n");
    line
}

/// Whether what has this name is taken away with the temp files of dead programs.
#[cfg(unix)]
fn is_removed_as_leftover(kind: u8, name: &std::ffi::OsStr) -> bool {
    use crate::storage::names::remove_all;

    let folder = tempfile::tempdir().expect("a folder");
    let elsewhere = tempfile::NamedTempFile::new().expect("a file");
    let path = folder.path().join(name);
    match kind % 4 {
        0 => std::fs::write(&path, "a file").expect("written"),
        1 => std::fs::create_dir(&path).expect("made"),
        2 => std::os::unix::fs::symlink(elsewhere.path(), &path).expect("linked"),
        _ => std::os::unix::fs::symlink("nowhere", &path).expect("linked"),
    }
    remove_all(folder.path());
    assert!(elsewhere.path().exists());
    path.symlink_metadata().is_err()
}

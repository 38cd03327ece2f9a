//! What must hold of input that another program wrote, whatever it is. Fuzz targets and ordinary
//! tests feed these with bytes.
//!
//! # Panics
//!
//! Each of these functions, where it does not hold.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use codex_auth_sdk::seams::{self, Judged, Note, classify, is_mounted, is_temp_name, lock_path};
use codex_auth_sdk::storage::{AuthDotJson, Fingerprint, Ledger, TokenData};
use codex_auth_sdk::token_endpoint::{Grant, NoAnswer, Redemption, RefusalReason};
use codex_auth_sdk::{AuthMode, CodexAuth, Secret};
use serde_json::Value;
use serde_json::value::RawValue;

const MINUTE: Duration = Duration::from_secs(60);

/// The content of `auth.json`: what is read is written again with every field that others own, and
/// neither an error nor a debug text says what a secret is.
pub fn auth_file(content: &[u8]) {
    let record = match AuthDotJson::parse(content) {
        Ok(record) => record,
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 100 && text.is_ascii(), "{text} is more than a place");
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
    assert_eq!(seams::has_claims(&token), json.is_some());
    if let Some(expires_at) = seams::end_of_token(&token) {
        let exp = json.as_ref().and_then(|json| json.get("exp"));
        assert_eq!(exp.and_then(Value::as_i64), Some(expires_at));
    }
    seams::has_claims(&String::from_utf8_lossy(payload));

    let mut tokens = TokenData::default();
    tokens.id_token = Secret::new(&*token);
    tokens.access_token = Secret::new(token);
    let mut record = AuthDotJson::default();
    record.tokens = Some(tokens);
    for last_refresh in [None, Some(now), Some(DateTime::UNIX_EPOCH)] {
        record.last_refresh = last_refresh;
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
    let body = (*length != u8::MAX).then_some(body);
    let answer = classify(status, Some(header).filter(|header| !header.is_empty()), body, now);
    match &answer {
        Redemption::Granted(grant) => {
            let body = body.expect("a whole body");
            assert!(serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(body).is_ok());
            grants(status, grant);
        }
        Redemption::Refused(reason) => {
            assert!(!(200..300).contains(&status));
            let error = seams::error_of(*reason);
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
        answer => panic!("{answer:?} is new"),
    }
}

/// The stored ledger: eight bytes of time, then its content. Whatever it says, it keeps no manager
/// from its login for long.
pub fn ledger(input: &[u8]) {
    let Some((time, content)) = input.split_first_chunk::<8>() else { return };
    let now = time_of(i64::from_le_bytes(*time));
    let Some(mut ledger) = Ledger::from_bytes(content) else { return };
    let mut tokens = vec![Fingerprint::of(content)];
    tokens.extend(seams::tokens_in(&ledger));
    keeps_nothing_out(&ledger, &tokens, now);

    // Whatever the next holders of the lock add to it.
    for (index, token) in tokens.iter().enumerate() {
        let mut note = |note| seams::note(&mut ledger, *token, note, now);
        note(Note::RotatedTo(Fingerprint::of(&index.to_le_bytes())));
        if index % 3 == 0 {
            note(Note::Doubt);
        }
        note(match index % 2 {
            0 => Note::Refused(RefusalReason::OutcomeUnknown),
            _ => Note::RestUntil(now + TimeDelta::minutes(5)),
        });
        note(Note::RotatedRejected(MINUTE));
    }
    keeps_nothing_out(&ledger, &tokens, now);
}

/// A file's name in the folder of a login: a byte for what it is, then the name. Leftovers are our
/// temp files and nothing else, its lock is beside it, and it is known as a mount point.
pub fn names(input: &[u8]) {
    let Some((kind, name)) = input.split_first() else { return };
    let path = Path::new("/home").join(OsStr::from_bytes(name));
    let lock = lock_path(&path);
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
    seams::snapshot(record)
}

fn hands_out_good_headers(record: &AuthDotJson) {
    let Some(auth) = login(record) else { return };
    assert!(!seams::is_of_another_login(&auth, &auth));
    match auth.headers() {
        Ok(headers) => {
            assert!(headers.iter().all(|(_, value)| seams::is_header_value(value.expose())));
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
            let then = time_of(now.timestamp().saturating_add(days * 86_400));
            seams::judged_without_skew(auth, window, then);
            let Judged { is_expired, due_in, .. } = seams::judged(auth, window, then);
            assert!(is_expired || !was_expired, "a token that ended does not come back");
            was_expired = is_expired;
            let is_late = due_in.is_none_or(|wait| wait > TimeDelta::seconds(10));
            assert!(!(is_expired && is_late), "{window:?}");
        }
        let renewed = seams::judged_on_arrival(auth, window, now);
        let is_expired = renewed.is_some_and(|judged| judged.is_expired);
        assert!(!is_expired, "what has just come is good, whatever it says");
    }
}

fn grants(status: u16, grant: &Grant) {
    assert!((200..300).contains(&status));
    let tokens = [&grant.id_token, &grant.access_token, &grant.refresh_token];
    assert!(tokens.iter().all(|token| token.as_ref().is_none_or(|token| !token.is_empty())));
    assert!(grant.access_token.is_some() || grant.refresh_token.is_some());
    let mut plain = grant.clone();
    for token in [&mut plain.id_token, &mut plain.access_token, &mut plain.refresh_token] {
        *token = token.as_ref().map(|_| Secret::default());
    }
    assert_eq!(format!("{grant:?}"), format!("{plain:?}"), "no token is shown");
    let text = |token: &Option<Secret>| token.clone().unwrap_or_default();
    let mut tokens = TokenData::default();
    tokens.id_token = text(&grant.id_token);
    tokens.access_token = text(&grant.access_token);
    tokens.refresh_token = text(&grant.refresh_token);
    let mut record = AuthDotJson::default();
    record.tokens = Some(tokens);
    survives_writing(&record);
}

/// An answer that leaves the token alone says the status, and of the body only a word.
fn puts_off(status: u16, answer: &NoAnswer, only: &[u16]) {
    assert!(only.is_empty() || only.contains(&status));
    let said = answer.detail.strip_prefix("issuer.example answered ");
    let said = said.and_then(|said| said.strip_suffix(&format!(" (HTTP {status})")));
    let said = said.unwrap_or_else(|| panic!("{}", answer.detail));
    let is_word = |code: &str| {
        let is_in_words = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        (1..=64).contains(&code.len()) && code.bytes().all(is_in_words)
    };
    assert!(
        match said {
            "an unusable success" => (200..300).contains(&status),
            "an error without a code" | "an error with a code that is not shown" => true,
            said => said.strip_prefix("the error ").is_some_and(is_word),
        },
        "{said}"
    );
    let longest = Duration::from_secs(5 * 60);
    assert!(answer.retry_after.is_none_or(|after| !after.is_zero() && after <= longest));
}

fn keeps_nothing_out(ledger: &Ledger, tokens: &[Fingerprint], now: DateTime<Utc>) {
    let written = ledger.to_bytes();
    assert!(written.len() <= 16 * 1024);
    let read = Ledger::from_bytes(&written).expect("what we write is a ledger");
    assert!(read.to_bytes().len() <= 16 * 1024);
    let later = |seconds| now + TimeDelta::seconds(seconds);
    let may_rotate = |seconds| seams::may_rotate_rejected(ledger, later(seconds), MINUTE);
    assert!([0, 60, 120].into_iter().any(may_rotate));
    // Neighbours only: each question walks the whole lineage, and hundreds of tokens make many pairs.
    for neighbours in tokens.windows(2) {
        for (token, other) in [(0, 1), (1, 0)].map(|(a, b)| (neighbours[a], neighbours[b])) {
            let descends = seams::descends(ledger, token, other);
            assert_eq!(descends, seams::descends(&read, token, other));
        }
    }
    for token in tokens {
        assert!(seams::descends(ledger, *token, *token));
        let is_refused = |at| seams::is_refused(ledger, *token, at);
        assert!(!is_refused(now) || !is_refused(later(120)));
        let rests_until = seams::rests_until(ledger, *token, now);
        assert!(rests_until.is_none_or(|until| until <= later(5 * 60 + 60)));
    }
}

/// A time that a machine's clock may have: between the years 1 and 9000.
fn time_of(seconds: i64) -> DateTime<Utc> {
    let seconds = seconds.clamp(-62_000_000_000, 220_000_000_000);
    DateTime::from_timestamp(seconds, 0).expect("within the years of a calendar")
}

/// What Linux says of a mount at `path`.
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
fn is_removed_as_leftover(kind: u8, name: &OsStr) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let elsewhere = tempfile::NamedTempFile::new().expect("a file");
    let path = folder.path().join(name);
    match kind % 4 {
        0 => std::fs::write(&path, "a file").expect("written"),
        1 => std::fs::create_dir(&path).expect("made"),
        2 => std::os::unix::fs::symlink(elsewhere.path(), &path).expect("linked"),
        _ => std::os::unix::fs::symlink("nowhere", &path).expect("linked"),
    }
    seams::remove_leftovers(folder.path());
    assert!(elsewhere.path().exists());
    path.symlink_metadata().is_err()
}

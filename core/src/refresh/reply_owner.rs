//! Tells the tokens of another login in a reply of the token endpoint from those of this one.

use crate::auth_dot_json::TokenData;
use crate::claims::IdTokenClaims;
use crate::secret::Secret;
use crate::token_endpoint::Grant;

/// Returns whether the tokens in `grant` belong to another login than those in `stored`.
///
/// The users decide, if both sides name one; else the subjects of the two id tokens; else the
/// accounts. Another account of the same user is no other login: the user may have switched the
/// workspace, and the server may name the new workspace or the old one.
pub(super) fn is_of_another_login(stored: &TokenData, grant: &Grant) -> bool {
    let stored_id = claims([Some(&stored.id_token)]);
    let stored_all = claims([Some(&stored.id_token), Some(&stored.access_token)]);
    let granted_id = claims([grant.id_token.as_ref()]);
    let granted_all = claims([grant.id_token.as_ref(), grant.access_token.as_ref()]);
    let users = [
        agree(&stored_all, &granted_all, |token| token.chatgpt_user_id.as_ref()),
        agree(&stored_all, &granted_all, |token| token.user_id.as_ref()),
    ];
    let is_same = users
        .into_iter()
        .flatten()
        .reduce(|one, other| one && other)
        .or_else(|| agree(&stored_id, &granted_id, |token| token.subject.as_ref()))
        .unwrap_or_else(|| are_known_accounts(stored, &stored_all, &granted_all));
    !is_same
}

/// Returns the claims of those tokens that have any. An access token may have those of an id token.
fn claims<const N: usize>(tokens: [Option<&Secret>; N]) -> Vec<IdTokenClaims> {
    tokens.into_iter().flatten().filter_map(|token| IdTokenClaims::parse(token.expose())).collect()
}

/// Returns whether the granted tokens name one value of a claim, the value that the stored tokens
/// name. Returns none if one side does not name any.
fn agree<'a, T: PartialEq + 'a>(
    stored: &'a [IdTokenClaims],
    granted: &'a [IdTokenClaims],
    claim: impl Fn(&'a IdTokenClaims) -> Option<&'a T>,
) -> Option<bool> {
    let stored: Vec<_> = stored.iter().filter_map(&claim).collect();
    let mut granted = granted.iter().filter_map(&claim);
    let named = granted.next()?;
    if granted.any(|other| other != named) {
        return Some(false);
    }
    (!stored.is_empty()).then(|| stored.iter().all(|known| *known == named))
}

/// Returns whether the record knows each account that the granted tokens name, or knows none.
fn are_known_accounts(
    stored: &TokenData,
    stored_claims: &[IdTokenClaims],
    granted: &[IdTokenClaims],
) -> bool {
    let claimed = stored_claims.iter().filter_map(|token| token.account_id.as_ref());
    let known: Vec<_> = stored.account_id.iter().chain(claimed).collect();
    let mut granted = granted.iter().filter_map(|token| token.account_id.as_ref());
    known.is_empty() || granted.all(|account| known.contains(&account))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    const NONE: (&str, &str, &str) = ("", "", "");

    /// A token that names this user, account and subject; an empty text leaves a claim out.
    fn token((user, account, subject): (&str, &str, &str)) -> Secret {
        let known = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
        let claims = json!({
            "iss": "i",
            "sub": known(subject),
            "https://api.openai.com/auth": {
                "chatgpt_user_id": known(user), "chatgpt_account_id": known(account)
            }
        });
        Secret::new(format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string())))
    }

    #[test]
    fn the_user_decides_then_the_subject_then_the_account() {
        let login = ("u", "a", "s");
        for (stored, id, access, expected) in [
            // Nothing new to compare.
            ([login, NONE], None, Some(NONE), false),
            ([login, NONE], Some(NONE), Some(NONE), false),
            ([NONE, NONE], Some(login), Some(login), false),
            // The access token alone shows it.
            ([login, NONE], None, Some(("v", "b", "")), true),
            ([login, NONE], Some(NONE), Some(("v", "a", "")), true),
            ([NONE, login], None, Some(("v", "", "")), true),
            // A switch of the workspace, whichever the reply names.
            ([login, ("u", "b", "")], Some(login), Some(("u", "b", "")), false),
            ([login, NONE], Some(("u", "b", "s")), Some(("u", "c", "")), false),
            ([("", "a", "s"), NONE], Some(("", "b", "s")), None, false),
            // Two users in one reply.
            ([NONE, NONE], Some(("u", "a", "")), Some(("v", "a", "")), true),
            ([login, NONE], Some(login), Some(("v", "a", "")), true),
            // A subject counts where no user is known, and in id tokens only: it may be pairwise.
            ([login, NONE], Some(("u", "a", "t")), None, false),
            ([("", "a", "s"), NONE], Some(("", "a", "t")), None, true),
            ([("", "a", "s"), NONE], None, Some(("", "a", "t")), false),
            // No user is known.
            ([("", "a", ""), NONE], None, Some(("", "b", "")), true),
            ([("", "a", ""), ("", "b", "")], None, Some(("", "b", "")), false),
            ([("", "a", ""), NONE], Some(("", "a", "")), Some(("", "b", "")), true),
        ] {
            let [id_token, access_token] = stored.map(token);
            let tokens = TokenData { id_token, access_token, ..TokenData::default() };
            let (id_token, access_token) = (id.map(token), access.map(token));
            let grant = Grant { id_token, access_token, ..Grant::default() };
            let found = is_of_another_login(&tokens, &grant);
            assert_eq!(found, expected, "{stored:?} {id:?} {access:?}");
        }
    }

    #[test]
    fn the_workspace_of_the_record_is_known_too() {
        let tokens = TokenData {
            id_token: token(("", "a", "")),
            access_token: Secret::new("opaque"),
            account_id: Some("b".to_owned()),
            ..TokenData::default()
        };
        for (account, expected) in [("a", false), ("b", false), ("c", true)] {
            let access_token = Some(token(("", account, "")));
            let grant = Grant { access_token, ..Grant::default() };
            assert_eq!(is_of_another_login(&tokens, &grant), expected, "{account}");
        }
    }
}

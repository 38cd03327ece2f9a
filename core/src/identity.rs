//! The owner of a login, and whether two records are one login.

use crate::auth_dot_json::TokenData;
use crate::claims::IdTokenClaims;

/// What is known of the owner of a login: the workspace and the user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    account_id: Option<String>,
    chatgpt_user_id: Option<String>,
    user_id: Option<String>,
    subject: Option<(String, String)>,
}

/// How two identities compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdentityMatch {
    /// At least one claim is known on both sides, and none differs.
    Same,
    /// A claim that both sides know differs.
    Different,
    /// No claim is known on both sides.
    Unknown,
}

impl Identity {
    /// Returns the identity of the login with `tokens`.
    pub(crate) fn of_tokens(tokens: &TokenData) -> Self {
        let claims = IdTokenClaims::parse(tokens.id_token.expose()).unwrap_or_default();
        Self::of(tokens, &claims)
    }

    pub(crate) fn of(tokens: &TokenData, claims: &IdTokenClaims) -> Self {
        Self {
            account_id: tokens.account_id.clone().or_else(|| claims.account_id.clone()),
            chatgpt_user_id: claims.chatgpt_user_id.clone(),
            user_id: claims.user_id.clone(),
            subject: claims.subject.clone(),
        }
    }

    /// Returns the id of the workspace: `tokens.account_id`, else the claim of the id token.
    pub(crate) fn account_id(&self) -> Option<&str> {
        self.account_id.as_deref()
    }

    /// Returns the id of the user: `chatgpt_user_id`, else `user_id`, else `sub`.
    pub(crate) fn user_id(&self) -> Option<&str> {
        let subject = self.subject.as_ref().map(|(_, sub)| sub);
        self.chatgpt_user_id.as_ref().or(self.user_id.as_ref()).or(subject).map(String::as_str)
    }

    /// Compares two identities claim by claim. `iss` and `sub` count only if no user id is known on
    /// both sides: they differ if one user signs in in two ways.
    pub(crate) fn compare(&self, other: &Self) -> IdentityMatch {
        let users = [
            same(self.chatgpt_user_id.as_ref(), other.chatgpt_user_id.as_ref()),
            same(self.user_id.as_ref(), other.user_id.as_ref()),
        ];
        let subject =
            same(self.subject.as_ref(), other.subject.as_ref()).filter(|_| users == [None, None]);
        let account = same(self.account_id.as_ref(), other.account_id.as_ref());
        let known = || users.into_iter().chain([account, subject]).flatten();
        if known().any(|same| !same) {
            IdentityMatch::Different
        } else if known().any(|same| same) {
            IdentityMatch::Same
        } else {
            IdentityMatch::Unknown
        }
    }
}

fn same<T: PartialEq>(left: Option<T>, right: Option<T>) -> Option<bool> {
    left.zip(right).map(|(left, right)| left == right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(account: &str, user: &str, sub: &str) -> Identity {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Identity {
            account_id: known(account),
            chatgpt_user_id: known(user),
            user_id: None,
            subject: known(sub).map(|sub| ("iss".to_owned(), sub)),
        }
    }

    #[test]
    fn one_differing_claim_is_another_login() {
        use IdentityMatch::{Different, Same, Unknown};
        for (left, right, expected) in [
            (("a", "u", "s"), ("a", "u", "s"), Same),
            (("a", "u", "s"), ("b", "u", "s"), Different),
            (("a", "u", ""), ("a", "v", ""), Different),
            (("a", "u", "s"), ("a", "u", "t"), Same),
            (("a", "", "s"), ("a", "", "t"), Different),
            (("a", "u", ""), ("a", "", "s"), Same),
            (("a", "", ""), ("", "u", "s"), Unknown),
            (("", "", ""), ("", "", ""), Unknown),
        ] {
            let left = identity(left.0, left.1, left.2);
            let right = identity(right.0, right.1, right.2);
            assert_eq!(left.compare(&right), expected, "{left:?} {right:?}");
            assert_eq!(right.compare(&left), expected);
        }
    }
}

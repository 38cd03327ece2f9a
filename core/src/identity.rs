//! Whose a login is and for which workspace it is, and how two logins relate.

use crate::auth_dot_json::TokenData;
use crate::claims::IdTokenClaims;
#[cfg(all(unix, feature = "cli"))]
use crate::secret::Fingerprint;

/// What is known of the owner of a login, and of its workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    workspace: Option<String>,
    chatgpt_user_id: Option<String>,
    user_id: Option<String>,
    login_owner_id: Option<String>,
    subject: Option<(String, String)>,
    oddity: Option<Oddity>,
}

/// How one login relates to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    /// They are one login, for one workspace.
    Same,
    /// They are one login. Another program has switched its workspace.
    OtherWorkspace,
    /// They are two logins.
    OtherLogin,
    /// Nothing shows whether they are one login.
    Unknown,
}

impl Relation {
    /// Returns whether both are known to be one login, whatever their workspaces.
    pub(crate) const fn is_same_login(self) -> bool {
        matches!(self, Self::Same | Self::OtherWorkspace)
    }
}

/// What is odd about the tokens of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Oddity {
    /// The id token and the access token name two users, so the record is no user's.
    TwoUsers,
    /// The tokens name accounts, and none of them is the workspace of the record. It was set by
    /// hand, or an old program has put the tokens into the record of another account.
    UnnamedWorkspace,
}

impl Identity {
    /// Returns the identity of the login with `tokens`.
    pub(crate) fn of_tokens(tokens: &TokenData) -> Self {
        let claims = IdTokenClaims::parse(tokens.id_token.expose()).unwrap_or_default();
        Self::of(tokens, &claims)
    }

    /// Returns the identity of the login with `tokens`, whose id token has the claims `id`.
    pub(crate) fn of(tokens: &TokenData, id: &IdTokenClaims) -> Self {
        let access = IdTokenClaims::parse(tokens.access_token.expose()).unwrap_or_default();
        let first = |one: &Option<String>, other: &Option<String>| one.clone().or(other.clone());
        Self {
            workspace: first(&tokens.account_id, &first(&access.account_id, &id.account_id)),
            chatgpt_user_id: first(&id.chatgpt_user_id, &access.chatgpt_user_id),
            user_id: first(&id.user_id, &access.user_id),
            login_owner_id: tokens.login_owner_id(),
            subject: id.subject.clone(),
            oddity: oddity(tokens, id, &access),
        }
    }

    /// Returns the id of the workspace: `tokens.account_id`, else the claim of the access token,
    /// else that of the id token.
    pub(crate) fn workspace(&self) -> Option<&str> {
        self.workspace.as_deref()
    }

    /// Returns the id of the user: `chatgpt_user_id`, else `user_id`, else `sub`.
    pub(crate) fn user_id(&self) -> Option<&str> {
        let subject = self.subject.as_ref().map(|(_, sub)| sub);
        self.chatgpt_user_id.as_ref().or(self.user_id.as_ref()).or(subject).map(String::as_str)
    }

    /// Returns a name for the login, whatever its workspace is: programs without its refresh token tell
    /// it from others by that. None if nothing is known of its owner.
    #[cfg(all(unix, feature = "cli"))]
    pub(crate) fn login_id(&self) -> Option<Fingerprint> {
        let owner = self.user_id().map(|user| format!("user {user}"));
        let owner = owner.or(self.login_owner_id.as_ref().map(|id| format!("login {id}")));
        let owner = owner.or(self.workspace().map(|id| format!("account {id}")));
        owner.map(|owner| Fingerprint::of(owner.as_bytes()))
    }

    /// Returns what is odd about the tokens.
    pub(crate) fn oddity(&self) -> Option<Oddity> {
        self.oddity
    }

    /// Returns how this login relates to `other`. `is_one_line` says whether both have one refresh
    /// token, or one of the two tokens descends from the other; it is asked only if the users do
    /// not decide.
    pub(crate) fn relation(&self, other: &Self, is_one_line: impl FnOnce() -> bool) -> Relation {
        let is_same_login = self
            .is_same_user(other)
            .or_else(|| is_one_line().then_some(true))
            .or_else(|| same(self.login_owner_id.as_ref(), other.login_owner_id.as_ref()))
            .or_else(|| same(self.subject.as_ref(), other.subject.as_ref()))
            .or_else(|| self.is_same_account(other));
        match is_same_login {
            None => Relation::Unknown,
            Some(false) => Relation::OtherLogin,
            Some(true) if self.is_elsewhere(other) => Relation::OtherWorkspace,
            Some(true) => Relation::Same,
        }
    }

    /// Returns whether both workspaces are known and differ.
    pub(crate) fn is_elsewhere(&self, other: &Self) -> bool {
        same(self.workspace(), other.workspace()) == Some(false)
    }

    /// Compares the users; none if one side names none.
    fn is_same_user(&self, other: &Self) -> Option<bool> {
        let users = [
            same(self.chatgpt_user_id.as_ref(), other.chatgpt_user_id.as_ref()),
            same(self.user_id.as_ref(), other.user_id.as_ref()),
        ];
        users.into_iter().flatten().reduce(|one, other| one && other)
    }

    /// Compares the accounts; none if one side names none, or if one side names a user.
    fn is_same_account(&self, other: &Self) -> Option<bool> {
        let names_user = |known: &Self| known.chatgpt_user_id.is_some() || known.user_id.is_some();
        let is_all = !names_user(self) && !names_user(other);
        same(self.workspace(), other.workspace()).filter(|_| is_all)
    }
}

/// Returns what is odd about `tokens`, whose id token and access token have these claims. A subject
/// may be pairwise (OpenID Connect), so two of them may be one user's.
fn oddity(tokens: &TokenData, id: &IdTokenClaims, access: &IdTokenClaims) -> Option<Oddity> {
    let users = [
        same(id.chatgpt_user_id.as_ref(), access.chatgpt_user_id.as_ref()),
        same(id.user_id.as_ref(), access.user_id.as_ref()),
    ];
    if users.contains(&Some(false)) {
        return Some(Oddity::TwoUsers);
    }
    let workspace = tokens.account_id.as_ref()?;
    let mut named = [&id.account_id, &access.account_id].into_iter().flatten().peekable();
    let is_unnamed = named.peek().is_some() && named.all(|account| account != workspace);
    is_unnamed.then_some(Oddity::UnnamedWorkspace)
}

fn same<T: PartialEq>(left: Option<T>, right: Option<T>) -> Option<bool> {
    left.zip(right).map(|(left, right)| left == right)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;
    use crate::secret::Secret;

    /// A token that names this user and account; an empty text leaves a claim out.
    fn token(user: &str, account: &str) -> Secret {
        let known = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
        let claims = json!({
            "https://api.openai.com/auth": {
                "chatgpt_user_id": known(user), "chatgpt_account_id": known(account)
            }
        });
        Secret::new(format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string())))
    }

    fn known(text: &str) -> Option<String> {
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn identity(account: &str, user: &str, sub: &str, owner: &str) -> Identity {
        Identity {
            workspace: known(account),
            chatgpt_user_id: known(user),
            login_owner_id: known(owner),
            subject: known(sub).map(|sub| ("iss".to_owned(), sub)),
            ..Identity::default()
        }
    }

    #[test]
    fn the_first_that_is_known_of_both_decides_whose_a_login_is() {
        use Relation::{OtherLogin, OtherWorkspace, Same, Unknown};
        for (left, right, is_one_line, expected) in [
            // The users.
            (("a", "u", "s", "o"), ("a", "u", "t", "p"), false, Same),
            (("a", "u", "s", "o"), ("b", "u", "s", "o"), false, OtherWorkspace),
            (("a", "u", "s", "o"), ("a", "v", "s", "o"), true, OtherLogin),
            // The refresh token.
            (("a", "u", "s", "o"), ("a", "", "t", "p"), true, Same),
            (("a", "", "s", ""), ("b", "", "t", ""), true, OtherWorkspace),
            (("", "", "", ""), ("", "u", "", ""), true, Same),
            // The name of the login.
            (("a", "u", "s", "o"), ("b", "", "t", "o"), false, OtherWorkspace),
            (("a", "", "s", "o"), ("a", "", "s", "p"), false, OtherLogin),
            // The subject.
            (("a", "u", "s", ""), ("b", "", "s", "o"), false, OtherWorkspace),
            (("a", "", "s", ""), ("a", "", "t", ""), false, OtherLogin),
            // The account, if no user is known.
            (("a", "", "s", ""), ("a", "", "", ""), false, Same),
            (("a", "", "", ""), ("b", "", "", ""), false, OtherLogin),
            (("a", "u", "s", ""), ("a", "", "", ""), false, Unknown),
            (("a", "u", "s", ""), ("b", "", "", ""), false, Unknown),
            (("a", "", "", ""), ("", "", "s", "o"), false, Unknown),
            (("", "", "", ""), ("", "", "", ""), false, Unknown),
        ] {
            let left = identity(left.0, left.1, left.2, left.3);
            let right = identity(right.0, right.1, right.2, right.3);
            assert_eq!(left.relation(&right, || is_one_line), expected, "{left:?} {right:?}");
            assert_eq!(right.relation(&left, || is_one_line), expected);
        }
    }

    #[test]
    fn the_workspace_is_the_records_then_the_access_tokens_then_the_id_tokens() {
        use Oddity::{TwoUsers, UnnamedWorkspace};
        for (record, access, id, workspace, odd) in [
            ("a", ("u", "a"), ("u", "a"), "a", None),
            ("", ("u", "b"), ("u", "a"), "b", None),
            ("", ("", ""), ("u", "a"), "a", None),
            // A switched workspace.
            ("b", ("u", "b"), ("u", "a"), "b", None),
            ("b", ("u", "a"), ("u", "b"), "b", None),
            ("c", ("u", "b"), ("u", "a"), "c", Some(UnnamedWorkspace)),
            ("c", ("", ""), ("u", "a"), "c", Some(UnnamedWorkspace)),
            ("c", ("", ""), ("", ""), "c", None),
            ("a", ("v", "a"), ("u", "a"), "a", Some(TwoUsers)),
            ("c", ("v", "a"), ("u", "a"), "c", Some(TwoUsers)),
            ("a", ("v", "a"), ("", "a"), "a", None),
        ] {
            let tokens = TokenData {
                access_token: token(access.0, access.1),
                id_token: token(id.0, id.1),
                account_id: known(record),
                ..TokenData::default()
            };
            let found = Identity::of_tokens(&tokens);
            assert_eq!((found.workspace(), found.oddity()), (Some(workspace), odd), "{tokens:?}");
        }
    }
}

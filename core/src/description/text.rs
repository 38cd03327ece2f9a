//! A description as text, a line a thing.

use std::fmt::{self, Display, Formatter};

use super::{
    ChosenBy, Description, KeyringPlace, LedgerDescription, LockPlace, LockPurpose,
    LoginDescription, Place, StoreDescription, StorePlaces, TokenState,
};

/// A value, or that there is none.
struct Known<T>(Option<T>);

impl<T: Display> Display for Known<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("not known"),
        }
    }
}

impl Display for Description {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "codex-auth-sdk {}, described at {}", self.library, self.described_at)?;
        write!(f, "{}{}", self.store, self.places)?;
        match &self.login {
            Some(login) => login.fmt(f)?,
            None => writeln!(f, "login: none in memory")?,
        }
        writeln!(f, "refresh: {}", self.refresh)?;
        if let Some(pin) = &self.pinned_account_id {
            writeln!(f, "pinned workspace: {pin}")?;
        }
        let ahead = self.clock_ahead_seconds.map(|ahead| format!("ahead by {ahead} s"));
        writeln!(f, "clock: {}", Known(ahead))?;
        writeln!(f, "unsaved tokens: {}", if self.pending_save { "yes" } else { "no" })?;
        f.write_str("left out: all tokens and keys, the email address")
    }
}

impl Display for StoreDescription {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "store: {} ({}), {}", self.kind, self.chosen_by, self.location)?;
        let Some(holder) = self.holder else { return Ok(()) };
        write!(f, "  holds the login: {holder}")?;
        match &self.holder_reason {
            Some(reason) => writeln!(f, ", since {reason}"),
            None => writeln!(f),
        }
    }
}

impl Display for ChosenBy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Option => "by an option",
            Self::Environment => "by an environment variable",
            Self::Memory => "since this process has a login in memory",
            Self::Config => "by the Codex CLI's config.toml",
            Self::Default => "by default",
        })
    }
}

impl Display for StorePlaces {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let places = [
            ("home", &self.home),
            ("auth.json", &self.auth_json),
            ("encrypted file", &self.encrypted_file),
        ];
        for (name, place) in places {
            if let Some(place) = place {
                writeln!(f, "{name}: {place}")?;
            }
        }
        if let Some(item) = &self.keyring {
            writeln!(f, "keyring: {item}")?;
        }
        if let Some(path) = &self.ledger {
            writeln!(f, "ledger: {path}")?;
        }
        self.locks.iter().try_for_each(|lock| writeln!(f, "{lock}"))?;
        match &self.problem {
            Some(problem) => writeln!(f, "not described: {problem}"),
            None => Ok(()),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.resolved != self.path {
            write!(f, " -> {}", self.resolved)?;
        }
        if self.is_link {
            f.write_str(", a link")?;
        }
        if self.is_mount_point {
            f.write_str(", a mount point")?;
        }
        if !self.is_there {
            f.write_str(", not there")?;
        }
        if let Some(mode) = &self.mode {
            write!(f, ", mode {mode}")?;
        }
        if let (Some(owner), Some(group)) = (self.owner, self.group) {
            write!(f, ", owner {owner}, group {group}")?;
        }
        Ok(())
    }
}

impl Display for KeyringPlace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {}: ", self.service, self.account)?;
        match (&self.problem, self.is_there) {
            (Some(problem), _) => write!(f, "not reached: {problem}"),
            (None, true) => f.write_str("there"),
            (None, false) => f.write_str("reached, and there is no such item"),
        }
    }
}

impl Display for LockPlace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let purpose = match self.purpose {
            LockPurpose::Refresh => "refreshes",
            LockPurpose::Save => "saves",
        };
        write!(f, "lock of {purpose}: {}, ", self.path)?;
        match &self.holder {
            Some(holder) => write!(f, "held by {holder}"),
            None => f.write_str("no holder is seen"),
        }
    }
}

impl Display for LoginDescription {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (account, user) = (Known(self.account_id.as_ref()), Known(self.user_id.as_ref()));
        let plan = Known(self.plan_type.as_ref());
        writeln!(f, "login: {}, workspace {account}, user {user}, plan {plan}", self.mode)?;
        let end = if self.is_expired { "ended" } else { "ends" };
        write!(f, "  access token: {end}: {}", Known(self.expires_at))?;
        match self.due_at {
            Some(due) => writeln!(f, ", refreshed ahead of time from: {due}")?,
            None => writeln!(f, ", not refreshed ahead of time")?,
        }
        writeln!(f, "  stored: {}", Known(self.last_refresh))?;
        match &self.ledger {
            Some(ledger) => ledger.fmt(f),
            None => writeln!(f, "  refresh token: none"),
        }
    }
}

impl Display for LedgerDescription {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("  refresh token: ")?;
        match self.state {
            TokenState::Good => f.write_str("nothing is known against it"),
            TokenState::InDoubt => f.write_str("in doubt"),
            TokenState::Resting => write!(f, "rests until {}", Known(self.not_before)),
            TokenState::Spent => f.write_str("spent"),
            TokenState::Refused => write!(f, "refused ({})", Known(self.refused)),
        }?;
        match (self.refreshed_at, &self.refreshed_by) {
            (Some(at), Some(by)) => writeln!(f, "; got by {by} at {at}"),
            _ => writeln!(f, "; it is not known which program got it"),
        }
    }
}

//! A login in a few words, without its tokens.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::console::printable;
use super::moment;
use crate::CodexAuth;

/// Whose a login is, and until when its access token works.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    mode: &'static str,
    account_id: Option<String>,
    user_id: Option<String>,
    email: Option<String>,
    plan_type: Option<String>,
    is_fedramp: bool,
    pub(super) expires_at: Option<DateTime<Utc>>,
}

impl Summary {
    pub(super) fn of(auth: &CodexAuth) -> Self {
        Self {
            mode: auth.mode().as_str(),
            account_id: auth.account_id().map(str::to_owned),
            user_id: auth.user_id().map(str::to_owned),
            email: auth.email().map(str::to_owned),
            plan_type: auth.plan_type().map(str::to_owned),
            is_fedramp: auth.is_fedramp(),
            expires_at: auth.expires_at(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.email.as_ref().or(self.user_id.as_ref());
        f.write_str(&user.map_or_else(|| format!("mode {}", self.mode), |user| printable(user)))?;
        if let Some(id) = &self.account_id {
            write!(f, ", workspace {}", printable(id))?;
        }
        if let Some(plan) = &self.plan_type {
            write!(f, ", plan {}", printable(plan))?;
        }
        match self.expires_at {
            Some(end) => write!(f, "; the access token ends {}", moment::relative(end, Utc::now())),
            None => Ok(()),
        }
    }
}

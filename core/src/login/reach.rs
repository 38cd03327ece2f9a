//! Asks the authorization server what time it is. Its answer also shows that it can be reached.

use std::sync::Arc;

use chrono::TimeDelta;

use super::sign_in::SignIn;
use crate::clock::Skew;
use crate::error::Result;
use crate::tasks;

impl SignIn {
    /// Returns by how much the wall clock of this machine is ahead of that of the token endpoint of
    /// refreshes; none if its answer has no date. No token is sent.
    ///
    /// # Errors
    ///
    /// `login_transient` if the server does not answer.
    pub(crate) async fn clock_ahead(self: &Arc<Self>) -> Result<Option<TimeDelta>> {
        let sign_in = Arc::clone(self);
        let ask = async move {
            let environment = &sign_in.state.environment;
            let asked_at = environment.moment();
            let date = sign_in.server.date().await?;
            let now = environment.moment();
            Ok(date.and_then(|date| Skew::measured(date, &asked_at, &now).ahead(&now)))
        };
        tasks::run_read(&self.state.environment, ask).await?
    }
}

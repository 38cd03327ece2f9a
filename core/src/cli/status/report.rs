//! All that `status` finds out.

use serde::Serialize;

use super::problem::Problem;
use super::server::Server;
use crate::Description;

#[derive(Serialize)]
pub(super) struct Report {
    pub(super) description: Description,
    /// The version of the Codex CLI that a shell would start; none if it is not known.
    pub(super) codex_cli: Option<String>,
    /// What the server has answered; none if it was not asked.
    pub(super) server: Option<Server>,
    pub(super) problems: Vec<Problem>,
    /// The user's email address, for the user only: a report as JSON is made to be passed on.
    #[serde(skip)]
    pub(super) email: Option<String>,
}

//! `rekey`: the first key for each login of a database.

use super::arguments::Rekey;
use super::console;
use super::failure::{Exit, Failure, Result};
use crate::Secret;
use crate::environment::Environment;
use crate::storage::{PostgresLogins, Rekeyed};

pub(super) async fn rekey(arguments: &Rekey) -> Result {
    let url = Secret::new(arguments.url.as_str());
    let rekeyed = PostgresLogins::at(&url, Environment::default())?.rekey().await?;
    for error in &rekeyed.closed {
        console::complain(&error.to_string());
    }
    let Rekeyed { done, claimed, changed, closed } = &rekeyed;
    console::print(format_args!(
        "Encrypted anew: {done}. Left to another run: {claimed} that are being refreshed, {changed} \
         that other programs have just changed. Opened by no key: {}.",
        closed.len()
    ))?;
    match (closed.len(), rekeyed.left()) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::Reported(Exit::TryAgainLater)),
        _ => Err(Failure::Reported(Exit::Failed)),
    }
}

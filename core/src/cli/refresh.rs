//! `refresh`: gets a new access token, as after a 401.

use super::console;
use super::failure::{Failure, Result};
use super::summary::Summary;
use crate::{AuthManagerBuilder, UnauthorizedRecoveryDecision};

pub(super) async fn refresh(builder: AuthManagerBuilder) -> Result {
    let manager = builder.build().await?;
    let old = manager.auth().ok_or_else(Failure::not_signed_in)?;
    let recovery = manager.unauthorized_recovery();
    match manager.recover_from_unauthorized(&old, &recovery).await? {
        UnauthorizedRecoveryDecision::Retry => {
            let new = manager.auth().ok_or_else(Failure::not_signed_in)?;
            Ok(console::print(format_args!("Refreshed: {}", Summary::of(&new)))?)
        }
        UnauthorizedRecoveryDecision::GiveUp(reason) => Err(Failure::GivenUp(reason)),
    }
}

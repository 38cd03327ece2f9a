//! `export`: a copy of the login that cannot be refreshed.

use super::arguments::Export;
use super::console;
use super::failure::Result;
use super::fresh::fresh_login;
use super::summary::Summary;
use crate::AuthManagerBuilder;
use crate::storage::access_copy::AccessCopy;

pub(super) async fn export(builder: AuthManagerBuilder, arguments: &Export) -> Result {
    let auth = fresh_login(builder).await?;
    let file = &arguments.access_only;
    AccessCopy::of(&auth)?.write(file)?;
    Ok(console::print(format_args!("Wrote {}: {}", file.display(), Summary::of(&auth)))?)
}

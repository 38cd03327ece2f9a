//! `token`: prints the access token. No other subcommand prints one.

use chrono::{TimeDelta, Utc};
use serde::Serialize;

use super::arguments::Token;
use super::failure::{Failure, Result};
use super::fresh::fresh_login;
use super::summary::Summary;
use super::{console, moment};
use crate::{AuthManagerBuilder, Secret};

#[derive(Serialize)]
struct Report<'a> {
    access_token: &'a Secret,
    #[serde(flatten)]
    login: Summary,
}

pub(super) async fn print(builder: AuthManagerBuilder, arguments: &Token) -> Result {
    let builder = match arguments.min_valid {
        Some(window) => builder.refresh_window(window),
        None => builder,
    };
    let auth = fresh_login(builder).await?;
    // This fails if there is no token, or if no header can carry it.
    auth.headers()?;
    let access_token = auth.access_token().ok_or_else(Failure::not_signed_in)?;
    let login = Summary::of(&auth);
    warn_of_a_short_life(&login, arguments);
    if arguments.json {
        console::print_json(&Report { access_token, login })?;
    } else {
        console::print_secret(access_token)?;
    }
    Ok(())
}

fn warn_of_a_short_life(login: &Summary, arguments: &Token) {
    let asked = arguments.min_valid.and_then(|asked| TimeDelta::from_std(asked).ok());
    let left = login.expires_at.map(|end| end - Utc::now());
    if let Some((left, asked)) = left.zip(asked).filter(|(left, asked)| left < asked) {
        console::warn(&format!(
            "the token ends in {}, sooner than the {} that --min-valid asks for; no token that lasts \
             longer can be had now",
            moment::length(left),
            moment::length(asked)
        ));
    }
}

//! `move`: a login from one store to another.

use serde::Serialize;

use super::arguments::{Move, Which};
use super::console;
use super::failure::Result;
use super::summary::Summary;
use crate::environment::Environment;
use crate::login::{Relocation, relocate};
use crate::storage::{MoveIdFile, Place};

#[derive(Serialize)]
struct Report<'a> {
    from: &'a str,
    to: &'a str,
    #[serde(flatten)]
    login: Summary,
}

pub(super) async fn relocate_login(which: Which, arguments: &Move) -> Result {
    let home = which.home_alone()?;
    let environment = Environment::default();
    let from = Place::open(&arguments.from, &home, &environment)?;
    let to = Place::open(&arguments.to, &home, &environment)?;
    let (old, new) = (from.location(), to.location());
    let id = MoveIdFile::of(&home, [&from, &to], &environment);
    let completes_in_doubt = arguments.complete;
    let relocation = Relocation { from, to, id, completes_in_doubt, environment };
    let login = Summary::of(&relocate(relocation).await?);
    if arguments.json {
        return Ok(console::print_json(&Report { from: &old, to: &new, login })?);
    }
    Ok(console::print(format_args!("Moved from {old} to {new}: {login}"))?)
}

//! The id of a move, in the home of the command that has begun it. The login that waits has the id too. A
//! command on another machine, whose places may have the same names, sees by the id that it has not begun
//! this move.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::file_error::{unreadable, unwritable};
use super::home::Home;
use super::parking::{FOLDER, Place};
use super::plain_file::{self, Links};
use super::postgres::unique_name;
use super::{ownership, temp_file};
use crate::environment::Environment;
use crate::error::Result;
use crate::secret::Fingerprint;

/// More than an id has, in bytes.
const LONGEST: u64 = 256;

/// The file with the id of the move from one place to another.
#[derive(Debug, Clone)]
pub(crate) struct MoveIdFile {
    home: Home,
    path: PathBuf,
}

impl MoveIdFile {
    /// The file of the move between these places, in `home`.
    pub(crate) fn of(home: &Path, [from, to]: [&Place; 2], environment: &Environment) -> Self {
        let places = [from.location(), to.location()].join("\n");
        let name = format!("{}.id", Fingerprint::of(places.as_bytes()));
        let home = Home::of(home, environment.clone());
        Self { path: home.path().join(FOLDER).join(name), home }
    }

    /// Returns the id of the move that was begun, if one was.
    ///
    /// # Errors
    ///
    /// `store_unavailable`
    pub(crate) async fn read(&self) -> Result<Option<String>> {
        let path = self.path.clone();
        let read = move || match plain_file::read(&path, LONGEST, Links::Refused) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&path, &error)),
        };
        self.home.calls().make(read).await
    }

    /// Returns the id of the move, which is durable by then: a new one, unless it was begun before.
    ///
    /// # Errors
    ///
    /// `store_unavailable`, `store_read_only`
    pub(crate) async fn read_or_make(&self) -> Result<String> {
        if let Some(id) = self.read().await? {
            return Ok(id);
        }
        let id = unique_name()?;
        self.write(&id).await.map(|()| id)
    }

    /// Notes that the move of this `id` was begun with this home, durably.
    ///
    /// # Errors
    ///
    /// `store_unavailable`, `store_read_only`
    pub(crate) async fn write(&self, id: &str) -> Result<()> {
        let (home, path, id) = (self.home.clone(), self.path.clone(), id.to_owned());
        let write = move || {
            home.create()?;
            write(&path, &id).map_err(|error| unwritable("write", &path, &error))
        };
        self.home.calls().make(write).await
    }

    /// Removes the id. From then on the user is asked about a login that waits.
    ///
    /// # Errors
    ///
    /// `store_unavailable`, `store_read_only`
    pub(crate) async fn remove(&self) -> Result<()> {
        let path = self.path.clone();
        let remove = move || match remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(unwritable("remove", &path, &error))
            }
            _ => Ok(()),
        };
        self.home.calls().make(remove).await
    }
}

fn write(path: &Path, id: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    ownership::make_folder(folder)?;
    let mut temp = temp_file::create(folder)?;
    temp.write_all(id.as_bytes())?;
    temp.as_file().sync_all()?;
    temp_file::put(&mut temp, path)?;
    temp_file::sync_folder(folder)
}

fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)?;
    path.parent().map_or(Ok(()), temp_file::sync_folder)
}

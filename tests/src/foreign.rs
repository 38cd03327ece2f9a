//! Programs on our store that know nothing of us: the real Codex CLI, and scripted ones that do what
//! its releases do.

pub mod at_length;
pub mod changes;
mod program;
pub mod races;
mod release;
mod scene;
pub mod sessions;
mod shared_login;
pub mod torn_reads;
pub mod traced;
pub mod waking;

pub use program::Program;
pub use release::{RELEASES, Release};
pub use scene::{Scene, Script};
pub use shared_login::SharedLogin;

use crate::codex_cli::AppServer;

/// Another program with the same login.
pub trait Rival: Send {
    /// One request of its own, refreshing the login if that is what it takes.
    ///
    /// # Errors
    ///
    /// What it would tell its user.
    fn turn(&mut self) -> Result<(), String>;
}

impl Rival for AppServer {
    fn turn(&mut self) -> Result<(), String> {
        Self::turn(self)
    }
}

impl Rival for Program {
    fn turn(&mut self) -> Result<(), String> {
        Self::turn(self)
    }
}

//! What belongs to one process: the thread of this crate, values, open files, and what happens at
//! the end of the process.
//!
//! A forked child inherits the memory and the open files of its parent, but not its threads. Only
//! this module asks for the id of the process.

mod fork;
mod id;
mod lane;
mod own_file;
mod own_thread;
mod per_process;
mod program;
mod shared;

pub(crate) use self::fork::forks;
pub use self::fork::{ForkHold, after_fork, after_fork_in_parent, before_fork, hold_forks};
pub(crate) use self::id::ProcessId;
pub use self::lane::Lane;
pub(crate) use self::own_file::{OwnFile, file_id};
pub(crate) use self::own_thread::waits_at_exit;
pub use self::own_thread::{expect_finish, expect_unseen_exit, finish, handle, spawn, spawn_read};
pub(crate) use self::per_process::NotInherited;
pub use self::per_process::PerProcess;
pub use self::program::Program;
pub(crate) use self::shared::Shared;

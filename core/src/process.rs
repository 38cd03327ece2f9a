//! What belongs to one process: its own thread, its values, its open files, and its end.
//!
//! A forked child inherits its parent's memory and open files, but not its threads. This module is
//! the only place that asks which process it is in.

mod fork;
mod id;
mod own_file;
mod own_thread;
mod per_process;

pub use self::fork::{ForkHold, after_fork, after_fork_in_parent, before_fork, hold_forks};
pub(crate) use self::id::ProcessId;
pub(crate) use self::own_file::{OwnFile, file_id};
pub use self::own_thread::{finish, handle, spawn, spawn_read};
pub(crate) use self::per_process::NotInherited;
pub use self::per_process::PerProcess;

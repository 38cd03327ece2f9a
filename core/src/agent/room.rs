//! How many connections there is room for. Each needs a file descriptor, and so do the login, its locks
//! and the requests to the authorization server.

use std::io;
use std::sync::Once;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most connections of a listener.
const MOST: usize = 512;

/// The part of the file descriptors that all connections together may have: a third.
const SHARE: u64 = 3;

/// Returns how many connections each of so many `listeners` may have, and lets this process open as
/// many files as the system allows it.
pub(super) fn for_each(listeners: usize) -> usize {
    divide(raise_limit(), listeners)
}

/// Returns the room of each of so many `listeners`, of a process that may open `limit` files, if that
/// is limited.
fn divide(limit: Option<u64>, listeners: usize) -> usize {
    let all = limit.map_or(usize::MAX, |limit| (limit / SHARE).try_into().unwrap_or(usize::MAX));
    (all / listeners).clamp(1, MOST)
}

/// Raises the limit of open files to the highest that this process may set, and returns what holds.
fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// Warns, once, that clients wait since this process can open no more files.
pub(super) fn warn_of(error: &io::Error) {
    static WARNED: Once = Once::new();
    if matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE)) {
        WARNED.call_once(|| {
            tracing::warn!(
                "clients of the agent wait, since no more files can be opened: {error}; \
                            raise the limit, as by ulimit -n"
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::heard::warnings_of;
    use super::*;

    #[test]
    fn connections_leave_most_files_to_the_login() {
        for (limit, listeners, expected) in [
            (None, 2, 512),
            (Some(1_048_576), 2, 512),
            (Some(1024), 1, 341),
            (Some(1024), 2, 170),
            (Some(2), 2, 1),
        ] {
            assert_eq!(divide(limit, listeners), expected, "{limit:?} {listeners}");
        }
    }

    #[test]
    fn as_many_files_as_may_be_are_open_to_it() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let limit = Rlimit { current: Some(256), maximum };
        setrlimit(Resource::Nofile, limit).expect("lowered");
        assert_eq!(raise_limit(), maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }

    #[test]
    fn a_want_of_files_is_warned_of_once() {
        let warnings = warnings_of(|| {
            warn_of(&io::ErrorKind::ConnectionAborted.into());
            warn_of(&Errno::MFILE.into());
            warn_of(&Errno::MFILE.into());
        });
        assert!(matches!(&*warnings, [one] if one.contains("ulimit -n")), "{warnings:?}");
    }
}

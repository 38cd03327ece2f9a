//! Files that another program holds open and does not share. On Windows no other program can open,
//! replace or remove such a file, and virus scanners and indexers hold what was just written, for
//! moments.

use std::io;
use std::thread;
use std::time::Duration;

/// How often a call is repeated. Each pause is twice as long as the one before, a second in all.
const MOST_REPEATS: u32 = 10;

/// Windows' numbers of errors: access denied, sharing violation, lock violation.
const ACCESS_DENIED: i32 = 5;
const NOT_SHARED: [i32; 2] = [32, 33];

/// Makes `call`, again for about a second where another program may hold its file. The thread
/// waits: that is for milliseconds, as a slow disk is.
#[expect(
    clippy::disallowed_methods,
    reason = "the caller holds locks, and Windows reports no release"
)]
pub(super) fn wait<T>(call: impl Fn() -> io::Result<T>) -> io::Result<T> {
    for repeat in 0..MOST_REPEATS {
        match call() {
            Err(error) if may_be_held(&error) => thread::sleep(Duration::from_millis(1 << repeat)),
            answer => return answer,
        }
    }
    call()
}

/// Makes `call`, which replaces or removes a file that this user may write, as [`wait`] does. Where
/// access is denied then, another program holds the file.
pub(super) fn wait_to_replace<T>(call: impl Fn() -> io::Result<T>) -> io::Result<T> {
    wait(call).map_err(|error| {
        if may_be_held(&error) { io::Error::from_raw_os_error(NOT_SHARED[0]) } else { error }
    })
}

/// Returns whether another program holds the file and does not share it.
pub(super) fn is_held(error: &io::Error) -> bool {
    cfg!(windows) && error.raw_os_error().is_some_and(|number| NOT_SHARED.contains(&number))
}

fn may_be_held(error: &io::Error) -> bool {
    is_held(error) || cfg!(windows) && error.raw_os_error() == Some(ACCESS_DENIED)
}

//! Notifications of the operating system about changes in folders. All tasks of a process share one
//! watcher: Linux grants a user no more than 128 of them by default.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::ModifyKind;
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::background::Signal;
use crate::process::PerProcess;
use crate::storage::Stamp;

static NOTIFICATIONS: PerProcess<Notifications> = PerProcess::new();

#[derive(Debug, Default)]
struct Notifications {
    /// None while no folder is watched. To change it is to wait for the watcher's thread, which
    /// takes the lock in `folders`: take this lock first, and that one for no such change.
    watcher: Mutex<Option<RecommendedWatcher>>,
    folders: Arc<Folders>,
}

/// The watched folders by their real paths.
#[derive(Debug, Default)]
struct Folders(Mutex<HashMap<PathBuf, Watched>>);

#[derive(Debug)]
struct Watched {
    /// Which folder it is; none once the system has stopped watching it.
    identity: Option<Stamp>,
    signals: Vec<Arc<Signal>>,
}

/// Wakes `signal` at each change in the folder at `path`, which is the one with this `identity`.
/// Returns whether that is new: the folder was not watched before, or not for `signal`. Where the
/// system cannot watch it, the log says so once, and the next call tries again.
pub(super) fn join(path: &Path, identity: Stamp, signal: &Arc<Signal>) -> bool {
    NOTIFICATIONS.get_or_default().join(path, identity, signal)
}

/// Ends what [`join`] has begun.
pub(super) fn leave(path: &Path, signal: &Arc<Signal>) {
    if let Some(notifications) = NOTIFICATIONS.get() {
        notifications.leave(path, signal);
    }
}

impl Notifications {
    fn join(&self, path: &Path, identity: Stamp, signal: &Arc<Signal>) -> bool {
        let mut watcher = locked(&self.watcher);
        let is_watched = self.folders.is_watched(path, identity);
        if !is_watched {
            if let Err(error) = self.watch(&mut watcher, path) {
                warn_once(&error);
                self.end_if_unused(&mut watcher);
                return false;
            }
            self.folders.note_watched(path, identity);
        }
        self.folders.add(path, signal) || !is_watched
    }

    fn leave(&self, path: &Path, signal: &Arc<Signal>) {
        let mut watcher = locked(&self.watcher);
        if self.folders.remove(path, signal)
            && let Some(watcher) = &mut *watcher
        {
            // It fails where the folder is gone.
            watcher.unwatch(path).unwrap_or_default();
        }
        self.end_if_unused(&mut watcher);
    }

    fn end_if_unused(&self, watcher: &mut Option<RecommendedWatcher>) {
        if locked(&self.folders.0).is_empty() {
            *watcher = None;
        }
    }

    fn watch(&self, watcher: &mut Option<RecommendedWatcher>, path: &Path) -> notify::Result<()> {
        let folders = Arc::clone(&self.folders);
        let watcher = match watcher {
            Some(watcher) => watcher,
            None => watcher.insert(notify::recommended_watcher(move |event| folders.wake(&event))?),
        };
        // Another folder may have been watched at this path. It fails where none was.
        watcher.unwatch(path).unwrap_or_default();
        watcher.watch(path, RecursiveMode::NonRecursive)
    }
}

impl Folders {
    fn is_watched(&self, path: &Path, identity: Stamp) -> bool {
        locked(&self.0).get(path).is_some_and(|watched| watched.identity == Some(identity))
    }

    fn note_watched(&self, path: &Path, identity: Stamp) {
        let mut folders = locked(&self.0);
        let new = || Watched { identity: None, signals: Vec::new() };
        folders.entry(path.to_owned()).or_insert_with(new).identity = Some(identity);
    }

    /// Returns whether `signal` is new there.
    fn add(&self, path: &Path, signal: &Arc<Signal>) -> bool {
        let mut folders = locked(&self.0);
        let Some(watched) = folders.get_mut(path) else { return false };
        let is_new = !watched.signals.iter().any(|known| Arc::ptr_eq(known, signal));
        if is_new {
            watched.signals.push(Arc::clone(signal));
        }
        is_new
    }

    /// Returns whether no signal is left there.
    fn remove(&self, path: &Path, signal: &Arc<Signal>) -> bool {
        let mut folders = locked(&self.0);
        let Some(watched) = folders.get_mut(path) else { return false };
        watched.signals.retain(|known| !Arc::ptr_eq(known, signal));
        watched.signals.is_empty() && folders.remove(path).is_some()
    }

    /// Wakes those for which `event` may be a change. An access is none: otherwise each read by this
    /// crate would lead to the next one. An error may hide a change of any folder.
    fn wake(&self, event: &notify::Result<Event>) {
        let mut folders = locked(&self.0);
        let event = match event {
            Ok(event) if event.kind.is_access() => return,
            Ok(event) if !event.paths.is_empty() && !event.need_rescan() => event,
            _ => return folders.values().for_each(Watched::wake),
        };
        let is_away =
            matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
        for path in &event.paths {
            if let Some(watched) = path.parent().and_then(|folder| folders.get(folder)) {
                watched.wake();
            }
            if let Some(watched) = folders.get_mut(path) {
                watched.identity = watched.identity.filter(|_| !is_away);
                watched.wake();
            }
        }
    }
}

impl Watched {
    fn wake(&self) {
        self.signals.iter().for_each(|signal| signal.wake());
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn warn_once(error: &notify::Error) {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    // A folder that has gone meanwhile is looked for again.
    let is_gone = matches!(error.kind, ErrorKind::PathNotFound);
    if !is_gone && !IS_SAID.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            %error,
            "the system does not tell of changes in the folder of the login, so what other programs \
             store is noticed up to a second later; on Linux, raise the limits \
             fs.inotify.max_user_instances and fs.inotify.max_user_watches"
        );
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, AccessMode, CreateKind, RemoveKind, RenameMode};

    use super::*;

    /// Two folders that are watched, one in the other, and the signals of their tasks.
    fn watched() -> (Folders, [Arc<Signal>; 2]) {
        let folders = Folders::default();
        let signals: [Arc<Signal>; 2] = std::array::from_fn(|_| Arc::default());
        for (path, signal) in ["/home", "/home/secrets"].into_iter().zip(&signals) {
            folders.note_watched(Path::new(path), Stamp::of(path));
            assert!(folders.add(Path::new(path), signal));
            assert!(!folders.add(Path::new(path), signal), "it is there already");
        }
        (folders, signals)
    }

    async fn woken_by(event: &notify::Result<Event>) -> [bool; 2] {
        let (folders, signals) = watched();
        folders.wake(event);
        let environment = crate::environment::Environment::default();
        let mut woken = [false; 2];
        for (woken, signal) in woken.iter_mut().zip(&signals) {
            *woken = signal.pause(std::time::Duration::ZERO, &environment).await;
        }
        woken
    }

    fn event(kind: EventKind, path: &str) -> notify::Result<Event> {
        Ok(Event::new(kind).add_path(path.into()))
    }

    #[tokio::test]
    async fn a_change_wakes_those_that_watch_its_folder_and_a_read_no_task() {
        let created = EventKind::Create(CreateKind::File);
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        for (event, expected) in [
            (event(created, "/home/auth.json"), [true, false]),
            (event(renamed, "/home/secrets/auth.age"), [false, true]),
            (event(EventKind::Remove(RemoveKind::Folder), "/home/secrets"), [true, true]),
            (event(created, "/elsewhere/auth.json"), [false, false]),
            (event(EventKind::Access(AccessKind::Read), "/home/auth.json"), [false, false]),
            (event(EventKind::Access(AccessKind::Open(AccessMode::Any)), "/home"), [false, false]),
            (Err(notify::Error::generic("overflow")), [true, true]),
            (Ok(Event::new(EventKind::Other)), [true, true]),
        ] {
            assert_eq!(woken_by(&event).await, expected, "{event:?}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_watched_is_no_error_and_is_tried_again() {
        let notifications = Notifications::default();
        let folder = tempfile::tempdir().expect("a folder");
        let (path, signal) = (folder.path().join("home"), Arc::default());
        assert!(!notifications.join(&path, Stamp::of(1), &signal));
        assert!(locked(&notifications.watcher).is_none());
        std::fs::create_dir(&path).expect("a folder");
        assert!(notifications.join(&path, Stamp::of(1), &signal));
        assert!(!notifications.join(&path, Stamp::of(1), &signal), "it is watched already");
        assert!(notifications.join(&path, Stamp::of(2), &signal), "it is another folder");
        assert!(notifications.join(&path, Stamp::of(2), &Arc::default()), "it is another task");
        notifications.leave(&path, &signal);
        assert!(locked(&notifications.watcher).is_some(), "another task watches it");
    }

    #[test]
    fn a_folder_that_was_moved_away_is_watched_anew_where_it_is_back() {
        let (folders, [signal, _]) = watched();
        let (path, identity) = (Path::new("/home"), Stamp::of("/home"));
        assert!(folders.is_watched(path, identity));
        assert!(!folders.is_watched(path, Stamp::of("another folder")));
        folders.wake(&event(EventKind::Modify(ModifyKind::Name(RenameMode::From)), "/home"));
        assert!(!folders.is_watched(path, identity));
        assert!(folders.remove(path, &signal) && !folders.remove(path, &signal));
    }
}

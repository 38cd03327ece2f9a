//! Readers beside a writer that truncates the file in place, as old CLIs do.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::SharedLogin;
use super::program::write_in_parts;
use crate::contender::{Contender, Language};
use crate::torture::Trial;

/// How long the file stays cut at most: well below the second after which it counts as damaged.
const CUT_FOR: Duration = Duration::from_millis(250);

/// What the readers share with the writer.
#[derive(Default)]
struct Progress {
    is_over: AtomicBool,
    /// Half-written files that a simple reader has met.
    torn: AtomicU64,
    /// What ours have read.
    reads: AtomicU64,
}

/// Ends it for all, however one ends.
struct End<'a>(&'a Progress);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

/// Readers in all these languages during so many rotations: nobody is logged out, and no half of a
/// record is one that was damaged.
#[must_use]
pub fn torn_reads(languages: &[Language], rotations: u64) -> Trial {
    let mut trial = Trial::new("a rotation written in place under a tight loop of readers");
    let login = SharedLogin::new(&json!({}));
    let path = login.home().join("auth.json");
    let mut readers: Vec<_> =
        languages.iter().map(|language| login.contender(*language, &json!({}))).collect();
    let progress = Progress::default();
    thread::scope(|scope| {
        scope.spawn(|| progress.meet_torn_files(&path));
        let readers: Vec<_> =
            readers.iter_mut().map(|reader| scope.spawn(|| progress.read_by(reader))).collect();
        let end = End(&progress);
        while trial.tried < rotations && progress.goes_on() {
            let token = format!("a{}", trial.tried);
            let rotated = login.realm().call("rotate", &json!({"token": token}));
            let text = rotated["text"].as_str().expect("a record");
            // Cut short until a reader has met it so, then whole for longer than that.
            let written = write_in_parts(&path, text, || progress.wait(&progress.torn, 2, CUT_FOR));
            written.expect("written");
            progress.wait(&progress.reads, 1, Duration::MAX);
            trial.tried += 1;
        }
        drop(end);
        let ends = readers.into_iter().map(|reader| reader.join().expect("no panic"));
        trial.lost.extend(ends.filter_map(Result::err));
    });
    let (torn, reads) = (progress.torn.into_inner(), progress.reads.into_inner());
    trial.check(torn > 0, || "no half-written file was met, so nothing was tried".to_owned());
    trial.detail = format!("{reads} reads; {torn} half-written files were met");
    trial.check(login.is_live(), || "the stored login is dead".to_owned());
    trial
}

impl Progress {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// Waits until a count has grown by so much, for so long at most.
    fn wait(&self, count: &AtomicU64, growth: u64, longest: Duration) {
        let (start, before) = (Instant::now(), count.load(Ordering::Relaxed));
        let is_awaited = || count.load(Ordering::Relaxed) < before + growth;
        while is_awaited() && start.elapsed() < longest && self.goes_on() {
            thread::yield_now();
        }
    }

    fn meet_torn_files(&self, path: &Path) {
        while self.goes_on() {
            let is_whole = fs::read(path).is_ok_and(|text| text.ends_with(b"}"));
            self.torn.fetch_add(u64::from(!is_whole), Ordering::Relaxed);
        }
    }

    fn read_by(&self, reader: &mut Contender) -> Result<(), String> {
        let _end = End(self);
        while self.goes_on() {
            reader.read();
            let answer = reader.answer();
            let reads = answer["reads"].as_u64();
            let reads = reads.ok_or_else(|| format!("{}: {answer}", reader.language().name()))?;
            self.reads.fetch_add(reads, Ordering::Relaxed);
        }
        Ok(())
    }
}

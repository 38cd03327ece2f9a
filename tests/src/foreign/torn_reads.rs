//! Readers beside a writer that truncates the file in place, as old CLIs do.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::SharedLogin;
use super::program::write_in_parts;
use crate::contender::{Contender, Language};
use crate::torture::Trial;

/// What the readers share with the writer.
#[derive(Default)]
struct Progress {
    is_over: AtomicBool,
    /// Half-written files that a reader of ours that survives nothing has met.
    torn: AtomicU64,
    reads: AtomicU64,
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
        scope.spawn(|| meet_torn_files(&path, &progress));
        let readers: Vec<_> =
            readers.iter_mut().map(|reader| scope.spawn(|| read(reader, &progress))).collect();
        for rotation in 0..rotations {
            let rotated = login.realm().call("rotate", &json!({"token": format!("a{rotation}")}));
            write_until_met(&path, &rotated, &progress);
            trial.tried += 1;
        }
        progress.is_over.store(true, Ordering::Relaxed);
        let ends = readers.into_iter().map(|reader| reader.join().expect("no panic"));
        trial.lost.extend(ends.filter_map(Result::err));
    });
    let (torn, reads) = (progress.torn.into_inner(), progress.reads.into_inner());
    trial.detail = format!("{reads} reads; {torn} half-written files were met");
    trial.check(login.is_live(), || "the stored login is dead".to_owned());
    trial
}

/// Leaves the file empty, then half written, until somebody has met it so.
fn write_until_met(path: &Path, rotated: &Value, progress: &Progress) {
    let text = rotated["text"].as_str().expect("a record");
    let met = || progress.torn.load(Ordering::Relaxed);
    let wait = || {
        let before = met();
        while met() < before + 2 {
            thread::yield_now();
        }
    };
    write_in_parts(path, text, wait).expect("written");
}

fn meet_torn_files(path: &Path, progress: &Progress) {
    while !progress.is_over.load(Ordering::Relaxed) {
        let is_whole = fs::read(path).is_ok_and(|text| text.ends_with(b"}"));
        progress.torn.fetch_add(u64::from(!is_whole), Ordering::Relaxed);
    }
}

fn read(reader: &mut Contender, progress: &Progress) -> Result<(), String> {
    while !progress.is_over.load(Ordering::Relaxed) {
        reader.read();
        let answer = reader.answer();
        let reads = answer["reads"].as_u64();
        let reads = reads.ok_or_else(|| format!("{}: {answer}", reader.language().name()))?;
        progress.reads.fetch_add(reads, Ordering::Relaxed);
    }
    Ok(())
}

//! Replays what the fuzz targets start from, and what once broke them, as an ordinary test.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use codex_auth_tests::hostile;

type Property = fn(&[u8]);

/// The fuzz targets, each with what must hold of its input.
const TARGETS: [(&str, Property); 5] = [
    ("auth_file", hostile::auth_file),
    ("claims", hostile::claims),
    ("names", hostile::names),
    ("reply", hostile::reply),
    ("ledger", hostile::ledger),
];

#[test]
fn whatever_was_written_holds_what_must_hold() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let listed = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(package.join(folder)).expect("the fuzz package");
        let path = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").path();
        let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
        entries.map(|entry| name(&path(entry))).collect()
    };
    let known: BTreeSet<String> = TARGETS.iter().map(|(target, _)| (*target).to_owned()).collect();
    assert_eq!((listed("seeds"), listed("targets")), (known.clone(), known));
    for (target, holds) in TARGETS {
        let seeds = listed(&format!("seeds/{target}"));
        assert!(seeds.len() > 10, "{target} has {} seeds", seeds.len());
        for seed in seeds {
            let input = std::fs::read(package.join("seeds").join(target).join(&seed));
            let input = input.expect("a seed");
            let replayed = catch_unwind(AssertUnwindSafe(|| holds(&input)));
            assert!(replayed.is_ok(), "{target}/{seed}");
        }
    }
}

//! Lists that are written down in several places, and must not differ: the kinds of events, which each
//! language has, and the places that `CONTRIBUTING.md` names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use codex_auth_sdk::Event;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The part of `text` from the first `start` to the `end` that follows.
fn part<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start:?}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end:?} after {start:?}")).0
}

/// The texts in `text` that are between two of `quote`.
fn quoted(text: &str, quote: char) -> Vec<&str> {
    text.split(quote).skip(1).step_by(2).collect()
}

/// The names that begin the items of a list in a documentation comment.
fn items(text: &str) -> Vec<&str> {
    let lines = text.lines().map(|line| line.trim_start_matches([' ', '/']));
    lines
        .filter_map(|line| line.strip_prefix("- `")?.split_once("`:").map(|(name, _)| name))
        .collect()
}

/// The events of `AuthEventMap`, but for the one that only Node has.
fn mapped(text: &str) -> Vec<&str> {
    let lines = part(text, "interface AuthEventMap {", "\n}").lines();
    let names = lines.filter_map(|line| line.split_once(": [").map(|(name, _)| name.trim()));
    names.filter(|name| *name != "close").collect()
}

#[test]
fn every_language_has_every_kind_of_event() {
    let stub = read("bindings-python/python/codex_auth_sdk/_native.pyi");
    let stub = part(&stub, "\nclass Event:", "\n@final");
    let python = read("bindings-python/src/events.rs");
    let map = read("bindings-node/src/auth-events.ts");
    let readme = read("bindings-node/README.md");
    let support = read("tests/node/support.mjs");
    for (place, found) in [
        ("the type of Event.kind in Python", quoted(part(stub, "Literal[", "]"), '"')),
        ("the docstring of Event.kind", items(stub)),
        ("the documentation of Event::kind in the binding", items(&python)),
        ("AuthEventMap", mapped(&map)),
        (
            "the README of the Node package",
            quoted(part(&readme, "**Events** are", ", emitted"), '`'),
        ),
        ("the tests of Node", quoted(part(&support, "EVENT_KINDS = [", "]"), '\'')),
    ] {
        let [known, found] = [Event::KINDS, &found].map(BTreeSet::from_iter);
        assert_eq!(known, found, "{place} has other events than the core");
    }
}

/// A row of a table in `CONTRIBUTING.md`: the files that it names, and the other names in it.
fn row(line: &str) -> (Vec<&str>, Vec<&str>) {
    quoted(line, '`').into_iter().partition(|name| name.ends_with(".rs"))
}

/// Whether `text` has each part of the path `name` as a word.
fn has(text: &str, name: &str) -> bool {
    let is_part = |found: char| found.is_alphanumeric() || found == '_';
    name.split("::").all(|part| text.split(|found| !is_part(found)).any(|word| word == part))
}

#[test]
fn contributing_names_only_what_is_there() {
    let text = read("CONTRIBUTING.md");
    let (_, core) = text.split_once("# The core, from the top").expect("the part about the core");
    let at = |path: &str| root().join("core/src").join(path);
    let is_there = |path: &&str| at(path).exists() || root().join(path).exists();
    let missing: Vec<_> = row(core).0.into_iter().filter(|path| !is_there(path)).collect();
    assert!(missing.is_empty(), "these files are not there: {missing:?}");

    let (_, rules) = core.split_once("## Where a rule lives").expect("the table of the rules");
    let rows: Vec<_> = rules.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 30, "the table is not found");
    for line in rows {
        let (files, names) = row(line);
        assert!(!files.is_empty(), "no file in {line}");
        let texts: Vec<_> = files.iter().map(|path| read(&format!("core/src/{path}"))).collect();
        let is_missing = |name: &&str| !texts.iter().any(|text| has(text, name));
        let missing: Vec<_> = names.into_iter().filter(is_missing).collect();
        assert!(missing.is_empty(), "{missing:?} is in none of the files of {line}");
    }
}

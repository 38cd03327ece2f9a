//! The promise of the last release, and whether the public API still keeps it.

use std::path::Path;
use std::process::Command;

/// A release, by its tag in the repository.
pub(crate) struct Release {
    /// `v` and the version.
    pub(crate) tag: String,
    /// The list of the public API.
    pub(crate) list: String,
}

impl Release {
    /// The last release before the commit at hand; none if there is no release, or no repository.
    pub(crate) fn last(root: &Path) -> Option<Self> {
        let git = |arguments: &[&str]| {
            let output = Command::new("git").current_dir(root).args(arguments).output().ok()?;
            output.status.success().then(|| String::from_utf8(output.stdout).expect("text"))
        };
        let tag = git(&["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"])?;
        let list = git(&["show", &format!("{}:tests/public-api.txt", tag.trim())])?;
        Some(Self { tag: tag.trim().to_owned(), list })
    }

    /// Whether a program that names this release in its manifest also gets `version`.
    pub(crate) fn reaches(&self, version: &str) -> bool {
        compatible(self.tag.trim_start_matches('v')) == compatible(version)
    }

    /// The differences between this release and `list` that may break a program.
    pub(crate) fn broken_by(&self, list: &str) -> Vec<String> {
        let is_new = |line: &&str| !self.has(line);
        let gone = self.list.lines().filter(|line| !list.lines().any(|other| other == *line));
        let added = list.lines().filter(is_new).filter(|line| self.is_breaking_addition(line));
        let gone = gone.map(|line| format!("gone: {line}"));
        gone.chain(added.map(|line| format!("new: {line}"))).collect()
    }

    /// Whether the new `line` asks more of a program: one more method of each implementation of a
    /// trait, or one more arm of each `match` on an enum.
    fn is_breaking_addition(&self, line: &str) -> bool {
        let Some((path, what)) = line.split_once(": ") else { return false };
        let Some((parent, _)) = path.rsplit_once("::") else { return false };
        let is_known_as = |what: &str| {
            let known = format!("{parent}: {what}");
            self.list.lines().any(|line| line.starts_with(&known))
        };
        (what.starts_with("required ") && is_known_as("trait"))
            || (what.ends_with("variant") && is_known_as("enum"))
    }

    fn has(&self, line: &str) -> bool {
        self.list.lines().any(|known| known == line)
    }
}

/// The part of a version that Cargo's rules keep: programs get newer versions that begin so.
pub(crate) fn compatible(version: &str) -> String {
    let numbers: Vec<_> = version.split('.').collect();
    let zeros = numbers.iter().take_while(|number| **number == "0").count();
    numbers[..numbers.len().min(zeros + 1)].join(".")
}

#[test]
fn what_breaks_a_program_is_told_from_what_does_not() {
    let list =
        "a::E: enum\na::E::One: variant\na::O: non_exhaustive enum\na::T: trait\na::f: fn()\n";
    let release = Release { tag: "v0.1.0".to_owned(), list: list.to_owned() };
    for added in ["a::g: fn()", "a::O::Two: variant", "a::T::m: fn(&self)", "a::U: trait"] {
        assert_eq!(release.broken_by(&format!("{list}{added}\n")), Vec::<String>::new());
    }
    for added in ["a::E::Two: variant", "a::T::m: required fn(&self)"] {
        assert_eq!(release.broken_by(&format!("{list}{added}\n")), [format!("new: {added}")]);
    }
    assert_eq!(release.broken_by(&list.replace("a::f: fn()\n", "")), ["gone: a::f: fn()"]);
}

#[test]
fn a_version_reaches_the_programs_that_name_a_compatible_one() {
    let reaches =
        |tag: &str, version| Release { tag: tag.to_owned(), list: String::new() }.reaches(version);
    assert!(
        reaches("v0.1.0", "0.1.7") && reaches("v1.2.3", "1.10.0") && reaches("v0.0.3", "0.0.3")
    );
    assert!(
        !reaches("v0.1.0", "0.2.0") && !reaches("v1.2.3", "2.0.0") && !reaches("v0.0.3", "0.0.4")
    );
    assert_eq!(compatible("0.13.5"), "0.13");
    assert_eq!(compatible("1"), "1");
}

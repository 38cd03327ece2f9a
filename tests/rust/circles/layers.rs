//! The layers of the core: each file uses only those below its own.

use crate::{files_below, imports_in};

/// The root of the core's modules.
pub(crate) const CORE: &str = "core/src";

/// The layers, from the top; in each the modules that it is made of.
const LAYERS: [&[&str]; 16] = [
    &["bin"],
    &["cli"],
    &["agent"],
    &["bindings", "seams"],
    &["client"],
    &["manager"],
    &["upkeep"],
    &["refresh"],
    &["login"],
    &["state", "options"],
    &["storage"],
    &["ledger"],
    &[
        "description",
        "token_endpoint",
        "option_value",
        "variable",
        "origin",
        "snapshot",
        "identity",
        "auth_dot_json",
        "transport",
    ],
    &["clock"],
    &["claims"],
    &[
        "background",
        "bounds",
        "child",
        "tasks",
        "trace",
        "log_hook",
        "environment",
        "process",
        "secret",
        "error",
    ],
];

#[test]
fn each_file_of_the_core_uses_only_the_layers_below_it() {
    let mut found = Vec::new();
    for (file, used) in imports_in(&files_below(CORE)).iter().filter(|(file, _)| *file != "lib.rs")
    {
        let is_above = |other: &&String| *other != "lib.rs" && layer(other) < layer(file);
        found.extend(used.iter().filter(is_above).map(|other| format!("{file} uses {other}")));
    }
    assert!(found.is_empty(), "these use a layer above their own:\n{}", found.join("\n"));
}

fn layer(file: &str) -> usize {
    let module = file.split(['/', '.']).next().unwrap_or_default();
    let at = LAYERS.iter().position(|modules| modules.contains(&module));
    at.unwrap_or_else(|| panic!("{module} is in no layer"))
}

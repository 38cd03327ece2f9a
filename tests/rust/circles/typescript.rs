//! The imports of TypeScript files.

use std::path::PathBuf;

use crate::{Files, Imports};

/// The files that each TypeScript file imports or exports from, also for types only.
pub(crate) fn imports(files: &Files) -> Imports {
    files.iter().map(|(name, text)| (name.clone(), imports_of(name, text, files))).collect()
}

fn imports_of(name: &str, text: &str, files: &Files) -> Vec<String> {
    let code = without_comments(text);
    let mut found = Vec::new();
    for before in ["from '", "import '", "import('", "require('"] {
        for rest in code.split(before).skip(1) {
            let Some(target) = rest.split('\'').next() else { continue };
            let path = resolved(name, target);
            let path = path.replace(".mjs", ".mts").replace(".js", ".ts");
            found.extend(files.contains_key(&path).then_some(path));
        }
    }
    found
}

fn resolved(name: &str, target: &str) -> String {
    let mut path = PathBuf::from(name);
    path.pop();
    for part in target.split('/') {
        match part {
            "." => {}
            ".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    path.to_string_lossy().replace('\\', "/")
}

fn without_comments(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("/*") {
        code += before;
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    code += rest;
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect()
}

//! The imports of Python files and their stubs.

use crate::{Files, Imports};

/// The files that each Python file imports, also in functions and for type checkers only.
pub(crate) fn imports(files: &Files) -> Imports {
    files.iter().map(|(name, text)| (name.clone(), imports_of(name, text, files))).collect()
}

fn imports_of(name: &str, text: &str, files: &Files) -> Vec<String> {
    let module_of = |name: &str| {
        let path = name.rsplit_once('.').map_or(name, |(path, _)| path);
        path.trim_end_matches("/__init__").replace('/', ".")
    };
    let package = name.rsplit_once('/').map_or("", |(folder, _)| folder).replace('/', ".");
    let file_of = |module: &str| files.keys().find(|name| module_of(name) == module).cloned();
    let mut found = Vec::new();
    for line in statements(text) {
        if let Some(modules) = line.trim_start().strip_prefix("import ") {
            let names = modules.split(',').filter_map(|name| name.split_whitespace().next());
            found.extend(names.filter_map(file_of));
        }
        let from = line.trim_start().strip_prefix("from ");
        let Some((module, names)) = from.and_then(|rest| rest.split_once(" import ")) else {
            continue;
        };
        let module = match module.trim().strip_prefix('.') {
            Some("") => package.clone(),
            Some(below) => format!("{package}.{below}"),
            None => module.trim().to_owned(),
        };
        let names = names.split(|c: char| "(),".contains(c));
        for name in names.filter_map(|name| name.split_whitespace().next()) {
            found.extend(file_of(&format!("{module}.{name}")).or_else(|| file_of(&module)));
        }
    }
    found
}

/// The lines of `text` without comments and long strings, those within parentheses in one.
fn statements(text: &str) -> Vec<String> {
    let code: String = text.split("\"\"\"").step_by(2).collect();
    let (mut found, mut open) = (Vec::<String>::new(), 0);
    for line in code.lines() {
        let line = line.split('#').next().unwrap_or_default();
        match found.last_mut().filter(|_| open > 0) {
            Some(last) => *last += line,
            None => found.push(line.to_owned()),
        }
        open += line.matches('(').count();
        open = open.saturating_sub(line.matches(')').count());
    }
    found
}

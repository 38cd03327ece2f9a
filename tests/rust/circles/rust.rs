//! The imports of Rust files.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Files, Imports};

/// A path from the root of the crate on.
type Path = Vec<String>;

/// The files that each Rust file uses: it names them by a path, in `use` or in an expression.
///
/// A file that declares a child (`mod x;`) or re-exports a name (`pub use`) does not use it by that.
/// A path to a re-exported name is a use of the file that defines the name.
pub(crate) fn imports(files: &Files) -> Imports {
    let parsed =
        files.iter().map(|(name, text)| (name, Names::of(&module_of(name), &tokens(text))));
    let parsed: Vec<_> = parsed.collect();
    let crate_ = Crate {
        files: files.keys().map(|name| (module_of(name), name.as_str())).collect(),
        bound: parsed.iter().flat_map(|(_, names)| names.bound.clone()).collect(),
    };
    let imported = |used: &[Path]| used.iter().filter_map(|path| crate_.file_of(path)).collect();
    parsed.iter().map(|(name, names)| ((*name).clone(), imported(&names.used))).collect()
}

fn module_of(name: &str) -> Path {
    let path = name.trim_end_matches(".rs").trim_end_matches("/mod");
    let names = path.split('/').filter(|name| !["lib", "main"].contains(name));
    names.map(str::to_owned).collect()
}

struct Crate<'a> {
    /// The files by their modules.
    files: BTreeMap<Path, &'a str>,
    /// The paths of names that `use` binds, each with the path that it stands for.
    bound: BTreeMap<Path, Path>,
}

impl Crate<'_> {
    /// The file that defines what `path` names.
    fn file_of(&self, path: &[String]) -> Option<String> {
        let mut path = path.to_vec();
        let mut seen = BTreeSet::new();
        loop {
            let lengths = (0..=path.len()).rev();
            let module = lengths
                .map(|length| &path[..length])
                .find(|path| self.files.contains_key(*path))?;
            let name = path.get(..=module.len()).and_then(|name| self.bound.get(name));
            let Some(meant) = name.filter(|_| seen.insert(path.clone())) else {
                return Some(self.files[module].to_owned());
            };
            path = [meant, &path[module.len() + 1..]].concat();
        }
    }
}

/// The paths in one file.
#[derive(Default)]
struct Names {
    used: Vec<Path>,
    bound: Vec<(Path, Path)>,
}

impl Names {
    fn of(module: &[String], tokens: &[String]) -> Self {
        let declared = tokens.windows(3).filter(|window| window[0] == "mod" && window[2] == ";");
        let children: BTreeSet<_> = declared.map(|window| window[1].as_str()).collect();
        // The enclosing modules within the file, each with the depth of its braces.
        let (mut within, mut depth) = (Vec::<(&str, usize)>::new(), 0);
        let (mut names, mut is_exported, mut at) = (Self::default(), None, 0);
        while at < tokens.len() {
            let rest = &tokens[at..];
            match rest[0].as_str() {
                "#" if is_test_attribute(rest) => {
                    at = end_of_item(tokens, at + 7);
                    continue;
                }
                "mod" if rest.get(2).is_some_and(|token| token == "{") => {
                    within.push((&rest[1], depth));
                }
                // After `pub`, or the end of `pub(crate)`.
                "use" => is_exported = Some(at > 0 && ["pub", ")"].contains(&&*tokens[at - 1])),
                ";" => is_exported = None,
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    within.pop_if(|(_, outside)| *outside == depth);
                }
                first if rest.get(1).is_some_and(|token| token == "::") => {
                    let inner = within.iter().map(|(name, _)| (*name).to_owned());
                    let here: Path = module.iter().cloned().chain(inner).collect();
                    let mut found = Vec::new();
                    if (at == 0 || tokens[at - 1] != "::")
                        && let Some(base) = base(first, &here, children.contains(first))
                    {
                        collect(tokens, at + 2, base, &mut found);
                    }
                    for (name, path) in found {
                        if is_exported.is_some() {
                            names.bound.push(([here.as_slice(), &[name]].concat(), path.clone()));
                        }
                        if is_exported != Some(true) {
                            names.used.push(path);
                        }
                    }
                }
                _ => {}
            }
            at += 1;
        }
        names
    }
}

/// Where a path leads that begins with `first` in the module `here`.
fn base(first: &str, here: &[String], is_child: bool) -> Option<Path> {
    match first {
        "crate" => Some(Vec::new()),
        "self" => Some(here.to_vec()),
        "super" => Some(here[..here.len().saturating_sub(1)].to_vec()),
        child if is_child => Some([here, &[child.to_owned()]].concat()),
        _ => None,
    }
}

fn is_test_attribute(tokens: &[String]) -> bool {
    tokens.iter().take(7).map(String::as_str).eq(["#", "[", "cfg", "(", "test", ")", "]"])
}

/// Where the item ends that begins at `at`.
fn end_of_item(tokens: &[String], mut at: usize) -> usize {
    let is_import = tokens.iter().skip(at).take(2).any(|token| token == "use");
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return at,
            "}" if depth == 1 && !is_import => return at + 1,
            ")" | "]" | "}" => depth -= 1,
            ";" | "," if depth == 0 => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Adds to `found` the paths that go on from `base` at `tokens[at]`, by the names that `use` would
/// bind to them; where they end.
fn collect(
    tokens: &[String],
    mut at: usize,
    mut base: Path,
    found: &mut Vec<(String, Path)>,
) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "{" => {
                while tokens.get(at).is_some_and(|token| token != "}") {
                    at = collect(tokens, at + 1, base.clone(), found);
                    let rest = tokens.iter().skip(at);
                    at += rest.take_while(|token| *token != "," && *token != "}").count();
                }
                return at + 1;
            }
            "super" => drop(base.pop()),
            "}" => return at,
            name if name.chars().all(|c| c.is_alphanumeric() || c == '_') => {
                base.push(name.to_owned());
            }
            _ => break,
        }
        if tokens.get(at + 1).is_none_or(|token| token != "::") {
            break;
        }
        at += 2;
    }
    let alias = tokens.get(at + 1).filter(|token| *token == "as").and(tokens.get(at + 2));
    base.pop_if(|name| name == "self");
    if let Some(name) = alias.or(base.last()).cloned() {
        found.push((name, base));
    }
    at + 1
}

/// The words, `::` and marks of `text`, without comments, strings and characters.
fn tokens(text: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            let hashes = rest[1..].find('"').unwrap_or(0);
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = hashes + 2;
            rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len())
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' && (rest.starts_with("'\\") || rest.chars().nth(2) == Some('\'')) {
            quoted(rest, '\'')
        } else if rest.starts_with("::") {
            found.push("::".to_owned());
            2
        } else if word > 0 {
            found.push(rest[..word].to_owned());
            word
        } else {
            if !first.is_whitespace() {
                found.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// How long the text is that begins with `mark`, until the next one that is not escaped.
fn quoted(text: &str, mark: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == mark && !is_escaped {
            return at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}

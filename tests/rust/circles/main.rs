//! No two files use each other, directly or through other files. So a reader of one file needs to know
//! only the files below it. What two files share belongs into a file below both.

mod layers;
mod python;
mod rust;
mod typescript;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

/// The folders whose files are checked. Each is the root of its modules.
const ROOTS: [&str; 4] =
    [layers::CORE, "bindings-python/src", "bindings-python/python", "bindings-node/src"];

/// The texts of files, by their paths below a root.
type Files = BTreeMap<String, String>;

/// The files that each file imports.
type Imports = BTreeMap<String, Vec<String>>;

#[test]
fn no_files_form_a_circle() {
    let mut found = Vec::new();
    for root in ROOTS {
        let imports = imports_in(&files_below(root));
        assert!(imports.values().any(|imported| !imported.is_empty()), "no imports in {root}");
        found.extend(circles(&imports).iter().map(|circle| format!("{root}: {circle}")));
    }
    assert!(found.is_empty(), "these files use each other:\n{}", found.join("\n"));
}

#[test]
fn a_circle_is_noticed_in_every_language() {
    for files in [
        [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::{self, B};"),
            ("b.rs", "super::a::f();"),
        ],
        [("lib.rs", "mod a; use a::b::B;"), ("a.rs", "mod b;"), ("a/b.rs", "use crate::{C, D};")],
        [
            ("lib.rs", "mod a; mod b; pub(crate) use self::b::{c::C as Shown};"),
            ("a.rs", "use crate::Shown;"),
            ("b/c.rs", "fn f(_: crate::a::A) {}"),
        ],
        [
            ("p/__init__.py", ""),
            ("p/_a.py", "def f():\n    from p import (\n        _b,\n    )"),
            ("p/_b.pyi", "if TYPE_CHECKING:\n    from p._a import A"),
        ],
        [
            ("index.mts", "export { a } from './a.js';"),
            ("a.ts", "import type {\n  B,\n} from './b/b.js';"),
            ("b/b.ts", "const later = import('../a.js');"),
        ],
    ] {
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        assert_eq!(circles(&imports_in(&files)).len(), 1, "{files:?}");
    }
}

#[test]
fn what_is_no_import_makes_no_circle() {
    for files in [
        [
            ("lib.rs", "mod a;\n#[cfg(test)]\nmod tests { use crate::a; }"),
            ("a.rs", "use crate::B;"),
        ],
        [("lib.rs", "mod a; pub use a::A;"), ("a.rs", "use crate::B;")],
        [
            (
                "a.rs",
                "mod inner { use super::X; }\n/// [`crate::b`]\nconst A: &str = \"crate::b\";",
            ),
            ("b.rs", "use crate::a;"),
        ],
        [
            ("p/a.py", "\"\"\"\nimport p.b\n\"\"\"\n# import p.b\nimport q.b"),
            ("p/b.py", "import p.a"),
        ],
        [("a.ts", "/**\n * import './b.js';\n */\n// from './b.js'"), ("b.ts", "import './a.js';")],
    ] {
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        assert_eq!(circles(&imports_in(&files)), Vec::<String>::new(), "{files:?}");
    }
}

/// The files below the folder `root`, without tests: a test may use everything that it tests.
fn files_below(root: &str) -> Files {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(root);
    let (mut files, mut folders) = (Files::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.file_stem().is_some_and(|name| name == "tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let name = path.strip_prefix(&root).expect("the path is below the root");
                files.insert(name.to_string_lossy().replace('\\', "/"), text);
            }
        }
    }
    files
}

fn imports_in(files: &Files) -> Imports {
    let of = |endings: &[&str]| {
        let is_one = |name: &str| endings.iter().any(|ending| name.ends_with(ending));
        let found = files.iter().filter(|(name, _)| is_one(name));
        found.map(|(name, text)| (name.clone(), text.clone())).collect()
    };
    let mut imports = rust::imports(&of(&[".rs"]));
    imports.extend(python::imports(&of(&[".py", ".pyi"])));
    imports.extend(typescript::imports(&of(&[".ts", ".mts"])));
    for (name, imported) in &mut imports {
        imported.retain(|other| other != name);
    }
    imports
}

/// One circle for each group of files that use each other, as `a -> b -> a`.
fn circles(imports: &Imports) -> Vec<String> {
    let (mut found, mut known) = (Vec::new(), BTreeSet::new());
    for file in imports.keys() {
        if let Some(circle) = shortest_circle(imports, file).filter(|_| !known.contains(file)) {
            found.push(format!("{} -> {file}", circle.join(" -> ")));
            known.extend(circle);
        }
    }
    found
}

/// The files on the shortest way from `start` back to it.
fn shortest_circle(imports: &Imports, start: &str) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in imports.get(way.last()?)? {
            if next == start {
                return Some(way);
            }
            if seen.insert(next) {
                ways.push_back([way.as_slice(), std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

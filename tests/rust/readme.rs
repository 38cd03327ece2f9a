//! What the READMEs show is what is tested: a block of code below `<!-- from PATH -->` is a part of
//! that file.

use std::fs;
use std::path::Path;

const READMES: [&str; 3] = ["README.md", "bindings-python/README.md", "bindings-node/README.md"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files that are quoted in `text`, each with what is quoted of it.
fn quotations(text: &str) -> Vec<(&str, Vec<&str>)> {
    let (mut found, mut lines) = (Vec::new(), text.lines());
    while let Some(line) = lines.next() {
        let Some(path) = line.strip_prefix("<!-- from ").and_then(|rest| rest.strip_suffix(" -->"))
        else {
            continue;
        };
        let fence = lines.next().unwrap_or_default();
        assert!(fence.starts_with("```"), "no code below the mention of {path}");
        found.push((path, lines.by_ref().take_while(|line| *line != "```").collect()));
    }
    found
}

/// Whether `quoted` are lines of `text` one after another, whatever they are indented by.
fn is_part(quoted: &[&str], text: &str) -> bool {
    let lines: Vec<_> = text.lines().collect();
    lines.windows(quoted.len()).any(|window| {
        let indent = window[0].len().saturating_sub(quoted[0].len());
        window[0].get(..indent).is_some_and(|indent| indent.trim().is_empty())
            && window.iter().zip(quoted).all(|(line, quoted)| {
                line.is_empty() && quoted.is_empty() || line.get(indent..) == Some(*quoted)
            })
    })
}

#[test]
fn code_in_the_readmes_is_of_the_examples() {
    for readme in READMES {
        let text = read(readme);
        let quotations = quotations(&text);
        assert!(!quotations.is_empty(), "{readme} quotes no example");
        for (path, quoted) in quotations {
            assert!(is_part(&quoted, &read(path)), "{readme}: not what {path} has:\n{quoted:#?}");
        }
    }
}

#[test]
fn a_line_that_differs_is_noticed() {
    let text = "fn main() {\n    one();\n\n    two();\n}\n";
    assert!(is_part(&["one();", "", "two();"], text));
    assert!(!is_part(&["one();", "", "three();"], text));
    assert!(!is_part(&["one();", "two();"], text));
    assert!(!is_part(&["ne();"], text));
}

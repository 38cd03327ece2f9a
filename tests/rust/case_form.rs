//! The form of the shared cases: every runner would fail on a mistake in it, and so does this test,
//! earlier.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use codex_auth_tests::issuer::Issuer;
use serde_json::{Value, json};

/// What the runners know. They fail on anything else, and so does this test, earlier.
const STEPS: [(&str, &[&str]); 20] = [
    ("open", &["options", "unread"]),
    ("auth", &["as"]),
    ("fresh_auth", &["as"]),
    ("reload", &[]),
    ("sync", &["auth"]),
    ("recovery", &["as"]),
    ("recover", &["auth", "recovery"]),
    ("refresh", &["auth", "as"]),
    ("request", &["auth"]),
    ("logout", &["revoke"]),
    ("describe", &[]),
    ("close", &[]),
    ("store", &[]),
    ("write_store", &["store", "in_place", "heal_after_ms"]),
    ("edit_store", &["set", "remove"]),
    ("delete_store", &[]),
    ("control", &["call", "args"]),
    ("wait", &["until", "timeout_ms"]),
    ("stats", &[]),
    ("join", &["of"]),
];
const CASE_FIELDS: [&str; 12] = [
    "name", "doc", "stores", "needs", "options", "issuer", "logins", "faults", "store", "open",
    "steps", "expect",
];

#[test]
fn every_case_can_be_begun() {
    let issuer = Issuer::start().expect("the issuer starts");
    let mut names = HashSet::new();
    for case in cases() {
        let name = case["name"].as_str().expect("a name").to_owned();
        let unknown = fields(&case).find(|field| !CASE_FIELDS.contains(field));
        assert_eq!(unknown, None, "{name}");
        assert!(case["doc"].is_string(), "{name} has no doc");
        assert!(case["options"]["winner_wait"].is_number(), "{name} has no winner_wait");
        for step in case["steps"].as_array().expect("steps") {
            check_step(&name, step);
        }
        let begin = json!({
            "name": name,
            "config": part(&case, "issuer", json!({})),
            "logins": part(&case, "logins", json!({})),
            "faults": part(&case, "faults", json!([])),
        });
        issuer.realm("").run("realms", &begin);
        let realm = issuer.realm(&name);
        realm.run("store_text", &part(&case, "store", json!({})));
        assert!(names.insert(name.clone()), "{name} is there twice");
    }
    assert!(names.len() > 100);
}

fn cases() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let files = fs::read_dir(folder).expect("the folder of cases");
    files
        .flat_map(|file| {
            let text = fs::read_to_string(file.expect("a file").path()).expect("a text");
            serde_json::from_str::<Vec<Value>>(&text).expect("a list of cases")
        })
        .collect()
}

fn check_step(case: &str, step: &Value) {
    let kind = step["do"].as_str().unwrap_or_default();
    match kind {
        "in_background" => check_step(case, &step["step"]),
        "fork" => {
            for step in step["steps"].as_array().expect("steps") {
                check_step(case, step);
            }
        }
        _ => {
            let known = STEPS.iter().find(|(name, _)| *name == kind);
            let (_, own) = known.unwrap_or_else(|| panic!("{case}: unknown step {step}"));
            let common = ["do", "manager", "expect"];
            let unknown = fields(step).find(|f| !own.contains(f) && !common.contains(f));
            assert_eq!(unknown, None, "{case}: {step}");
        }
    }
}

fn fields(object: &Value) -> impl Iterator<Item = &str> {
    object.as_object().expect("an object").keys().map(String::as_str)
}

fn part(case: &Value, name: &str, default: Value) -> Value {
    case.get(name).cloned().unwrap_or(default)
}

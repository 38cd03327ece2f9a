//! What a dump of a client's memory has, and what the agent logs: nothing that lasts.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use codex_auth_tests::contender::Language;
use serde_json::{Value, json};

use crate::clients::{contenders, go};
use crate::scene::{Agent, Scene};

/// So much is read at a time.
const PART: usize = 1 << 20;

/// No token is longer.
const OVERLAP: usize = 1 << 14;

/// Which of `secrets` are in the memory of `process` that it can write to.
fn found_in(process: u32, secrets: &[String]) -> Vec<bool> {
    let file = |name: &str| format!("/proc/{process}/{name}");
    let maps = std::fs::read_to_string(file("maps")).expect("Linux tells");
    let memory = File::open(file("mem")).expect("a child of this process");
    let mut found = vec![false; secrets.len()];
    let mut part = vec![0; PART + OVERLAP];
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let (start, end) = range.expect("a range");
        let [start, end] = [start, end].map(|it| u64::from_str_radix(it, 16).expect("an address"));
        for at in (start..end).step_by(PART) {
            // It fails where the system has mapped something that is not memory.
            let length = memory.read_at(&mut part, at).unwrap_or_default();
            let text = String::from_utf8_lossy(&part[..length]);
            for (found, secret) in found.iter_mut().zip(secrets) {
                *found |= text.contains(secret.as_str());
            }
        }
    }
    found
}

/// This token of the stored login.
fn token(scene: &Scene, name: &str) -> String {
    let record = scene.stored();
    let token = record["tokens"][name].as_str();
    token.unwrap_or_else(|| panic!("{name}: {record}")).to_owned()
}

fn search(languages: &[Language]) {
    let scene = Scene::signed_in();
    let log = scene.path("log");
    let mut command = scene.agent_command(&["-vvv"]);
    command.stderr(File::create(&log).expect("created"));
    let mut agent = Agent::start(command);
    agent.wait_for("watching");
    let lasting = || ["refresh_token", "id_token"].map(|name| token(&scene, name));
    let mut secrets = lasting().to_vec();
    secrets.push("a@example.com".to_owned());
    let mut contenders = contenders(&scene, languages, languages.len());
    go(&mut contenders);
    scene.realm().run("kill_access", &json!({}));
    go(&mut contenders);
    secrets.extend(lasting());
    secrets.push(token(&scene, "access_token"));
    for contender in &mut contenders {
        let found = found_in(contender.process().id(), &secrets);
        // They have what they use: so the search finds what is there.
        assert_eq!(found, [false, false, false, false, false, true], "{:?}", contender.language());
    }
    agent.signal("TERM");
    agent.end();
    let log = std::fs::read_to_string(log).expect("text");
    assert!(log.contains("codex_auth.redemption"), "{log}");
    let leaks: Value = scene.realm().call("leaks", &json!({ "text": log }));
    assert_eq!(leaks["leaks"], json!([]));
}

#[test]
fn g13_neither_a_dump_of_a_client_nor_the_log_has_what_lasts() {
    search(&[Language::Rust]);
}

#[test]
fn g13_neither_a_dump_of_a_client_nor_the_log_has_what_lasts_in_three_languages() {
    search(&Language::ALL);
}

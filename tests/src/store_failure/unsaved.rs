//! A pair that cannot be saved, and what others do meanwhile.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::scene::Scene;
use crate::contender::{Contender, Language};
use crate::torture::Trial;

/// The pair is used and saved in the background as soon as that works, told once each; other
/// processes wait for it, and a writer of an older record changes nothing.
pub(super) fn kept_until_saved(language: Language, trial: &mut Trial) {
    let mut scene = Scene::new();
    let stale = std::fs::read(scene.file()).expect("a record");
    let mut contender = scene.contender(language);
    scene.serve(&mut contender, trial);
    let before = std::fs::read(scene.file()).expect("a record");
    let events = leave_unsaved(&scene, &mut contender, trial);
    let kept = std::fs::read(scene.file()).expect("a record");
    trial.check(kept == before, || "the older record is not what it was".to_owned());

    let presented = scene.presented();
    let hasty = json!({"refresh_deadline": 0.5, "request_timeout": 0.5, "lock_timeout": 1});
    refused(&mut start(&scene, language, &hasty), "lock_timeout", trial);
    put(scene.file(), &stale, 0o400);
    refused(&mut start(&scene, language, &hasty), "lock_timeout", trial);
    contender.go();
    scene.check_served(&contender.answer(), trial);
    let is_idle = scene.presented() == presented;
    trial.check(is_idle, || "a token was presented while a pair was unsaved".to_owned());

    let mut patient = scene.contender(language);
    patient.go();
    put(scene.file(), &stale, 0o600);
    scene.check_served(&patient.answer(), trial);
    let is_idle = scene.presented() == presented;
    trial.check(is_idle, || "who waited for the pair redeemed a token".to_owned());
    if language == Language::Rust {
        let told = [events, tell(&mut contender)].concat();
        let expected = ["refreshed", "save_failed", "save_recovered"];
        trial.check(told == expected, || format!("the events are {told:?}"));
    }
    scene.check_saved(&mut contender, trial);
    scene.expire();
    scene.serve(&mut patient, trial);
    trial.tried += 1;
}

/// While the pair is unsaved nothing is redeemed, not even by who has it.
pub(super) fn nothing_redeemed_meanwhile(language: Language, trial: &mut Trial) {
    let scene = Scene::new();
    let mut contender = scene.contender(language);
    leave_unsaved(&scene, &mut contender, trial);
    scene.realm.run("kill_access", &json!({}));
    scene.refuse(&mut contender, "store_read_only", &["auth.json", "chmod u+w"], trial);
    set_mode(scene.file(), 0o600);
    scene.serve(&mut contender, trial);
    trial.tried += 1;
}

/// A newer login, another account's or none at all meanwhile: it stays so.
pub(super) fn overtaken(language: Language, trial: &mut Trial) {
    for newer in ["login", "account", "nothing"] {
        let mut scene = Scene::new();
        let mut contender = scene.contender(language);
        leave_unsaved(&scene, &mut contender, trial);
        let text = match newer {
            "login" => Some(scene.login()),
            "account" => Some(other_account(&scene)),
            _ => None,
        };
        match &text {
            Some(text) => put(scene.file(), text.as_bytes(), 0o600),
            None => std::fs::remove_file(scene.file()).expect("removed"),
        }
        let closed = contender.close();
        let stored = std::fs::read_to_string(scene.file()).ok();
        trial.check(closed["pending_save"] == false && stored == text, || {
            format!("{newer} was overtaken: {closed}, {stored:?}")
        });
        scene.check_unspent(trial);
        trial.tried += 1;
    }
}

/// Makes `contender` use a pair that cannot be saved, since the record was marked read-only in
/// between. The events so far.
fn leave_unsaved(scene: &Scene, contender: &mut Contender, trial: &mut Trial) -> Vec<String> {
    drop(tell(contender));
    scene.realm.run("kill_access", &json!({}));
    let answer = scene.request(contender, || set_mode(scene.file(), 0o400));
    scene.check_served(&answer, trial);
    trial.check(answer["pending_save"] == true, || format!("it was saved: {answer}"));
    names(&answer)
}

/// A request of `contender` must fail with `code`.
fn refused(contender: &mut Contender, code: &str, trial: &mut Trial) {
    contender.go();
    let answer = contender.answer();
    trial.check(answer["error"] == code, || format!("not {code}: {answer}"));
}

fn start(scene: &Scene, language: Language, options: &Value) -> Contender {
    let mut contender = scene.start(language, options);
    contender.wait_until_ready();
    contender
}

/// The events that `contender` in Rust had since it was last asked.
fn tell(contender: &mut Contender) -> Vec<String> {
    names(&contender.close())
}

fn names(answer: &Value) -> Vec<String> {
    let events = answer["events"].as_array().map_or(&[][..], Vec::as_slice);
    events.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn other_account(scene: &Scene) -> String {
    let login = scene.realm.call("login", &json!({"name": "other"}));
    login["text"].as_str().expect("a record").to_owned()
}

/// Puts a record in the place of the stored one, as a program without locks does.
fn put(file: &Path, text: &[u8], mode: u32) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).expect("written");
    set_mode(&new, mode);
    std::fs::rename(&new, file).expect("renamed");
}

fn set_mode(file: &Path, mode: u32) {
    std::fs::set_permissions(file, PermissionsExt::from_mode(mode)).expect("set");
}

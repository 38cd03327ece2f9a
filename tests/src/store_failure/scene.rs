//! A login in a folder and its issuer, what is asked of both, and what must be so after every
//! failure.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::contender::{Contender, Language};
use crate::issuer::{Issuer, Realm};
use crate::privilege::Namespace;
use crate::torture::Trial;

/// A login in a `CODEX_HOME`. All its logins are one account's.
#[derive(Debug)]
pub(super) struct Scene {
    /// Where the login comes from.
    pub(super) realm: Realm,
    _issuer: Issuer,
    /// Of this scene, where the home is one.
    pub(super) namespace: Option<Namespace>,
    folders: [TempDir; 2],
    home: PathBuf,
    file: PathBuf,
    logins: u32,
}

impl Scene {
    /// A home with a login whose access token has expired.
    pub(super) fn new() -> Self {
        let mut scene = Self::empty();
        scene.sign_in();
        scene
    }

    /// The same on a file system of its own, a `tmpfs` that is mounted with `options`.
    pub(super) fn on_tmpfs(options: &str) -> Self {
        let mut scene = Self::empty();
        let script = format!("mount -t tmpfs -o {options} none \"$1\"");
        let namespace = Namespace::new(&script, &[&scene.home]);
        scene.file = namespace.path(&scene.file);
        scene.namespace = Some(namespace);
        scene.sign_in();
        scene
    }

    /// One whose `auth.json` is a single file of its host, mounted into the home. The host's folder
    /// is a `tmpfs` of 8 KiB.
    pub(super) fn with_mounted_file() -> Self {
        let mut scene = Self::empty();
        let host = scene.folders[1].path().canonicalize().expect("it is there");
        std::fs::write(&scene.file, "").expect("a place to mount it on");
        let script = r#"mount -t tmpfs -o size=8k none "$2"
            touch "$2/auth.json"
            mount --bind "$2/auth.json" "$1/auth.json""#;
        let namespace = Namespace::new(script, &[&scene.home, &host]);
        scene.file = namespace.path(&host.join("auth.json"));
        scene.namespace = Some(namespace);
        scene.sign_in();
        scene
    }

    fn empty() -> Self {
        let issuer = Issuer::start().expect("an issuer");
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let home = folders[0].path().canonicalize().expect("it is there");
        let (realm, file) = (issuer.realm(""), home.join("auth.json"));
        Self { realm, _issuer: issuer, namespace: None, folders, home, file, logins: 0 }
    }

    /// `CODEX_HOME`, as contenders see it.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// A folder beside the home.
    pub(super) fn beside(&self) -> &Path {
        self.folders[1].path()
    }

    /// The file that `auth.json` is, as this process sees it.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The folder that it is in.
    pub(super) fn folder(&self) -> &Path {
        self.file.parent().expect("a folder")
    }

    /// Writes a new login of the account, whose access token has expired, over what is stored;
    /// wider than we write it, so that ours is the shorter record.
    pub(super) fn sign_in(&mut self) {
        let text = self.login().replace('\n', "\n    ");
        std::fs::write(&self.file, text).expect("written");
    }

    /// Makes the stored login's access token useless, and an older one than any that was rejected
    /// young: the next request refreshes.
    pub(super) fn expire(&mut self) {
        self.realm.run("kill_access", &json!({}));
        self.sign_in();
    }

    /// The record of a new login of the account, whose access token has expired.
    pub(super) fn login(&mut self) -> String {
        self.logins += 1;
        let login = json!({
            "name": format!("login_{}_", self.logins),
            "account_id": "acct-a", "user_id": "user-a", "access_age_s": 7200,
        });
        let login = self.realm.call("login", &login);
        login["text"].as_str().expect("a record").to_owned()
    }

    /// A contender in the scene's namespace, with `options` of a manager.
    pub(super) fn start(&self, language: Language, options: &Value) -> Contender {
        let command = language.command();
        match &self.namespace {
            Some(namespace) => self.start_by(namespace.enter(&command), language, options),
            None => self.start_by(command, language, options),
        }
    }

    /// A contender by another command than its own.
    pub(super) fn start_by(
        &self,
        command: Command,
        language: Language,
        options: &Value,
    ) -> Contender {
        Contender::start_by(command, language, &self.home, &self.realm, options)
    }

    /// A contender that has a manager.
    pub(super) fn contender(&self, language: Language) -> Contender {
        let mut contender = self.start(language, &json!({}));
        contender.wait_until_ready();
        contender
    }

    /// How often a refresh token was presented.
    pub(super) fn presented(&self) -> u64 {
        self.realm.stats()["requests"].as_u64().expect("a number")
    }

    /// Lets `contender` make a request whose token is redeemed, does `meanwhile` before the reply
    /// comes, and returns the answer.
    pub(super) fn request(&self, contender: &mut Contender, meanwhile: impl FnOnce()) -> Value {
        self.realm.run("hold", &json!({"at": "reply"}));
        contender.go();
        drop(self.realm.wait(&json!({"held": 1})));
        meanwhile();
        self.realm.run("release", &json!({}));
        contender.answer()
    }

    /// A request must fail with `code` and a message that has `words`, and spend nothing.
    pub(super) fn refuse(
        &self,
        contender: &mut Contender,
        code: &str,
        words: &[&str],
        trial: &mut Trial,
    ) {
        let before = self.presented();
        contender.go();
        self.check_refusal(&contender.answer(), code, words, trial);
        let presented = self.presented() - before;
        let what = contender.language();
        trial.check(presented == 0, || format!("{what:?}: {presented} tokens were spent"));
    }

    /// `answer` must be an error of `code` whose message has `words`.
    pub(super) fn check_refusal(
        &self,
        answer: &Value,
        code: &str,
        words: &[&str],
        trial: &mut Trial,
    ) {
        let message = answer["message"].as_str().unwrap_or_default();
        let is_clear = answer["error"] == code && words.iter().all(|word| message.contains(word));
        trial.check(is_clear, || format!("not {code} with {words:?}: {answer}"));
    }

    /// A request must come through, and what it got be saved.
    pub(super) fn serve(&self, contender: &mut Contender, trial: &mut Trial) {
        contender.go();
        self.check_served(&contender.answer(), trial);
        self.check_saved(contender, trial);
    }

    /// `answer` must be that of a request that came through.
    pub(super) fn check_served(&self, answer: &Value, trial: &mut Trial) {
        trial.check(answer["status"] == 200, || format!("not served: {answer}"));
    }

    /// All that `contender` has must be saved once it was given time.
    pub(super) fn check_saved(&self, contender: &mut Contender, trial: &mut Trial) {
        let closed = contender.close();
        let is_saved = closed["closed"] == true && closed["pending_save"] == false;
        trial.check(is_saved, || format!("not saved: {closed}"));
        self.check_good(trial);
    }

    /// What is stored must be whole, the good login, and no spent token may have been presented.
    pub(super) fn check_good(&self, trial: &mut Trial) {
        let text = std::fs::read_to_string(&self.file).unwrap_or_else(|error| error.to_string());
        let is_whole = serde_json::from_str::<Value>(&text).is_ok();
        trial.check(is_whole, || format!("torn: {text:?}"));
        let live = self.realm.call("live", &json!({"text": text}));
        let is_good = live["refresh"] == true && live["access"] == true;
        trial.check(is_good, || format!("the stored login is not the good one: {live}"));
        self.check_unspent(trial);
    }

    /// No token may have been presented that was known to be spent.
    pub(super) fn check_unspent(&self, trial: &mut Trial) {
        let stats = self.realm.stats();
        let is_unspent = stats["replays"] == 0 && stats["max_redemptions"].as_u64() <= Some(1);
        trial.check(is_unspent, || format!("a spent token was presented: {stats}"));
    }
}

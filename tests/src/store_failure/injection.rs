//! An error at every system call of a save in turn, before the token is redeemed and after.

use serde_json::{Value, json};

use super::scene::Scene;
use super::tracer::{Call, Tracer, own_thread};
use crate::contender::{Contender, Language};
use crate::tier::sized;
use crate::torture::Trial;

/// When the thread is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// From the look at the store to the reply: what fails before the request must spend nothing.
    Readiness,
    /// From the reply on: what fails then must lose nothing.
    Commit,
}

/// How long a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    /// This once.
    Once,
    /// It and the next one of its name.
    Twice,
    /// It and all later ones of its name, until the request has been answered.
    Lasting,
}

/// What is broken this often need not be tried on: each try may wait for a save in vain.
const ENOUGH_LOST: usize = 3;

/// The file of the ledger.
const LEDGER: &str = ".codex-auth-sdk.json";

/// Refreshes until a fault strikes where it is to.
const MOST_TRIES: usize = 4;

/// What a call fails with besides an I/O error: a full disk, a quota, a signal, a folder that
/// refuses, a want of descriptors, a file system that cannot.
const OTHER_ERRORS: [(&str, &[&str]); 7] = [
    ("openat", &["ENOSPC", "EDQUOT", "EINTR", "EACCES", "EMFILE"]),
    ("flock", &["EINTR", "ENOLCK"]),
    ("read", &["EINTR"]),
    ("write", &["ENOSPC", "EDQUOT", "EINTR"]),
    ("ftruncate", &["EDQUOT", "EINTR"]),
    ("fsync", &["ENOSPC", "EDQUOT", "EINTR", "EINVAL"]),
    ("renameat2", &["ENOSPC", "EINVAL"]),
];

/// An I/O error at each call before the request.
pub(super) fn before(_: Language, trial: &mut Trial) {
    io_errors(Scene::new(), Phase::Readiness, trial);
}

/// An I/O error at each call after the reply.
pub(super) fn after(_: Language, trial: &mut Trial) {
    io_errors(Scene::new(), Phase::Commit, trial);
}

/// Every other error at each call that can have it.
pub(super) fn others(_: Language, trial: &mut Trial) {
    other_errors(Scene::new(), trial);
}

/// The same with a mounted file.
pub(super) fn before_mounted(_: Language, trial: &mut Trial) {
    io_errors(Scene::with_mounted_file(), Phase::Readiness, trial);
}

/// The same with a mounted file.
pub(super) fn after_mounted(_: Language, trial: &mut Trial) {
    io_errors(Scene::with_mounted_file(), Phase::Commit, trial);
}

/// The same with a mounted file.
pub(super) fn others_mounted(_: Language, trial: &mut Trial) {
    other_errors(Scene::with_mounted_file(), trial);
}

/// The file may not be replaced: where its content may be changed it is, else the pair is kept.
pub(super) fn renames(_: Language, trial: &mut Trial) {
    let mut injection = Injection::new(Scene::new());
    for (error, is_saved) in [
        ("EXDEV", true),
        ("EBUSY", true),
        ("EPERM", true),
        ("EACCES", true),
        ("EIO", false),
        ("ENOSPC", false),
        ("EROFS", false),
    ] {
        let fault = format!("renameat2,rename:error={error}:when=1+");
        injection.attempt(Phase::Commit, &fault, Span::Lasting, trial, |refresh, trial| {
            let is_right = refresh.answer["pending_save"] != is_saved;
            trial.check(is_right, || format!("saved although it cannot be, or not: {fault}"));
        });
    }
    injection.finish(trial);
}

/// An I/O error at each call of `phase` in turn.
fn io_errors(scene: Scene, phase: Phase, trial: &mut Trial) {
    let spans: &[Span] = match phase {
        Phase::Readiness => sized(&[Span::Once], &[Span::Once, Span::Lasting]),
        Phase::Commit => {
            sized(&[Span::Once, Span::Lasting], &[Span::Once, Span::Twice, Span::Lasting])
        }
    };
    let mut injection = Injection::new(scene);
    let calls = injection.calls(phase);
    let has =
        |name: &str, file| calls.iter().any(|call| call.name == name && call.file() == Some(file));
    trial.check(has("fsync", ".tmp"), || format!("{phase:?}: no sync of the temp file"));
    for span in spans {
        for call in calls.iter().filter(|call| is_injectable(call, *span)) {
            injection.fail(phase, call, "EIO", *span, trial);
        }
    }
    injection.finish(trial);
}

fn other_errors(scene: Scene, trial: &mut Trial) {
    let mut injection = Injection::new(scene);
    for phase in [Phase::Readiness, Phase::Commit] {
        for call in injection.calls(phase) {
            let errors = OTHER_ERRORS.iter().find(|(name, _)| *name == call.name);
            let errors = errors.map_or(&[][..], |(_, errors)| errors);
            for error in errors.iter().take(sized(1, errors.len())) {
                injection.fail(phase, &call, error, Span::Once, trial);
            }
        }
    }
    injection.finish(trial);
}

/// The runtime wakes itself by a write, which must not fail in the place of the next write.
fn is_injectable(call: &Call, span: Span) -> bool {
    match (call.name.as_str(), span) {
        (_, Span::Once) => true,
        ("write", Span::Twice) => call.file() == Some("auth.json"),
        ("write" | "close", _) => false,
        _ => true,
    }
}

/// A contender whose calls fail.
struct Injection {
    scene: Scene,
    contender: Contender,
    thread: String,
    /// What each refresh begins with: a longer one would take more calls to read.
    ledger: Vec<u8>,
}

/// A refresh with one of them failing.
#[derive(Debug)]
struct Refresh {
    answer: Value,
    /// What the contender says once it had time to save.
    closed: Value,
    calls: Vec<Call>,
}

impl Injection {
    /// One that has saved twice, so that its thread runs, its lock files are there, and as open as
    /// the record that a sign-in has stored.
    fn new(mut scene: Scene) -> Self {
        let mut contender = scene.contender(Language::Rust);
        for _ in 0..2 {
            contender.go();
            let answer = contender.answer();
            assert_eq!(answer["status"], 200, "{answer}");
            scene.realm.run("kill_access", &json!({}));
            scene.sign_in();
        }
        let thread = own_thread(contender.process().id());
        let ledger = std::fs::read(scene.home().join(LEDGER)).expect("a ledger");
        Self { scene, contender, thread, ledger }
    }

    /// The calls on files of the home that one good refresh makes in `phase`.
    fn calls(&mut self, phase: Phase) -> Vec<Call> {
        let mut refresh = || {
            let refresh = self.refresh(phase, None, Span::Once);
            assert_eq!(refresh.answer["status"], 200, "{refresh:#?}");
            refresh
        };
        // One of the two may look at the mount table again, since its last look is too old by then.
        let opened =
            |refresh: &Refresh| refresh.calls.iter().filter(|call| call.name == "openat").count();
        let refresh = [refresh(), refresh()].into_iter().min_by_key(opened).expect("two");
        let is_request = |call: &Call| matches!(&*call.name, "socket" | "writev" | "sendto");
        let is_early = |call: &Call| phase == Phase::Commit || !is_request(call);
        // Debug builds ask for flags before they close.
        let is_meant = |call: &Call| call.is_in(self.scene.home()) && call.name != "fcntl";
        refresh.calls.into_iter().take_while(is_early).filter(is_meant).collect()
    }

    /// One refresh in which `call` fails with `error`.
    fn fail(&mut self, phase: Phase, call: &Call, error: &str, span: Span, trial: &mut Trial) {
        let nth = call.nth;
        let when = match span {
            Span::Once => nth.to_string(),
            Span::Twice => format!("{nth}..{}", nth + 1),
            Span::Lasting => format!("{nth}+"),
        };
        let fault = format!("{}:error={error}:when={when}", call.name);
        // One that cannot be synced, as some cannot.
        let home = self.scene.home().file_name();
        let is_folder = call.file().map(AsRef::as_ref) == home && phase == Phase::Commit;
        self.attempt(phase, &fault, span, trial, |refresh, trial| {
            let is_renamed = is_folder && call.name == "fsync" && span == Span::Once;
            let is_no_failure = is_folder && matches!(error, "EACCES" | "EINVAL");
            if error == "EINTR" || is_renamed || is_no_failure {
                let is_unnoticed = refresh.answer["events"] == json!(["adopted", "refreshed"]);
                trial.check(is_unnoticed, || "that is no failure".to_owned());
            }
            let is_sync = call.name == "fsync" && error == "EIO" && phase == Phase::Commit;
            if is_sync && span == Span::Once {
                check_synced_again(refresh, trial);
            }
        });
    }

    /// A refresh in which `fault` strikes in the home, and how many requests it took. Calls
    /// elsewhere are counted too: one more reads the mount table again where the last look at it is
    /// some seconds old, and then `fault` has struck there.
    fn refresh_with(&mut self, phase: Phase, fault: &str, span: Span) -> (Refresh, u64) {
        let mut tries = 0;
        loop {
            let before = self.scene.presented();
            let refresh = self.refresh(phase, Some(fault), span);
            tries += 1;
            if self.is_hit(&refresh) || tries == MOST_TRIES {
                return (refresh, self.scene.presented() - before);
            }
        }
    }

    fn is_hit(&self, refresh: &Refresh) -> bool {
        let is_hit = |call: &Call| call.is_injected() && call.is_in(self.scene.home());
        refresh.calls.iter().any(is_hit)
    }

    /// One refresh with `fault`, which must come through or be refused with nothing spent.
    fn attempt(
        &mut self,
        phase: Phase,
        fault: &str,
        span: Span,
        trial: &mut Trial,
        check: impl FnOnce(&Refresh, &mut Trial),
    ) {
        let lost_before = trial.lost.len();
        if lost_before >= ENOUGH_LOST {
            return;
        }
        let (refresh, presented) = self.refresh_with(phase, fault, span);
        trial.tried += 1;
        trial.check(self.is_hit(&refresh), || "not injected".to_owned());
        if refresh.answer["status"] == 200 {
            check_events(&refresh, trial);
            let is_saved = refresh.closed["pending_save"] == false;
            trial.check(is_saved, || "not saved".to_owned());
            self.scene.check_good(trial);
        } else {
            let is_unspent = phase == Phase::Readiness && presented == 0;
            trial.check(is_unspent, || format!("refused, although {presented} were spent"));
            // The panic is the standard library's, where a folder cannot even be closed.
            let message = refresh.answer["message"].as_str().unwrap_or_default();
            let is_clear = message.contains("os error") || message.contains("interrupted");
            trial.check(is_clear, || "taken for something else".to_owned());
            self.scene.serve(&mut self.contender, trial);
        }
        check(&refresh, trial);
        for loss in &mut trial.lost[lost_before..] {
            *loss = format!("{phase:?}, {fault}: {loss}: {refresh:#?}");
        }
    }

    /// A refresh that is traced in `phase`.
    fn refresh(&mut self, phase: Phase, fault: Option<&str>, span: Span) -> Refresh {
        let realm = self.scene.realm.clone();
        realm.run("kill_access", &json!({}));
        self.scene.sign_in();
        std::fs::write(self.scene.home().join(LEDGER), &self.ledger).expect("written");
        let mut tracer = None;
        let answer = if phase == Phase::Readiness {
            tracer = Some(Tracer::attach(&self.thread, fault));
            self.contender.go();
            self.contender.answer()
        } else {
            let thread = &self.thread;
            self.scene.request(&mut self.contender, || {
                tracer = Some(Tracer::attach(thread, fault));
            })
        };
        let tracer = tracer.expect("attached");
        if span == Span::Lasting {
            let calls = tracer.detach();
            return Refresh { answer, closed: self.contender.close(), calls };
        }
        let closed = self.contender.close();
        Refresh { answer, closed, calls: tracer.detach() }
    }

    /// After all that, a refresh works and leaves nothing behind.
    fn finish(mut self, trial: &mut Trial) {
        self.scene.realm.run("kill_access", &json!({}));
        self.scene.sign_in();
        self.scene.serve(&mut self.contender, trial);
        let names = std::fs::read_dir(self.scene.home()).expect("readable").flatten();
        let left: Vec<_> = names
            .map(|entry| entry.file_name())
            .filter(|name| name.to_string_lossy().ends_with(".tmp"))
            .collect();
        trial.check(left.is_empty(), || format!("left behind: {left:?}"));
    }
}

/// A save that fails is told once, and that it is mended too.
fn check_events(refresh: &Refresh, trial: &mut Trial) {
    let events = |answer: &Value| answer["events"].as_array().cloned().unwrap_or_default();
    let all = [events(&refresh.answer), events(&refresh.closed)].concat();
    let is_pending = refresh.answer["pending_save"] == true;
    let (smooth, bumpy): (&[&str], &[&str]) =
        (&["adopted", "refreshed"], &["adopted", "refreshed", "save_failed", "save_recovered"]);
    let is_right = if is_pending { all == bumpy } else { all == smooth || all == bumpy };
    trial.check(is_right, || "the events tell something else".to_owned());
}

/// What failed to be synced is written and synced again, not taken for saved.
fn check_synced_again(refresh: &Refresh, trial: &mut Trial) {
    let failed = refresh.calls.iter().rposition(Call::is_injected).unwrap_or_default();
    let (failed, later) = (&refresh.calls[failed], &refresh.calls[failed + 1..]);
    let is_redone = |call: &Call| {
        call.name == "fsync" && call.file() == failed.file() && call.line.ends_with("= 0")
    };
    trial.check(later.iter().any(is_redone), || "a failed sync was ignored".to_owned());
}

//! Help, completions, the manual, and colours.

use std::io::Write as _;
use std::process::{Command, Stdio};

use codex_auth_tests::privilege::is_denied;

use crate::scene::Scene;

/// The subcommands that the help lists.
fn subcommands(scene: &Scene) -> Vec<String> {
    let help = scene.run(&["--help"]);
    let listed = help.assert_done().lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed.map_while(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

#[test]
fn each_help_has_an_example() {
    let scene = Scene::new();
    let names = subcommands(&scene);
    assert!(names.len() >= 8, "{names:?}");
    for name in &names {
        for help in ["--help", "-h"] {
            let ended = scene.run(&[name, help]);
            let text = ended.assert_done();
            let call = format!("\n  codex-auth-sdk {name}");
            let is_shown = text.contains(&call) || text.contains("; codex-auth-sdk token; }");
            assert!(text.contains("\nExamples:\n") && is_shown, "{text}");
        }
    }
    let help = scene.run(&["--help"]);
    assert!(help.assert_done().contains("\nExit codes:\n"), "{help:?}");
    let version = scene.run(&["--version"]);
    assert_eq!(version.assert_done(), concat!("codex-auth-sdk ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn shells_understand_the_completions() {
    let scene = Scene::new();
    for shell in ["bash", "zsh", "fish"] {
        let ended = scene.run(&["completions", shell]);
        let script = ended.assert_done();
        assert!(script.contains("access-token-stdin") && script.contains("min-valid"), "{shell}");
        let probe = || {
            let mut probe = Command::new(shell);
            probe.args(["-c", "true"]);
            probe
        };
        if shell != "bash" && probe().output().is_err() {
            continue;
        }
        if is_denied(shell, "install it", &mut probe()) {
            continue;
        }
        let mut parser = Command::new(shell);
        let mut parser = parser.arg("-n").stdin(Stdio::piped()).spawn().expect("started");
        parser.stdin.take().expect("piped").write_all(script.as_bytes()).expect("read");
        assert!(parser.wait().expect("it ends").success(), "{shell}");
    }
}

#[test]
fn there_is_a_page_for_the_command_and_each_subcommand() {
    let scene = Scene::new();
    let page = scene.run(&["man"]);
    let page = page.assert_done();
    for part in [".TH ", "codex\\-home", "try again later", "export"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for name in subcommands(&scene) {
        let page = scene.run(&["man", &name]);
        let page = page.assert_done();
        assert!(page.contains(".SH SYNOPSIS") && page.contains("Examples:"), "{name}: {page}");
        assert!(page.contains("codex\\-home"), "{name}: {page}");
    }
    scene.run(&["man", "token"]).assert_done();
    scene.run(&["man", "no-such"]).assert_failed(2, "possible values");
}

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let scene = Scene::new();
    let said = |variables: &[(&str, &str)]| {
        let mut command = scene.command(&["token"]);
        command.envs(variables.iter().copied());
        let ended = scene.end(&mut command);
        ended.assert_failed(3, "no login is stored");
        ended.stderr
    };
    assert!(!said(&[]).contains('\u{1b}'));
    assert!(said(&[("CLICOLOR_FORCE", "1")]).contains("\u{1b}["));
    assert!(!said(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).contains('\u{1b}'));
}

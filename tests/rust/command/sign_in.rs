//! `login` and `logout`.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::scene::{Scene, http};

#[test]
fn an_api_key_and_an_access_token_come_by_stdin() {
    let scene = Scene::new();
    let ended = scene.run_with(&["login", "--api-key-stdin"], "sk-test-1\n");
    assert_eq!(ended.assert_done(), "Signed in: mode api_key\n");
    assert_eq!(scene.stored()["OPENAI_API_KEY"], "sk-test-1");
    let ended = scene.run_with(&["login", "--access-token-stdin"], " at-test-1\r\n");
    assert_eq!(ended.assert_done(), "Signed in: mode personal_access_token\n");
    assert_eq!(scene.stored()["personal_access_token"], "at-test-1");
    for nothing in ["", "two words"] {
        let ended = scene.run_with(&["login", "--api-key-stdin"], nothing);
        ended.assert_failed(1, "API key");
        assert!(!ended.stderr.contains("two words"), "{ended:?}");
    }
    assert_eq!(scene.stored()["personal_access_token"], "at-test-1");
}

#[test]
fn a_device_signs_in() {
    let scene = Scene::new();
    let ended = scene.run(&["login", "--device"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("Signed in: "), "{ended:?}");
    assert!(ended.stdout.contains("workspace acct-device"), "{ended:?}");
    let address = format!("{}/codex/device", scene.realm().url());
    assert!(ended.stderr.contains(&address) && ended.stderr.contains("TEST-CODE"), "{ended:?}");
    assert_eq!(scene.stored()["tokens"]["account_id"], "acct-device");
}

#[test]
fn a_browser_signs_in() {
    let scene = Scene::new();
    // The command opens a page on this machine, which leads on to the authorization server.
    let browser = scene.path("browser");
    let script = "#!/bin/sh\ncp \"${1#file://}\" \"$CODEX_HOME/page.html\"\n";
    std::fs::write(&browser, script).expect("written");
    std::fs::set_permissions(&browser, PermissionsExt::from_mode(0o755)).expect("a program");
    let mut command = scene.command(&["login", "--port", "0", "--workspace", "acct-device"]);
    command.env("BROWSER", &browser);
    let visits = std::thread::scope(|scope| {
        let visit = scope.spawn(|| visit(&scene));
        let ended = scene.end(&mut command);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.starts_with("If no browser has opened, open"), "{ended:?}");
        visit.join().expect("it has visited")
    });
    assert_eq!(visits, 200);
    assert_eq!(scene.stored()["tokens"]["account_id"], "acct-device");
}

/// Follows the page that the browser was given; the status of what it has led to.
fn visit(scene: &Scene) -> u16 {
    let page = loop {
        let page = std::fs::read_to_string(scene.path("page.html")).unwrap_or_default();
        if page.ends_with("</html>") {
            break page;
        }
        std::thread::yield_now();
    };
    let address = page.split("0;url=").nth(1).and_then(|rest| rest.split('"').next());
    let address = address.expect("an address").replace("&amp;", "&");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .expect("a runtime")
        .block_on(async { http().get(address).send().await.expect("a page").status().as_u16() })
}

#[test]
fn a_sign_in_of_another_workspace_changes_nothing() {
    let scene = Scene::signed_in();
    let before = scene.stored();
    let ended = scene.run(&["login", "--device", "--workspace", "acct-other"]);
    ended.assert_failed(1, "workspace");
    assert_eq!(scene.stored(), before);
}

#[test]
fn a_file_that_holds_no_login_keeps_nobody_from_signing_in_and_out() {
    let scene = Scene::new();
    scene.store("no login");
    let ended = scene.run_with(&["login", "--api-key-stdin"], "sk-test-1");
    ended.assert_failed(0, "warning: the file holds no login");
    assert_eq!(scene.stored()["OPENAI_API_KEY"], "sk-test-1");
    scene.store("no login");
    scene.run(&["logout"]).assert_failed(0, "warning: the file holds no login");
    assert!(!scene.path("auth.json").exists());
}

#[test]
fn a_logout_revokes_unless_it_is_told_not_to() {
    for (arguments, said, revoked) in [
        (&["logout"][..], "Signed out. The tokens are revoked.\n", json!(["refresh:a0"])),
        (
            &["logout", "--no-revoke"],
            "Signed out. Other copies of the tokens still work.\n",
            json!([]),
        ),
    ] {
        let scene = Scene::signed_in();
        assert_eq!(scene.run(arguments).assert_done(), said);
        assert!(!scene.path("auth.json").exists());
        assert_eq!(scene.realm().stats()["revocations"], revoked);
        assert_eq!(scene.run(arguments).assert_done(), "There was no login to remove.\n");
    }
    let scene = Scene::signed_in();
    scene.realm().run("configure", &json!({"revoke": "fail"}));
    let ended = scene.run(&["logout"]);
    assert!(ended.stdout.contains("has not confirmed"), "{ended:?}");
    assert!(!scene.path("auth.json").exists());
}

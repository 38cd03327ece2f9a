//! An `auth.json` that is a mount point and holds no login, in a mount namespace of the test's own.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::world::World;
use crate::secret::Secret;
use crate::storage::FileStorage;
use crate::{LogoutOptions, child};

/// A command in a mount namespace of its own, in which it may mount.
fn unshared() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--mount");
    command
}

/// Signs in, or else out, over a mounted file that holds `content`.
async fn replace(home: &Path, content: &str, signs_in: bool) {
    let path = home.join("auth.json");
    fs::write(&path, content).expect("written");
    let file = path.metadata().expect("there").ino();
    let world = World::new();
    let store = Arc::new(FileStorage::new(home, world.environment.clone()));
    let manager = world.builder().storage(store).build_unread().expect("a manager");
    let read = manager.reload().await;
    assert_eq!(
        read.err().map(|error| error.code()),
        (!content.is_empty()).then_some("store_corrupt")
    );
    assert_eq!(fs::read_to_string(&path).expect("there"), content, "nothing was asked for");
    if signs_in {
        manager.login_with_api_key(&Secret::new("sk-new")).await.expect("signed in");
        assert!(fs::read_to_string(&path).expect("there").contains("sk-new"));
    } else {
        manager.logout(LogoutOptions::default()).await.expect("signed out");
        assert!(["", "{}"].contains(&&*fs::read_to_string(&path).expect("there")));
    }
    assert_eq!(manager.auth().is_some(), signs_in);
    assert!(!manager.reload().await.expect("it is whole"));
    assert_eq!(path.metadata().expect("there").ino(), file, "it is written in place");
    let mut names = fs::read_dir(home).expect("listed").flatten().map(|entry| entry.file_name());
    assert!(!names.any(|name| name.to_string_lossy().contains("broken")), "no copy beside a mount");
}

#[tokio::test(start_paused = true)]
async fn g6_a_mounted_file_that_holds_no_login_is_signed_in_and_out_over_in_place() {
    const TEST: &str = "manager::tests::mounts::\
        g6_a_mounted_file_that_holds_no_login_is_signed_in_and_out_over_in_place";
    if let Some(home) = child::role() {
        for content in ["", "no login", "{\"tokens\": {\"access_"] {
            for signs_in in [true, false] {
                replace(Path::new(&home), content, signs_in).await;
            }
        }
        return;
    }
    if !unshared()
        .args(["mount", "-t", "tmpfs", "none", "/mnt"])
        .status()
        .is_ok_and(|end| end.success())
    {
        return child::skip("a mount");
    }
    let (host, home) = (tempfile::tempdir(), tempfile::tempdir());
    let (host, home) = (host.expect("a folder"), home.expect("a folder"));
    for folder in [&host, &home] {
        fs::write(folder.path().join("auth.json"), "").expect("written");
    }
    let mut mounted = unshared();
    mounted.args(["sh", "-ec", "mount --bind \"$1\" \"$2\"; shift 2; exec \"$@\"", "sh"]);
    mounted.args([host.path().join("auth.json"), home.path().join("auth.json")]);
    let role = home.path().to_str().expect("a text");
    let output = child::play(&mut child::playing_in(mounted, TEST, role));
    assert!(output.status.success(), "{output:?}");
}

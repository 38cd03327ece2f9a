//! The login changes while somebody refreshes it: nobody's is undone, and no two are mixed by us.

use serde_json::{Value, json};

use super::scene::{Scene, Script, expect};
use crate::contender::{Contender, Language};

/// What happens to ours, whatever release the other program is.
pub const OF_ANY_RELEASE: [Script; 5] = [
    Script::new("the same account signs in while ours refreshes", login_under_our_refresh),
    Script::new("another account signs in while ours refreshes", switch_under_our_refresh),
    Script::new("a logout while ours refreshes", logout_under_our_refresh),
    Script::new("a newcomer of ours finds a spent token", newcomer_finds_spent_token),
    Script::new("the same, where that would end the login", newcomer_could_end_the_login),
];

/// What the release decides.
pub const BY_RELEASE: [Script; 2] = [
    Script::new("another account signs in while another refreshes", switch_under_a_foreign_refresh),
    Script::new("a foreign program puts a spent token back", spent_token_put_back),
];

fn login_under_our_refresh(scene: &mut Scene) -> Result<bool, String> {
    refresh_is_granted(scene);
    let written = scene.login.sign_in("b", "acct-a");
    scene.control("release", &json!({}));
    scene.succeeds()?;
    is_untouched(scene, Some(&written))
}

fn switch_under_our_refresh(scene: &mut Scene) -> Result<bool, String> {
    refresh_is_granted(scene);
    let written = scene.login.sign_in("b", "acct-b");
    scene.control("release", &json!({}));
    scene.fails_with("identity_mismatch")?;
    is_untouched(scene, Some(&written))?;
    scene.request()?;
    is_untouched(scene, Some(&written))
}

fn logout_under_our_refresh(scene: &mut Scene) -> Result<bool, String> {
    refresh_is_granted(scene);
    std::fs::remove_file(scene.login.home().join("auth.json"))
        .map_err(|error| error.to_string())?;
    scene.control("release", &json!({}));
    scene.fails_with("logged_out")?;
    is_untouched(scene, None)
}

/// Ours has redeemed the token and does not have the answer yet.
fn refresh_is_granted(scene: &mut Scene) {
    scene.control("kill_access", &json!({}));
    scene.control("hold", &json!({"at": "reply"}));
    scene.contender.go();
    scene.wait(&json!({"held": 1}));
}

/// Ours has left the store alone, and revoked nothing.
fn is_untouched(scene: &Scene, written: Option<&str>) -> Result<bool, String> {
    let stored = scene.login.stored();
    expect(stored.as_deref() == written, || format!("not what was written: {stored:?}"))?;
    let stats = scene.stats();
    expect(stats["revocations"] == json!([]), || format!("revoked: {stats}"))?;
    expect(stats["api_wrong_account"] == 0, || "accounts were mixed".to_owned())?;
    Ok(false)
}

fn switch_under_a_foreign_refresh(scene: &mut Scene) -> Result<bool, String> {
    scene.control("kill_access", &json!({}));
    let grant = scene.program.redeem()?;
    let written = scene.login.sign_in("b", "acct-b");
    let saved = scene.program.save(&grant);
    expect(saved.is_err() == scene.release.compares, || format!("its save: {saved:?}"))?;
    let found = scene.login.stored();
    let is_mixed = found.as_deref() != Some(&written);
    // Ours is still with the first account: it has nothing to do with what is stored now.
    scene.contender.go();
    scene.fails_with("identity_mismatch")?;
    is_untouched(scene, found.as_deref())?;
    expect(scene.stats()["requests"] == 1, || "ours redeemed for another login".to_owned())?;
    Ok(is_mixed)
}

/// As by a write that began two rotations ago, or by a backup.
fn spent_token_put_back(scene: &mut Scene) -> Result<bool, String> {
    let mut adopter = scene.login.contender(Language::Rust, &json!({}));
    let first = rotate_twice(scene)?;
    request(&mut adopter)?;
    let saved = scene.program.save(&first["tokens"]);
    expect(saved.is_err() == scene.release.compares, || format!("its save: {saved:?}"))?;
    expect(scene.login.is_live() == scene.release.compares, || "nothing was put back".to_owned())?;
    scene.control("kill_access", &json!({}));
    request(&mut adopter)?;
    scene.request()?;
    is_presented_once(scene)
}

fn newcomer_finds_spent_token(scene: &mut Scene) -> Result<bool, String> {
    let first = rotate_twice(scene)?;
    scene.login.store(&first.to_string());
    let mut newcomer = scene.login.contender(Language::Rust, &json!({}));
    newcomer.go();
    scene.wait(&json!({"api_unauthorized": 3}));
    // Only one that has been there all along knows the good token.
    scene.contender.read();
    let answer = scene.contender.answer();
    expect(answer["reads"].is_u64(), || format!("ours failed: {answer}"))?;
    let answer = newcomer.answer();
    expect(answer["status"] == 200, || format!("the newcomer failed: {answer}"))?;
    is_presented_once(scene)
}

fn newcomer_could_end_the_login(scene: &mut Scene) -> Result<bool, String> {
    scene.control("configure", &json!({"policy": "revoke_family"}));
    newcomer_finds_spent_token(scene)
}

/// Two rotations by ours; the record before them.
fn rotate_twice(scene: &mut Scene) -> Result<Value, String> {
    let first = serde_json::from_str(&scene.login.stored().unwrap_or_default());
    for _ in 0..2 {
        scene.control("kill_access", &json!({}));
        scene.request()?;
    }
    first.map_err(|error| error.to_string())
}

fn request(contender: &mut Contender) -> Result<(), String> {
    contender.go();
    let answer = contender.answer();
    expect(answer["status"] == 200, || format!("ours failed: {answer}"))
}

fn is_presented_once(scene: &Scene) -> Result<bool, String> {
    scene.is_live()?;
    let stats = scene.stats();
    expect(stats["refused"] == 0, || format!("a spent token was presented: {stats}"))?;
    Ok(false)
}

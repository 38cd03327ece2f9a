//! Both redeem the same token: one wins, the other is refused.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::scene::{Scene, Script, expect};

/// Every order in which the two can come.
pub const RACES: [Script; 6] = [
    Script::new("a foreign winner saves while ours waits", winner_saves_while_we_wait),
    Script::new("a foreign winner's save is cut short while ours looks", winner_saves_in_parts),
    Script::new("a foreign winner has saved before ours is refused", winner_is_faster),
    Script::new("a foreign loser, and what we do not know survives", loser),
    impatient("a foreign winner saves later than ours waits", winner_is_too_late),
    impatient("a foreign winner never saves", winner_never_saves),
];

const fn impatient(name: &'static str, play: fn(&mut Scene) -> Result<bool, String>) -> Script {
    Script { winner_wait: 0.3, ..Script::new(name, play) }
}

fn winner_saves_while_we_wait(scene: &mut Scene) -> Result<bool, String> {
    scene.control("kill_access", &json!({}));
    let grant = scene.program.redeem()?;
    scene.contender.go();
    scene.wait(&json!({"refused": 1}));
    scene.program.save(&grant)?;
    adopts(scene)
}

fn winner_saves_in_parts(scene: &mut Scene) -> Result<bool, String> {
    scene.control("kill_access", &json!({}));
    let grant = scene.program.redeem()?;
    scene.contender.go();
    scene.wait(&json!({"refused": 1}));
    let process = scene.contender.process().id();
    scene.program.save_in_parts(&grant, || wait_for_reads(process))?;
    adopts(scene)
}

/// Returns when the process has read something, and once more, or seems to have given up.
fn wait_for_reads(process: u32) {
    let reads = || {
        let counters = std::fs::read_to_string(format!("/proc/{process}/io")).expect("it runs");
        let mut lines = counters.lines();
        let reads: Option<u64> = lines.find_map(|line| line.strip_prefix("syscr: ")?.parse().ok());
        reads.expect("a counter")
    };
    let (start, before) = (Instant::now(), reads());
    while reads() < before + 2 && start.elapsed() < Duration::from_secs(5) {
        std::thread::yield_now();
    }
}

fn winner_is_faster(scene: &mut Scene) -> Result<bool, String> {
    scene.control("kill_access", &json!({}));
    scene.control("hold", &json!({}));
    scene.contender.go();
    scene.wait(&json!({"held": 1}));
    let grant = scene.program.redeem()?;
    scene.program.save(&grant)?;
    scene.control("release", &json!({}));
    adopts(scene)
}

/// Ours was refused once and uses what the foreign program saved.
fn adopts(scene: &mut Scene) -> Result<bool, String> {
    scene.succeeds()?;
    let stats = scene.stats();
    let is_adopted = stats["requests"] == 2 && stats["refused"] == 1;
    expect(is_adopted, || format!("not adopted: {stats}"))?;
    scene.is_live().map(|()| false)
}

fn loser(scene: &mut Scene) -> Result<bool, String> {
    let mut record: Value =
        serde_json::from_str(&scene.login.stored().unwrap_or_default()).unwrap_or_default();
    record["from_the_future"] = json!({"deep": [1.5, null]});
    record["tokens"]["login_owner_id"] = json!("owner");
    scene.login.store(&record.to_string());
    scene.control("kill_access", &json!({}));
    scene.control("hold", &json!({"at": "reply"}));
    scene.contender.go();
    scene.wait(&json!({"held": 1}));
    let refusal = scene.program.turn();
    expect(refusal.is_err(), || "the foreign program was not refused".to_owned())?;
    scene.control("release", &json!({}));
    scene.succeeds()?;
    scene.is_live()?;
    let stored: Value =
        serde_json::from_str(&scene.login.stored().unwrap_or_default()).unwrap_or_default();
    let are_kept = stored["from_the_future"] == record["from_the_future"]
        && stored["tokens"]["login_owner_id"] == "owner";
    expect(are_kept, || format!("fields were lost: {stored}"))?;
    // One that does not read before it redeems stays where it is, whoever wins.
    let next = scene.program.turn();
    expect(next.is_ok() == scene.release.reads_first, || format!("its next turn: {next:?}"))?;
    Ok(false)
}

fn winner_is_too_late(scene: &mut Scene) -> Result<bool, String> {
    let grant = believed_refusal(scene)?;
    scene.program.save(&grant)?;
    let requests = scene.stats()["requests"].clone();
    scene.request()?;
    expect(scene.stats()["requests"] == requests, || "ours redeemed again".to_owned())?;
    scene.is_live()?;
    Ok(true)
}

fn winner_never_saves(scene: &mut Scene) -> Result<bool, String> {
    drop(believed_refusal(scene)?);
    let requests = scene.stats()["requests"].clone();
    scene.contender.go();
    scene.fails_with("refresh_token_reused")?;
    expect(scene.stats()["requests"] == requests, || "ours asked again".to_owned())?;
    scene.login.sign_in("b", "acct-a");
    scene.request()?;
    scene.is_live()?;
    Ok(true)
}

/// What the foreign program was granted and has not saved when ours stops waiting for it.
fn believed_refusal(scene: &mut Scene) -> Result<Value, String> {
    scene.control("kill_access", &json!({}));
    let grant = scene.program.redeem()?;
    scene.contender.go();
    scene.fails_with("refresh_token_reused")?;
    Ok(grant)
}

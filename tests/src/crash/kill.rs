//! What one kill came to.

use serde_json::Value;

use super::home::{Fate, Home};
use crate::torture::Trial;

/// What the survivors say, and the issuer's records.
#[derive(Debug)]
pub(super) struct Kill {
    pub(super) answers: Vec<Value>,
    pub(super) fate: Result<Fate, String>,
    /// What became of the first refresh token.
    pub(super) first: Value,
}

impl Kill {
    /// Whether the login is lost by the exception that the guarantee names: the token of the
    /// killed was spent, and what was granted for it never stored. The error says what is wrong.
    pub(super) fn is_excepted(&self) -> Result<bool, String> {
        let fate = self.fate.as_ref().map_err(Clone::clone)?;
        let all = |is_so: fn(&Value) -> bool| self.answers.iter().all(is_so);
        if fate.is_good && all(|answer| answer["status"] == 200) {
            return Ok(false);
        }
        // Invalidated where one has presented it and was killed before it could say so; rejected
        // where it is known that an answer was lost.
        let is_clear = all(|answer| {
            let refused =
                ["refresh_token_reused", "refresh_token_invalidated", "refresh_token_rejected"];
            refused.iter().any(|code| answer["error"] == *code)
        });
        let is_unsaved = fate.successor.is_some() && is_clear;
        if !fate.is_good && (is_unsaved || self.was_overtaken(fate)) {
            return Ok(true);
        }
        Err(format!("{self:?}"))
    }

    /// Whether the server came to the request of a killed one only after that of the next, and
    /// revoked for it what the next had got and stored.
    fn was_overtaken(&self, fate: &Fate) -> bool {
        let of_first = |what: &str| self.first[what].as_u64().unwrap_or_default();
        fate.label == "a1" && of_first("delivered") == 1 && of_first("unclear") > 0
    }
}

/// What must hold in `home` when those who are left have done what they can. `most_left` temp files
/// of the killed may wait for the next refresh, where nobody had to refresh yet.
pub(super) fn check_home(home: &Home, most_left: usize, trial: &mut Trial) {
    let (temp_files, held) = (home.temp_files(), home.held_locks());
    trial.check(temp_files <= most_left, || format!("{temp_files} temp files are left"));
    trial.check(held.is_empty(), || format!("{held:?} are still held"));
    trial.check(home.has_locks(), || "a lock file was removed".to_owned());
    let stats = home.realm().stats();
    // A second time only what the server grants again.
    let most = 1 + stats["regrants"].as_u64().unwrap_or_default();
    let redemptions = stats["max_redemptions"].as_u64().unwrap_or_default();
    trial.check(redemptions <= most, || format!("a token was redeemed twice: {stats}"));
}

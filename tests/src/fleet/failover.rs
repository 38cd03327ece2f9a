//! A standby that takes over, and has missed the last rotation.

use serde_json::json;

use super::{Fate, Fleet, get_through};
use crate::contender::Contender;
use crate::postgres::Stop;
use crate::torture::Trial;

/// What is left that knows the successor of the token that the standby brings back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The program that has redeemed it.
    Redeemer,
    /// Another one, which has adopted the successor.
    Adopter,
    /// None: this is the third exception.
    None,
}

impl Witness {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Redeemer, Self::Adopter, Self::None];

    /// Has a standby take over that has missed a rotation. None where there can be no database.
    ///
    /// # Panics
    ///
    /// If the standby does not take over.
    #[must_use]
    pub fn trial(self, has_grace: bool) -> Option<Trial> {
        let mut row =
            Trial::new(format!("a standby that has missed a rotation; left is: {self:?}"));
        let config = if has_grace { json!({"grace_ms": 600_000}) } else { json!({}) };
        let mut fleet = Fleet::new(&config)?;
        let standby = fleet.database.standby();
        let url = fleet.database.url_with(&standby);
        let [mut redeemer, mut adopter] = [(); 2].map(|()| fleet.start_at(&url, &fleet.realm));
        standby.leave_behind();
        row.tried += 1;
        for contender in [&mut redeemer, &mut adopter] {
            contender.go();
            let answer = contender.answer();
            row.check(answer["status"] == 200, || answer.to_string());
        }
        fleet.database.stop(Stop::Immediate);
        standby.promote();
        let primary = std::mem::replace(&mut fleet.database, standby);
        let mut newcomer = fleet.start_at(&url, &fleet.realm);
        newcomer.go();
        fleet.database.wait_until(
            "SELECT count(*) = 1 FROM codex_auth_sdk_logins WHERE holder LIKE 'timeline %'",
        );
        let witness: Option<&mut Contender> = match self {
            Self::Redeemer => Some(&mut redeemer),
            Self::Adopter => Some(&mut adopter),
            Self::None => None,
        };
        let is_excepted = witness.is_none();
        if let Some(witness) = witness {
            witness.read();
            let answer = witness.answer();
            row.check(answer["reads"].is_u64(), || answer.to_string());
        }
        let answer = newcomer.answer();
        let fate = fleet.judge(is_excepted);
        let expected = match (is_excepted, has_grace) {
            (false, _) => Fate::Well,
            (true, true) => Fate::Forgiven,
            (true, false) => Fate::Lost,
        };
        row.check(fate == Ok(expected), || format!("{has_grace}: {fate:?}; {answer}"));
        row.excepted += u64::from(is_excepted);
        if !is_excepted || has_grace {
            let through = get_through(&mut newcomer);
            row.check(through.is_ok(), || format!("{through:?}"));
        }
        fleet.begin();
        for contender in [&mut redeemer, &mut adopter, &mut newcomer] {
            let through = get_through(contender);
            row.check(through.is_ok(), || format!("the next login: {through:?}"));
        }
        drop(primary);
        Some(row)
    }
}

//! The rule: whether an access token is fresh, due or expired.

use chrono::{DateTime, TimeDelta, Utc};

use super::renewal::Renewal;
use super::skew::NO_SKEW;
use super::timekeeping::Timekeeping;
use super::token_times::{LONGEST_LIFE, TokenTimes, is_believable};
use crate::environment::Moment;
use crate::secret::Fingerprint;

/// While the skew is not known, a token is usable if its record is younger than this.
const JUST_STORED: TimeDelta = TimeDelta::seconds(60);

/// A record that is younger than this is not refreshed ahead of time.
const TOO_NEW: TimeDelta = TimeDelta::seconds(5);

/// An access token that is younger than this is not rejected for its age.
const YOUNG: TimeDelta = TimeDelta::seconds(60);

/// The widest default refresh window.
const WIDEST_WINDOW: TimeDelta = TimeDelta::minutes(10);

/// After which time a login is refreshed whose access token does not say when it expires.
const OLDEST_UNDATED: TimeDelta = TimeDelta::days(7);

/// Whether an access token is usable, and whether its refresh is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It is usable, and no refresh is due.
    Fresh,
    /// It is usable, and its refresh is due.
    Due,
    /// It is not usable: a refresh must come first.
    Expired,
}

/// One access token at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    times: TokenTimes,
    now: Moment,
    /// By how much the wall clock is ahead of the server's; none if that is not known.
    ahead: Option<TimeDelta>,
    renewal: Option<Renewal>,
    /// The refresh window that an option sets.
    asked_window: Option<TimeDelta>,
}

impl Timing {
    pub(crate) fn new(
        times: TokenTimes,
        access_token: Option<Fingerprint>,
        known: &Timekeeping,
        now: &Moment,
        asked_window: Option<TimeDelta>,
    ) -> Self {
        let renewal = access_token.and_then(|token| known.renewal(token));
        Self {
            times,
            now: *now,
            ahead: known.ahead(now),
            renewal: renewal.filter(|renewal| renewal.age(now).is_some()).copied(),
            asked_window,
        }
    }

    pub(crate) fn freshness(&self) -> Freshness {
        if self.due_in().is_none_or(|wait| wait > TimeDelta::zero()) {
            Freshness::Fresh
        } else if self.is_expired() {
            Freshness::Expired
        } else {
            Freshness::Due
        }
    }

    /// Returns whether the token has expired, as far as is known.
    pub(crate) fn is_expired(&self) -> bool {
        match (self.left_by_boot(), self.left()) {
            // The wall clock may be wrong about a token that came here; the boot clock is not.
            (Some(left), _) => left <= TimeDelta::zero(),
            (None, Some(left)) => left <= TimeDelta::zero() && !self.may_be_new(),
            (None, None) => false,
        }
    }

    /// Returns whether the token has come to its end since its record was stored. If it had before,
    /// a refresh has brought no better token. A skew of less than 30 s is not known, so the last
    /// 30 s of a life belong to its end, or the last half of a short one.
    pub(crate) fn has_aged_out(&self) -> bool {
        let margin = self.life().map_or(TimeDelta::zero(), |life| NO_SKEW.min(life / 2));
        let ahead = self.ahead.unwrap_or_default();
        let ends = self.times.expires_at.zip(self.times.stored_at);
        let is_at_its_end = self.is_expired() || self.left().is_some_and(|left| left <= margin);
        is_at_its_end && ends.is_none_or(|(end, stored)| stored < end + ahead - margin)
    }

    /// Returns how long it is until the refresh is due. Returns zero or less if it is due, and none
    /// if it never will be.
    pub(crate) fn due_in(&self) -> Option<TimeDelta> {
        let left = self.left();
        let due = match left {
            Some(left) => left - self.window(),
            None => OLDEST_UNDATED - self.age()?,
        };
        let floor = self.floor().filter(|_| !self.contradicts(left));
        Some([floor, self.too_new()].into_iter().flatten().fold(due, TimeDelta::max))
    }

    /// Returns the time on the wall clock until which no refresh is due, and at most `longest` from
    /// the moment that was judged: the thread may have stood still since.
    pub(crate) fn fresh_until(&self, longest: TimeDelta) -> DateTime<Utc> {
        self.now.wall() + self.due_in().unwrap_or(longest).clamp(TimeDelta::zero(), longest)
    }

    /// Returns how long before the token expires its refresh is due.
    pub(crate) fn window(&self) -> TimeDelta {
        let widest = |life: TimeDelta| WIDEST_WINDOW.min(life / 2);
        let by_default = || self.life().map_or(WIDEST_WINDOW, widest);
        self.explicit_window().unwrap_or_else(by_default)
    }

    /// Returns whether the token is too new to be rejected for its age.
    pub(crate) fn is_young(&self) -> bool {
        self.youth_left() > TimeDelta::zero()
    }

    /// Returns for how long the token is young; zero or less if it is not, or if its age is not
    /// known.
    pub(crate) fn youth_left(&self) -> TimeDelta {
        let by_server = || {
            let issued = self.now.after(self.times.issued_at?);
            Some(issued - self.ahead.unwrap_or_default())
        };
        let limit = self.life().map_or(YOUNG, |life| YOUNG.min(life / 2));
        self.age().or_else(by_server).map_or(TimeDelta::zero(), |age| limit - age.abs())
    }

    /// Returns whether the token says when it expires, and that makes sense.
    pub(crate) fn is_dated(&self) -> bool {
        self.times.expires_at.is_some() && self.is_life_believable()
    }

    fn is_life_believable(&self) -> bool {
        match self.renewal {
            Some(renewal) => renewal.life().is_some(),
            None => self.times.claimed_life().is_none_or(|life| is_believable(&life)),
        }
    }

    /// Returns how long it is until the token expires; none if that is not known.
    pub(crate) fn left(&self) -> Option<TimeDelta> {
        let end = self.times.expires_at.filter(|_| self.is_dated())?;
        let by_wall = self.ahead.unwrap_or_default() - self.now.after(end);
        Some(match self.left_by_boot() {
            None => by_wall,
            // The reply that brought the token did not say what time it is.
            Some(by_boot) if self.ahead.is_none() && !self.has_stepped() => by_boot,
            Some(by_boot) => by_boot.min(by_wall),
        })
    }

    /// Returns how long it is until the token expires, if this machine received it in this boot. It
    /// may be less: the boot clock of a virtual machine stands still while the machine is paused.
    fn left_by_boot(&self) -> Option<TimeDelta> {
        let renewal = self.renewal?;
        Some(renewal.life()? - renewal.age(&self.now)?)
    }

    /// Returns how long ago the token was received or stored.
    fn age(&self) -> Option<TimeDelta> {
        let by_boot = self.renewal.and_then(|renewal| renewal.age(&self.now));
        by_boot.or_else(|| Some(self.now.after(self.times.stored_at?)))
    }

    /// Returns the lifetime of the token; none if that is not known.
    pub(crate) fn life(&self) -> Option<TimeDelta> {
        let renewed = self.renewal.as_ref().and_then(Renewal::life);
        let claimed = || self.times.claimed_life().filter(is_believable);
        let since_stored = || {
            let ahead = self.ahead.unwrap_or_default();
            let life = self.times.expires_at? - self.times.stored_at? + ahead;
            Some(life).filter(is_believable)
        };
        renewed.or_else(claimed).or_else(since_stored)
    }

    /// The window that an option asks for. One as wide as the token's life would make it due from
    /// its first second on.
    fn explicit_window(&self) -> Option<TimeDelta> {
        let life = self.life();
        self.asked_window.filter(|window| match life {
            Some(life) => *window < life,
            None => *window <= LONGEST_LIFE,
        })
    }

    /// How long a token that came here is not to be renewed ahead of time: half its life, so that
    /// no clock, however wrong, makes a loop.
    fn floor(&self) -> Option<TimeDelta> {
        let renewal = self.renewal.filter(|_| self.explicit_window().is_none())?;
        Some(renewal.life()? / 2 - renewal.age(&self.now)?)
    }

    /// Whether the wall clock says that the token has ended, and was set since the token came: then
    /// one of the clocks is wrong, and one redemption tells which.
    fn contradicts(&self, left: Option<TimeDelta>) -> bool {
        self.has_stepped() && left.is_some_and(|left| left <= TimeDelta::zero())
    }

    fn has_stepped(&self) -> bool {
        self.renewal.is_some_and(|renewal| renewal.has_stepped(&self.now))
    }

    /// How long the writer of the record is believed to have seen to it.
    fn too_new(&self) -> Option<TimeDelta> {
        let ago = self.now.after(self.times.stored_at?);
        (ago.abs() < TOO_NEW).then(|| TOO_NEW - ago)
    }

    /// Whether the wall clock may be wrong about a token that another program has just stored.
    fn may_be_new(&self) -> bool {
        let ago = self.times.stored_at.map(|at| self.now.after(at));
        self.ahead.is_none() && ago.is_some_and(|ago| ago.abs() < JUST_STORED)
    }
}

#[cfg(test)]
mod tests;

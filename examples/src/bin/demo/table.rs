//! The result, per language, and what must be true of it.

use serde_json::Value;

use crate::Result;
use crate::frontend::{Frontend, Language, Tally};

pub(crate) struct Row {
    /// Whether it uses the library.
    pub(crate) is_ours: bool,
    pub(crate) name: &'static str,
    pub(crate) processes: usize,
    pub(crate) requests: u64,
    /// 401s that a recovery got over; the CLI does not tell.
    pub(crate) recovered: Option<u64>,
    pub(crate) redemptions: u64,
    pub(crate) logouts: u64,
    pub(crate) slowest_ms: f64,
    pub(crate) errors: Vec<String>,
}

impl Row {
    pub(crate) fn of(language: Language, frontends: &[Frontend], stats: &Value) -> Self {
        let own = frontends.iter().filter(|frontend| frontend.language == language);
        let tallies: Vec<Tally> = own.map(Frontend::tally).collect();
        Self {
            is_ours: true,
            name: match language {
                Language::Rust => "Rust",
                Language::Python => "Python",
                Language::Node => "Node",
            },
            processes: tallies.len(),
            requests: tallies.iter().map(|tally| tally.requests).sum(),
            recovered: Some(tallies.iter().map(|tally| tally.recovered).sum()),
            redemptions: stats["redeemers"][language.name()].as_u64().unwrap_or_default(),
            logouts: tallies.iter().map(|tally| tally.logouts).sum(),
            slowest_ms: tallies.iter().map(|tally| tally.slowest_ms).fold(0.0, f64::max),
            errors: tallies.into_iter().flat_map(|tally| tally.errors).collect(),
        }
    }

    /// Recoveries that needed no redemption of their own.
    fn adopted(&self) -> Option<u64> {
        self.recovered.map(|recovered| recovered.saturating_sub(self.redemptions))
    }
}

pub(crate) fn print(rows: &[Row], stats: &Value) {
    println!(
        "{:<18} {:>9} {:>9} {:>14} {:>9} {:>12} {:>15} {:>17}",
        "",
        "processes",
        "requests",
        "401s recovered",
        "adopted",
        "redemptions",
        "forced logouts",
        "slowest recovery"
    );
    let count =
        |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    for row in rows {
        println!(
            "{:<18} {:>9} {:>9} {:>14} {:>9} {:>12} {:>15} {:>14.0} ms",
            row.name,
            row.processes,
            row.requests,
            count(row.recovered),
            count(row.adopted()),
            row.redemptions,
            row.logouts,
            row.slowest_ms
        );
    }
    println!(
        "{} rotations, {} redemptions, {} refusals",
        stats["grants"],
        rows.iter().map(|row| row.redemptions).sum::<u64>(),
        stats["refused"]
    );
    for row in rows.iter().filter(|row| !row.is_ours && row.logouts > 0) {
        println!(
            "{} of {} turns of the CLI failed: it lost a race for the refresh token and gave up.",
            row.logouts, row.requests
        );
    }
}

/// Fails if anybody was logged out or redeemed a token twice. A program that does not use the
/// library may lose a race; that its login works is checked when it is over.
pub(crate) fn check(rows: &[Row], stats: &Value) -> Result<()> {
    let ours = || rows.iter().filter(|row| row.is_ours);
    let errors: Vec<_> =
        ours().flat_map(|row| row.errors.iter().map(move |error| (row.name, error))).collect();
    let redemptions: u64 = rows.iter().map(|row| row.redemptions).sum();
    let rotations = stats["grants"].as_u64().unwrap_or_default();
    if let Some((name, error)) = errors.first() {
        return Err(format!("{} errors, the first one of {name}: {error}", errors.len()).into());
    }
    if ours().any(|row| row.logouts > 0) || rows.iter().any(|row| row.requests == 0) {
        return Err("a program was logged out, or never got to work".into());
    }
    if redemptions != rotations || rotations < 3 || stats["max_redemptions"] != 1 {
        return Err(format!("{redemptions} redemptions for {rotations} rotations").into());
    }
    Ok(())
}

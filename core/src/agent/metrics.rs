//! What the agent counts, in the text format of Prometheus.

use std::fmt::Write;

use super::login::Login;
use crate::state::Stats;

/// The type of the format, by which a scraper knows it.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A value that each login has.
struct Metric {
    name: &'static str,
    /// Its type, as Prometheus names it.
    kind: &'static str,
    help: &'static str,
    of: fn(&Login, &Stats) -> Option<f64>,
}

/// Returns a number that only grows, until the agent starts anew.
const fn counter(
    name: &'static str,
    help: &'static str,
    of: fn(&Login, &Stats) -> Option<f64>,
) -> Metric {
    Metric { name, kind: "counter", help, of }
}

/// Returns a number that may fall.
const fn gauge(
    name: &'static str,
    help: &'static str,
    of: fn(&Login, &Stats) -> Option<f64>,
) -> Metric {
    Metric { name, kind: "gauge", help, of }
}

const METRICS: &[Metric] = &[
    counter(
        "codex_auth_adoptions_total",
        "Newer tokens that another program had stored.",
        |_, stats| Some(stats.adoptions as f64),
    ),
    counter(
        "codex_auth_redemptions_total",
        "Refresh tokens that the agent has redeemed.",
        |_, stats| Some(stats.redemptions as f64),
    ),
    counter(
        "codex_auth_recoveries_total",
        "Rejected access tokens for which there was another one.",
        |_, stats| Some(stats.recoveries as f64),
    ),
    counter(
        "codex_auth_refresh_failures_total",
        "Refreshes that ended with an error.",
        |_, stats| Some(stats.failures as f64),
    ),
    counter(
        "codex_auth_waits_total",
        "Waits for the refresh of another caller, or for the refresh lock.",
        |_, stats| Some(stats.waits as f64),
    ),
    counter(
        "codex_auth_lock_wait_seconds_total",
        "Time for which refreshes have waited for the refresh lock.",
        |_, stats| Some(stats.lock_wait.as_secs_f64()),
    ),
    gauge("codex_auth_logged_in", "1 if the agent has a login to hand out, else 0.", |login, _| {
        Some(f64::from(login.is_handed_out()))
    }),
    gauge(
        "codex_auth_access_token_expiry_timestamp_seconds",
        "When the access token ends, in seconds since 1970, by the server's clock.",
        |login, _| Some(login.now().0?.expires_at()?.timestamp() as f64),
    ),
    gauge("codex_auth_pending_save", "1 if tokens could not be saved yet, else 0.", |login, _| {
        Some(f64::from(login.pending_save()))
    }),
];

/// Returns the metrics of all `logins`, by their names.
pub(super) fn text<'a>(logins: impl Iterator<Item = (&'a str, &'a Login)>) -> String {
    let logins: Vec<_> = logins.map(|(name, login)| (name, login, login.stats())).collect();
    let mut text = String::new();
    for Metric { name, kind, help, of } in METRICS {
        // Writing to a text does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (login_name, login, stats) in &logins {
            if let Some(value) = of(login, stats) {
                let _ = writeln!(text, "{name}{{login=\"{}\"}} {value}", escaped(login_name));
            }
        }
    }
    text
}

/// Returns `text` as the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_login_stays_within_its_label() {
        assert_eq!(escaped("a\"} 1\nb\\"), r#"a\"} 1\nb\\"#);
    }
}

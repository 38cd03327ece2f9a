//! What the releases of the Codex CLI do when they refresh, as data.

/// How one release refreshes and saves. None of them locks the refresh itself.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// Its version.
    pub version: &'static str,
    /// Reads the store before it redeems, and adopts what another program of the login saved.
    pub reads_first: bool,
    /// Reads the store again after a refusal.
    pub reads_after_refusal: bool,
    /// Drops what it was granted where the record is no longer the one that it redeemed. Others
    /// put their tokens into whatever record there is.
    pub compares: bool,
    /// What it locks to save, in this order.
    pub locks: &'static [&'static str],
    /// Replaces the file as a whole. Others truncate it and write.
    pub replaces: bool,
    /// Knows the field `auth_mode`. Unknown fields are dropped by all of them.
    pub keeps_auth_mode: bool,
}

const OLDEST: Release = Release {
    version: "0.77",
    reads_first: false,
    reads_after_refusal: false,
    compares: false,
    locks: &[],
    replaces: false,
    keeps_auth_mode: false,
};

/// One release of each kind, from old to new.
pub const RELEASES: [Release; 5] = [
    OLDEST,
    Release { version: "0.80", reads_first: true, ..OLDEST },
    Release { version: "0.128", reads_first: true, keeps_auth_mode: true, ..OLDEST },
    Release {
        version: "0.166",
        reads_first: true,
        reads_after_refusal: true,
        locks: &["auth.lock"],
        keeps_auth_mode: true,
        ..OLDEST
    },
    Release {
        version: "0.169",
        reads_first: true,
        reads_after_refusal: true,
        compares: true,
        locks: &["auth.lock", "auth.json.lock"],
        replaces: true,
        keeps_auth_mode: true,
    },
];

//! The statements on the row of a login.

use super::server::{Effect, Statement};

pub(super) const LOAD: Statement = Statement {
    text: "
SELECT version, key_id, record, ledger, holder, claim_ms,
       (extract(epoch FROM claim_end - clock_timestamp()) * 1000)::bigint, id
FROM codex_auth_sdk_logins WHERE login = $1",
    effect: Effect::Reads,
};

pub(super) const CREATE: Statement = Statement {
    text: "
INSERT INTO codex_auth_sdk_logins (login, version, key_id, record, id)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT (login) DO NOTHING RETURNING true",
    effect: Effect::WritesOnce,
};

pub(super) const REPLACE: Statement = Statement {
    text: "
WITH done AS (
    UPDATE codex_auth_sdk_logins
    SET version = $2, key_id = $3, record = $4, changed_at = clock_timestamp()
    WHERE login = $1 AND version = $5 RETURNING id
) SELECT pg_notify('codex_auth_sdk', id)::text FROM done",
    effect: Effect::WritesOnce,
};

pub(super) const DELETE: Statement = Statement {
    text: "
WITH done AS (
    DELETE FROM codex_auth_sdk_logins WHERE login = $1 AND version = $2 RETURNING id
) SELECT pg_notify('codex_auth_sdk', id)::text FROM done",
    effect: Effect::WritesOnce,
};

/// Removes a row that the holder `$3` still has the claim of.
pub(super) const DELETE_CLAIMED: Statement = Statement {
    text: "
WITH done AS (
    DELETE FROM codex_auth_sdk_logins
    WHERE login = $1 AND version = $2 AND holder = $3 AND claim_end > clock_timestamp()
    RETURNING id
) SELECT pg_notify('codex_auth_sdk', id)::text FROM done",
    effect: Effect::WritesOnce,
};

/// Writes all that a commit and a note write, as it is. A large record is stored anew only if it is
/// computed, and so the disk has room for one more.
pub(super) const PROVE: Statement = Statement {
    text: "
UPDATE codex_auth_sdk_logins
SET version = version, key_id = key_id, record = record || ''::bytea, ledger = ledger,
    changed_at = changed_at
WHERE login = $1 RETURNING true",
    effect: Effect::Writes,
};

/// Makes no row, and is refused where this role may make none.
pub(super) const PROVE_CREATE: Statement = Statement {
    text: "
INSERT INTO codex_auth_sdk_logins (login, version, key_id, record, id)
SELECT login, version, key_id, record, id FROM codex_auth_sdk_logins WHERE false",
    effect: Effect::Writes,
};

/// Claims a row that is free, or one whose holder `$4`, which has left the ledger `$5`, did not renew
/// its claim in time.
///
/// A standby that has become the primary begins another timeline, and may have missed commits. The
/// first claim on it is no manager's, so that nothing is redeemed while it lasts: a manager that knows
/// the successor of a spent token has that time to put it back.
pub(super) const CLAIM: Statement = Statement {
    text: "
WITH server AS (SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) AS now)
UPDATE codex_auth_sdk_logins
SET holder = CASE WHEN timeline = server.now THEN $2 ELSE 'timeline ' || server.now END,
    timeline = server.now, claim_ms = $3,
    claim_end = clock_timestamp() + $3 * interval '1 millisecond'
FROM server
WHERE login = $1
  AND (holder IS NULL OR holder = $2
       OR (holder = $4 AND ledger = $5 AND coalesce(claim_end <= clock_timestamp(), true)))
RETURNING ledger, holder = $2",
    effect: Effect::Writes,
};

/// Ends a claim no later than it can last: the database's clock was set back.
pub(super) const CUT: Statement = Statement {
    text: "
UPDATE codex_auth_sdk_logins
SET claim_end = clock_timestamp() + claim_ms * interval '1 millisecond'
WHERE login = $1 AND holder = $2
  AND claim_end > clock_timestamp() + claim_ms * interval '1 millisecond'",
    effect: Effect::Writes,
};

pub(super) const RENEW: Statement = Statement {
    text: "
UPDATE codex_auth_sdk_logins
SET claim_end = clock_timestamp() + claim_ms * interval '1 millisecond'
WHERE login = $1 AND holder = $2 RETURNING true",
    effect: Effect::Writes,
};

pub(super) const NOTE: Statement = Statement {
    text: "
UPDATE codex_auth_sdk_logins
SET ledger = $3, claim_end = clock_timestamp() + claim_ms * interval '1 millisecond'
WHERE login = $1 AND holder = $2 RETURNING true",
    effect: Effect::Writes,
};

pub(super) const RELEASE: Statement = Statement {
    text: "
WITH done AS (
    UPDATE codex_auth_sdk_logins SET holder = NULL, claim_end = NULL
    WHERE login = $1 AND holder = $2 RETURNING id
) SELECT pg_notify('codex_auth_sdk', id)::text FROM done",
    effect: Effect::Writes,
};

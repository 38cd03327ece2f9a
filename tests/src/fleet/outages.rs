//! What befalls the database: it is restarted, refuses, or does not answer.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Fleet, TRANSIENT, get_through, is_transient};
use crate::contender::Contender;
use crate::crash::signal::pause;
use crate::postgres::{Postgres, Stop, Transaction};
use crate::torture::Trial;

/// What is wrong with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// It is stopped, and started again.
    Stopped(Stop),
    /// It takes no writes.
    ReadOnly,
    /// It ends each statement that takes longer than a moment, and all do.
    StatementTimeout,
    /// An administrator has locked the table.
    TableLock,
    /// It ends the sessions of the programs, and lets none begin another one.
    NoSlots,
    /// It has no room for one more record.
    DiskFull,
}

impl Outage {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Stopped(Stop::Fast),
        Self::Stopped(Stop::Immediate),
        Self::ReadOnly,
        Self::StatementTimeout,
        Self::TableLock,
        Self::NoSlots,
        Self::DiskFull,
    ];

    /// Tries it before a refresh, and in the middle of one; each lasts for `length` at least. None where
    /// there can be no database.
    ///
    /// # Panics
    ///
    /// If the fault cannot be had.
    #[must_use]
    pub fn trial(self, length: Duration) -> Option<Trial> {
        let database = match self {
            Self::DiskFull => Postgres::start_on_small_disk()?,
            _ => Postgres::start()?,
        };
        let mut row = Trial::new(format!("the database: {self:?}"));
        let mut fleet = Fleet::on(database, &json!({}));
        fleet.database.run(
            "CREATE ROLE app LOGIN; GRANT SELECT ON codex_auth_sdk_schema TO app;
             GRANT SELECT, INSERT, UPDATE, DELETE ON codex_auth_sdk_logins TO app",
        );
        let url = fleet.database.url_of("app");
        let mut contenders = [(); 3].map(|()| fleet.start_at(&url, &fleet.realm));
        for is_in_the_middle in [false, true] {
            fleet.begin();
            row.tried += 1;
            let when = if is_in_the_middle { "in the middle" } else { "before" };
            let ended = if is_in_the_middle {
                self.in_the_middle(&mut fleet, &mut contenders, length)
            } else {
                self.before(&mut fleet, &mut contenders, length)
            };
            let ended = ended.and_then(|()| contenders.iter_mut().try_for_each(get_through));
            let fate = ended.and_then(|()| fleet.judge(false));
            row.check(fate.is_ok(), || format!("{when}: {fate:?}"));
            let requests = &fleet.realm.stats()["requests"];
            row.check(*requests == 1, || format!("{when}: {requests} requests"));
        }
        Some(row)
    }

    /// Programs that need new tokens meanwhile are told so, and spend nothing.
    fn before(
        self,
        fleet: &mut Fleet,
        contenders: &mut [Contender],
        length: Duration,
    ) -> Result<(), String> {
        let (start, held) = (Instant::now(), self.begin(fleet));
        contenders.iter_mut().for_each(Contender::go);
        // What waits for a lock may come through once that is given back.
        let waits = self == Self::TableLock;
        if waits {
            fleet.database.wait_until("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted");
        } else {
            refusals(contenders)?;
        }
        wait(start, length);
        let requests = &fleet.realm.stats()["requests"];
        self.end(fleet, held);
        if *requests != 0 {
            return Err(format!("{requests} requests while nothing can be saved"));
        }
        if waits { refusals_or_answers(contenders) } else { Ok(()) }
    }

    /// A pair that comes meanwhile is used, and saved later.
    fn in_the_middle(
        self,
        fleet: &mut Fleet,
        contenders: &mut [Contender],
        length: Duration,
    ) -> Result<(), String> {
        fleet.realm.run("hold", &json!({"at": "reply"}));
        contenders[0].go();
        drop(fleet.realm.wait(&json!({"held": 1})));
        let (start, held) = (Instant::now(), self.begin(fleet));
        fleet.realm.run("release", &json!({}));
        if self == Self::TableLock && length.is_zero() {
            fleet.database.wait_until("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted");
            self.end(fleet, held);
            let answer = contenders[0].answer();
            return if answer["status"] == 200 { Ok(()) } else { Err(answer.to_string()) };
        }
        let answer = contenders[0].answer();
        if answer["status"] != 200 || answer["pending_save"] != true {
            return Err(format!("the pair is not in use and unsaved: {answer}"));
        }
        wait(start, length);
        self.end(fleet, held);
        let closed = contenders[0].close();
        if closed["closed"] == true { Ok(()) } else { Err(closed.to_string()) }
    }

    /// Returns the transaction that is held meanwhile, if it takes one.
    fn begin(self, fleet: &mut Fleet) -> Option<Transaction> {
        let database = &mut fleet.database;
        let lock = "LOCK codex_auth_sdk_logins IN ACCESS EXCLUSIVE MODE";
        match self {
            Self::Stopped(how) => database.stop(how),
            Self::ReadOnly => set(database, "default_transaction_read_only", "on"),
            Self::StatementTimeout => {
                let held = database.hold(lock);
                database.run("ALTER ROLE app SET statement_timeout = '20ms'");
                end_sessions(database);
                return Some(held);
            }
            Self::TableLock => return Some(database.hold(lock)),
            Self::NoSlots => {
                database.run("ALTER ROLE app CONNECTION LIMIT 0");
                end_sessions(database);
            }
            Self::DiskFull => {
                // Nothing that was replaced is cleared away meanwhile.
                let held =
                    database.hold("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1");
                database.fill_disk();
                return Some(held);
            }
        }
        None
    }

    fn end(self, fleet: &mut Fleet, held: Option<Transaction>) {
        drop(held);
        let database = &mut fleet.database;
        match self {
            Self::Stopped(_) => database.start_again(),
            Self::ReadOnly => set(database, "default_transaction_read_only", "off"),
            Self::StatementTimeout => {
                database.run("ALTER ROLE app RESET statement_timeout");
                end_sessions(database);
            }
            Self::TableLock => {}
            Self::NoSlots => database.run("ALTER ROLE app CONNECTION LIMIT -1"),
            Self::DiskFull => database.clear_disk(),
        }
    }
}

/// Sets a parameter of the server, for the sessions that there are too.
fn set(database: &Postgres, name: &str, value: &str) {
    database.run(&format!("ALTER SYSTEM SET {name} = {value}"));
    database.run("SELECT pg_reload_conf()");
    database.wait_until(&format!("SELECT current_setting('{name}') = '{value}'"));
}

fn end_sessions(database: &Postgres) {
    database
        .run("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'app'");
}

fn refusals(contenders: &mut [Contender]) -> Result<(), String> {
    let wrong = contenders.iter_mut().map(Contender::answer).find(|answer| !is_transient(answer));
    wrong.map_or(Ok(()), |answer| Err(format!("{answer} is none of {TRANSIENT:?}")))
}

fn refusals_or_answers(contenders: &mut [Contender]) -> Result<(), String> {
    let is_wrong = |answer: &_| !is_transient(answer) && answer["status"] != 200;
    let wrong = contenders.iter_mut().map(Contender::answer).find(is_wrong);
    wrong.map_or(Ok(()), |answer| Err(answer.to_string()))
}

/// Waits until `length` has passed since `start`.
fn wait(start: Instant, length: Duration) {
    pause(length.saturating_sub(start.elapsed()));
}

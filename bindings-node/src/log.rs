//! Delivers the records that the core traces to JavaScript.

use codex_auth_sdk::bindings::{LogRecord, LogRecords};
use napi::Status;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;

/// Tells a thread that records wait. It does not keep the thread alive.
type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// The native half of `enableLogging`: the records that are still to be delivered.
#[napi]
#[derive(Debug)]
pub struct NativeLog(LogRecords);

/// A record: an event of the core, or a span that has ended.
#[napi(object, object_from_js = false)]
#[expect(missing_docs, reason = "the TypeScript facade documents them")]
pub struct NativeLogRecord {
    pub level: &'static str,
    pub target: &'static str,
    pub message: String,
    pub fields: Vec<NativeLogField>,
    pub duration_ms: Option<f64>,
}

/// A field of a record.
#[napi(object, object_from_js = false)]
#[expect(missing_docs, reason = "the TypeScript facade documents them")]
pub struct NativeLogField {
    pub name: &'static str,
    pub value: String,
}

#[napi]
impl NativeLog {
    /// Collects records from now on. `wake` is called when records wait; the callee then calls
    /// `take`.
    #[napi(constructor, ts_args_type = "wake: () => void")]
    pub fn new(wake: Wake) -> Self {
        Self(LogRecords::start(move || {
            wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }))
    }

    /// Takes the next record, if one waits.
    #[napi]
    pub fn take(&self) -> Option<NativeLogRecord> {
        self.0.take().map(NativeLogRecord::from)
    }

    /// Ends the collection.
    #[napi]
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl From<LogRecord> for NativeLogRecord {
    fn from(record: LogRecord) -> Self {
        let LogRecord { level, target, message, fields, duration, .. } = record;
        let fields = fields.into_iter().map(|(name, value)| NativeLogField { name, value });
        let duration_ms = duration.map(|duration| duration.as_secs_f64() * 1e3);
        Self { level, target, message, fields: fields.collect(), duration_ms }
    }
}

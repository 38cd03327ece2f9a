//! Stores that are written in JavaScript.
//!
//! The core puts each call of a store's method into a queue. The event loop of the thread that owns
//! the store takes the calls, and answers each by its number. Once that thread has ended, every
//! call fails at once.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{
    AuthStorage, CustomStorage, CustomStore, StoreAnswer, StoreFailure, Stored,
};
use codex_auth_sdk::{Secret, bindings};
use napi::bindgen_prelude::{Result, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;
use tokio::sync::oneshot;

use crate::promise::answer_or_promise;
use crate::thrown::Thrown;

/// Tells the store's thread that calls wait. It does not keep the thread alive.
type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// The queue of calls for one store that is written in JavaScript.
#[napi]
#[derive(Debug)]
pub struct NativeCustomStore {
    name: String,
    has_lock: bool,
    lease: Option<Duration>,
    calls: Arc<Calls>,
    storage: Mutex<Weak<CustomStorage>>,
}

/// The handle that managers of a custom store are opened with.
///
/// It keeps the store alive, and so does each manager.
#[napi]
#[derive(Debug)]
pub struct NativeConnection(pub(crate) Arc<CustomStorage>);

/// Runs the conformance suite on a store and returns which rule the store breaks, if any.
#[napi(ts_return_type = "Promise<Outcome<string | null>>")]
pub fn broken_by<'env>(env: &'env Env, connection: &NativeConnection) -> Result<Unknown<'env>> {
    let storage = Arc::clone(&connection.0);
    let open = move || Arc::clone(&storage) as Arc<dyn AuthStorage>;
    answer_or_promise(env, async { Ok(bindings::broken_by(open).await) })
}

/// A method to call, and the number by which the result is returned.
#[napi(object, object_from_js = false)]
#[expect(missing_docs, reason = "the TypeScript facade documents them")]
#[derive(Debug)]
pub struct NativeStoreCall {
    pub id: u32,
    pub method: &'static str,
    pub record: Option<String>,
    pub expected: Option<String>,
}

/// What a method returned: a record and its version, or whether the method did its work.
#[napi(object, object_to_js = false)]
#[expect(missing_docs, reason = "the TypeScript facade documents them")]
pub struct NativeStoreReply {
    pub record: Option<String>,
    pub version: Option<String>,
    pub done: bool,
}

#[napi]
impl NativeCustomStore {
    /// Creates the queue of the store `name`, which belongs to the calling thread. Its lock, if it
    /// has one, lasts for `leaseMs` unless it is renewed.
    #[napi(constructor)]
    pub fn new(env: Env, name: String, has_lock: bool, lease_ms: Option<f64>) -> Result<Self> {
        let lease = lease_ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok());
        let calls = Arc::<Calls>::default();
        // Hooks run in reverse order, so this runs before the hook that waits for exchanges in
        // flight: they must not wait for a store that is gone.
        env.add_env_cleanup_hook(Arc::downgrade(&calls), |calls| {
            if let Some(calls) = calls.upgrade() {
                calls.end();
            }
        })?;
        Ok(Self { name, has_lock, lease, calls, storage: Mutex::default() })
    }

    /// Returns the store's one connection. Managers that share it exclude each other.
    ///
    /// `wake` is called when calls wait; the callee then calls `take`.
    #[napi(ts_args_type = "wake: () => void")]
    pub fn connect(&self, wake: Wake) -> NativeConnection {
        let mut known = self.storage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(storage) = known.upgrade() {
            return NativeConnection(storage);
        }
        let store = JavaScriptStore {
            name: self.name.clone(),
            has_lock: self.has_lock,
            lease: self.lease,
            calls: Arc::clone(&self.calls),
            wake,
        };
        let storage = Arc::new(CustomStorage::new(Arc::new(store), Environment::default()));
        *known = Arc::downgrade(&storage);
        NativeConnection(storage)
    }

    /// Takes the next call out of the queue, if one waits.
    #[napi]
    pub fn take(&self) -> Option<NativeStoreCall> {
        self.calls.state().waiting.pop_front()
    }

    /// Tells the core what the method of the call `id` returned.
    #[napi]
    pub fn answer(&self, id: u32, reply: NativeStoreReply) {
        self.calls.answer(id, Ok(reply));
    }

    /// Tells the core that the method of the call `id` threw. The TypeScript code keeps the thrown
    /// value under the number `thrown`.
    #[napi]
    pub fn fail(&self, id: u32, thrown: u32) {
        self.calls.answer(id, Err(Thrown(thrown).into()));
    }
}

type Reply = std::result::Result<NativeStoreReply, StoreFailure>;

/// The calls of one store: those that wait, and those that are not answered yet.
#[derive(Debug, Default)]
struct Calls(Mutex<State>);

#[derive(Default)]
struct State {
    last_id: u32,
    waiting: VecDeque<NativeStoreCall>,
    unanswered: HashMap<u32, oneshot::Sender<Reply>>,
    has_ended: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("last_id", &self.last_id).finish_non_exhaustive()
    }
}

impl Calls {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(
        &self,
        method: &'static str,
        record: Option<String>,
        expected: Option<String>,
    ) -> oneshot::Receiver<Reply> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        if !state.has_ended {
            state.last_id = state.last_id.wrapping_add(1);
            let id = state.last_id;
            state.waiting.push_back(NativeStoreCall { id, method, record, expected });
            state.unanswered.insert(id, sender);
        }
        receiver
    }

    fn answer(&self, id: u32, reply: Reply) {
        if let Some(sender) = self.state().unanswered.remove(&id) {
            // The core has given up a call whose answer comes too late.
            drop(sender.send(reply));
        }
    }

    /// Fails all calls, those that wait and those to come.
    fn end(&self) {
        *self.state() = State { has_ended: true, ..State::default() };
    }
}

struct JavaScriptStore {
    name: String,
    has_lock: bool,
    /// How long the lock lasts unless it is renewed.
    lease: Option<Duration>,
    calls: Arc<Calls>,
    wake: Wake,
}

impl fmt::Debug for JavaScriptStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JavaScriptStore").field("name", &self.name).finish_non_exhaustive()
    }
}

impl JavaScriptStore {
    /// Puts a call of `method` into the queue and wakes the store's thread.
    fn call<T: Send + 'static>(
        &self,
        method: &'static str,
        record: Option<&Secret>,
        expected: Option<&str>,
        extract: fn(NativeStoreReply) -> T,
    ) -> StoreAnswer<'static, T> {
        let record = record.map(|record| record.expose().to_owned());
        let reply = self.calls.add(method, record, expected.map(str::to_owned));
        if self.wake.call((), ThreadsafeFunctionCallMode::NonBlocking) != Status::Ok {
            self.calls.end();
        }
        Box::pin(async move {
            reply.await.map_err(|_| "the thread of the store has ended")?.map(extract)
        })
    }
}

impl CustomStore for JavaScriptStore {
    fn location(&self) -> String {
        format!("the custom store {}", self.name)
    }

    fn load(&self) -> StoreAnswer<'_, Option<Stored>> {
        self.call("load", None, None, |reply| {
            let (record, version) = reply.record.zip(reply.version)?;
            Some(Stored::new(Secret::new(record), version))
        })
    }

    fn save<'a>(&'a self, record: &'a Secret, expected: Option<&'a str>) -> StoreAnswer<'a, bool> {
        self.call("save", Some(record), expected, |reply| reply.done)
    }

    fn delete<'a>(&'a self, expected: Option<&'a str>) -> StoreAnswer<'a, bool> {
        self.call("delete", None, expected, |reply| reply.done)
    }

    fn try_lock(&self) -> StoreAnswer<'_, bool> {
        if !self.has_lock {
            return Box::pin(async { Ok(true) });
        }
        self.call("tryLock", None, None, |reply| reply.done)
    }

    fn lease(&self) -> Option<Duration> {
        self.lease
    }

    fn renew(&self) -> StoreAnswer<'_, bool> {
        self.call("renew", None, None, |reply| reply.done)
    }

    fn unlock(&self) -> StoreAnswer<'static, ()> {
        if !self.has_lock {
            return Box::pin(async { Ok(()) });
        }
        self.call("unlock", None, None, |_| ())
    }
}

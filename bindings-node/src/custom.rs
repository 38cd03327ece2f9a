//! Stores written in JavaScript.
//!
//! A call waits in a queue until the store's own thread takes it, and is answered by its number:
//! the core only awaits. Once that thread has ended, every call fails at once.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use codex_auth_sdk::{
    AuthStorage, CustomStorage, CustomStore, Environment, Secret, StoreAnswer, StoreFailure,
    Stored, conformance,
};
use napi::bindgen_prelude::{Result, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;
use tokio::sync::oneshot;

use crate::promise::answer;

/// Tells the store's thread that there are calls to take. It does not keep the thread alive.
type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// Behind a custom store: the calls that are to be made for it.
#[napi]
#[derive(Debug)]
pub struct NativeCustomStore {
    name: String,
    has_lock: bool,
    calls: Arc<Calls>,
    storage: Mutex<Weak<CustomStorage>>,
}

/// What managers of a custom store are opened with. It keeps the store alive, and so do they.
#[napi]
#[derive(Debug)]
pub struct NativeConnection(pub(crate) Arc<CustomStorage>);

/// Runs the suite that every store must pass; what this one breaks, if anything.
#[napi(ts_return_type = "Promise<Outcome<string | null>>")]
pub fn broken_by<'env>(env: &'env Env, connection: &NativeConnection) -> Result<Unknown<'env>> {
    let storage = Arc::clone(&connection.0);
    let open = move || Arc::clone(&storage) as Arc<dyn AuthStorage>;
    answer(env, async { Ok(conformance::broken_by(open).await) })
}

/// A method that is to be called, and the number to answer by.
#[napi(object, object_from_js = false)]
#[expect(missing_docs, reason = "the facade documents them")]
#[derive(Debug)]
pub struct NativeStoreCall {
    pub id: u32,
    pub method: &'static str,
    pub record: Option<String>,
    pub expected: Option<String>,
}

/// What a method returned: a record and its version, or whether something was done.
#[napi(object, object_to_js = false)]
#[expect(missing_docs, reason = "the facade documents them")]
pub struct NativeStoreReply {
    pub record: Option<String>,
    pub version: Option<String>,
    pub done: bool,
}

#[napi]
impl NativeCustomStore {
    /// A store called `name`, of the environment that makes this.
    #[napi(constructor)]
    pub fn new(env: Env, name: String, has_lock: bool) -> Result<Self> {
        let calls = Arc::<Calls>::default();
        // Runs before the hook that waits for what is in flight.
        env.add_env_cleanup_hook(Arc::downgrade(&calls), |calls| {
            if let Some(calls) = calls.upgrade() {
                calls.end();
            }
        })?;
        Ok(Self { name, has_lock, calls, storage: Mutex::default() })
    }

    /// The one connection to the store, by which managers exclude each other; `wake` is called
    /// when there is something to `take`.
    #[napi(ts_args_type = "wake: () => void")]
    pub fn connect(&self, wake: Wake) -> NativeConnection {
        let mut known = self.storage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(storage) = known.upgrade() {
            return NativeConnection(storage);
        }
        let calls = Arc::clone(&self.calls);
        let store =
            JavaScriptStore { name: self.name.clone(), has_lock: self.has_lock, calls, wake };
        let storage = Arc::new(CustomStorage::new(Arc::new(store), Environment::default()));
        *known = Arc::downgrade(&storage);
        NativeConnection(storage)
    }

    /// The next call to make.
    #[napi]
    pub fn take(&self) -> Option<NativeStoreCall> {
        self.calls.state().waiting.pop_front()
    }

    /// What the method of call `id` returned.
    #[napi]
    pub fn answer(&self, id: u32, reply: NativeStoreReply) {
        self.calls.answer(id, Ok(reply));
    }

    /// That the method of call `id` threw; the facade keeps what it threw by the number `thrown`.
    #[napi]
    pub fn fail(&self, id: u32, thrown: u32) {
        self.calls.answer(id, Err(Thrown(thrown).into()));
    }
}

/// What a store threw, by the number by which the facade knows it.
#[derive(Debug, thiserror::Error)]
#[error("an exception of the store")]
pub(crate) struct Thrown(pub(crate) u32);

type Reply = std::result::Result<NativeStoreReply, StoreFailure>;

/// The calls of one store.
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
            // Nobody listens to an answer that came too late.
            drop(sender.send(reply));
        }
    }

    /// Fails all calls, these and those to come.
    fn end(&self) {
        *self.state() = State { has_ended: true, ..State::default() };
    }
}

struct JavaScriptStore {
    name: String,
    has_lock: bool,
    calls: Arc<Calls>,
    wake: Wake,
}

impl fmt::Debug for JavaScriptStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JavaScriptStore").field("name", &self.name).finish_non_exhaustive()
    }
}

impl JavaScriptStore {
    /// Calls `method`; the call is under way when this returns.
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
            Some(Stored { record: Secret::new(record), version })
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

    fn unlock(&self) -> StoreAnswer<'static, ()> {
        if !self.has_lock {
            return Box::pin(async { Ok(()) });
        }
        self.call("unlock", None, None, |_| ())
    }
}

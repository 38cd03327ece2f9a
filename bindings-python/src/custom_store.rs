//! Stores that are written in Python.
//!
//! Each store has a Python thread, which calls the store's methods one after the other, in the
//! order in which the core asked for them: `_store_thread.py` takes the calls from [`StoreCalls`].
//! So no thread of the core waits for the interpreter's lock, no event loop of the caller is
//! needed, and Python code runs only in threads that the interpreter knows, also while the
//! interpreter ends.

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, SendError, Sender};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use codex_auth_sdk::Secret;
use codex_auth_sdk::bindings::{self, PerProcess};
use codex_auth_sdk::environment::Environment;
use codex_auth_sdk::storage::{
    AuthStorage, CustomStorage, CustomStore, StoreAnswer, StoreFailure, Stored,
};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tokio::sync::oneshot;

use crate::bridge::{attach, is_ending, wait};
use crate::duration::duration;
use crate::errors::wrong_type;
use crate::raised::Raised;

/// Returns the storage for the Python object `store`.
///
/// Managers that use one object get one storage, so that they exclude each other.
pub(crate) fn storage_of(store: &Bound<'_, PyAny>) -> PyResult<Arc<CustomStorage>> {
    static STORAGES: LazyLock<Mutex<HashMap<usize, Weak<CustomStorage>>>> =
        LazyLock::new(Mutex::default);
    let python = PythonStore::new(store)?;
    let mut storages = STORAGES.lock().unwrap_or_else(PoisonError::into_inner);
    // A storage keeps its Python object alive, so no other object has this address meanwhile.
    let address = store.as_ptr().addr();
    if let Some(storage) = storages.get(&address).and_then(Weak::upgrade) {
        return Ok(storage);
    }
    let storage = Arc::new(CustomStorage::new(Arc::new(python), Environment::default()));
    storages.retain(|_, storage| storage.strong_count() > 0);
    storages.insert(address, Arc::downgrade(&storage));
    Ok(storage)
}

/// Runs the conformance suite on `store` and returns which rule `store` breaks, if any.
#[pyfunction]
pub(crate) fn broken_by(py: Python<'_>, store: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let storage = storage_of(store)?;
    let open = move || Arc::clone(&storage) as Arc<dyn AuthStorage>;
    wait(py, async { Ok(bindings::broken_by(open).await) })
}

#[derive(Debug)]
struct PythonStore {
    name: String,
    has_lock: bool,
    /// How long the lock lasts unless it is renewed.
    lease: Option<Duration>,
    thread: Arc<StoreThread>,
}

impl PythonStore {
    fn new(store: &Bound<'_, PyAny>) -> PyResult<Self> {
        let has = |method: &str| store.getattr(method).is_ok_and(|method| method.is_callable());
        if !["load", "save", "delete"].into_iter().all(has) {
            let wanted =
                "the name of a store, an EphemeralStorage or an object with load, save and delete";
            return Err(wrong_type("store", wanted, store));
        }
        let name = store.get_type().name()?.to_string();
        let has_lock = has("try_lock");
        if has_lock != has("unlock") {
            let message = format!("{name} must have both try_lock and unlock, or neither");
            return Err(PyTypeError::new_err(message));
        }
        let lease = lease_of(store)?;
        if lease.is_some() != has("renew") || (lease.is_some() && !has_lock) {
            let message = format!(
                "{name} must have lease and renew together with try_lock and unlock, or neither"
            );
            return Err(PyTypeError::new_err(message));
        }
        let object = store.clone().unbind();
        let thread = Arc::new(StoreThread { object, calls: PerProcess::new() });
        Ok(Self { name, has_lock, lease, thread })
    }

    /// Hands a call of `method` to the store's thread, which is started first if it does not run.
    fn call<T: Send + 'static>(
        &self,
        method: &'static str,
        arguments: Vec<Option<Secret>>,
        extract: fn(&Bound<'_, PyAny>) -> PyResult<T>,
    ) -> StoreAnswer<'static, T> {
        let (sender, receiver) = oneshot::channel();
        let deliver = move |value: PyResult<Bound<'_, PyAny>>| {
            let answer = value.and_then(|value| extract(&value)).map_err(Raised);
            // The core has given up a call whose answer comes too late.
            drop(sender.send(answer));
        };
        let call = Call { method, arguments, deliver: Box::new(deliver) };
        let sent = self.thread.send(call);
        let thread = Arc::clone(&self.thread);
        Box::pin(async move {
            if let Err(SendError(call)) = sent {
                thread.start_with(call).await?;
            }
            Ok(receiver.await.map_err(|_| "the thread of the store has ended")??)
        })
    }
}

impl CustomStore for PythonStore {
    fn location(&self) -> String {
        format!("the custom store {}", self.name)
    }

    fn load(&self) -> StoreAnswer<'_, Option<Stored>> {
        self.call("load", Vec::new(), stored)
    }

    fn save<'a>(&'a self, record: &'a Secret, expected: Option<&'a str>) -> StoreAnswer<'a, bool> {
        let arguments = vec![Some(record.clone()), expected.map(Secret::new)];
        self.call("save", arguments, |saved| is_done("save", saved))
    }

    fn delete<'a>(&'a self, expected: Option<&'a str>) -> StoreAnswer<'a, bool> {
        self.call("delete", vec![expected.map(Secret::new)], |deleted| is_done("delete", deleted))
    }

    fn try_lock(&self) -> StoreAnswer<'_, bool> {
        if !self.has_lock {
            return Box::pin(async { Ok(true) });
        }
        self.call("try_lock", Vec::new(), |locked| is_done("try_lock", locked))
    }

    fn lease(&self) -> Option<Duration> {
        self.lease
    }

    fn renew(&self) -> StoreAnswer<'_, bool> {
        self.call("renew", Vec::new(), |renewed| is_done("renew", renewed))
    }

    fn unlock(&self) -> StoreAnswer<'static, ()> {
        if !self.has_lock {
            return Box::pin(async { Ok(()) });
        }
        self.call("unlock", Vec::new(), |_| Ok(()))
    }
}

/// Returns how long the lock of `store` lasts, if it ends by itself.
fn lease_of(store: &Bound<'_, PyAny>) -> PyResult<Option<Duration>> {
    let lease = store.getattr_opt("lease")?;
    Ok(lease.map(|lease| duration("lease", &lease)).transpose()?.flatten())
}

fn stored(value: &Bound<'_, PyAny>) -> PyResult<Option<Stored>> {
    if value.is_none() {
        return Ok(None);
    }
    let wanted = "a (record, version) of two str, or None";
    let (record, version): (String, String) =
        value.extract().map_err(|_| wrong_type("what load returns", wanted, value))?;
    Ok(Some(Stored::new(Secret::new(record), version)))
}

fn is_done(method: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.extract().map_err(|_| wrong_type(&format!("what {method} returns"), "a bool", value))
}

/// The Python thread of one store.
///
/// The first call of each process starts it, so a forked child has a thread of its own. It ends
/// once the storage is dropped.
#[derive(Debug)]
struct StoreThread {
    object: Py<PyAny>,
    /// A forked child has a copy of its parent's queue, which is not its own to tear down.
    calls: PerProcess<Sender<Call>>,
}

impl StoreThread {
    /// Hands `call` to the thread. Returns `call` as the error if no thread runs in this process.
    fn send(&self, call: Call) -> Result<(), SendError<Call>> {
        let Some(calls) = self.calls.get() else { return Err(SendError(call)) };
        // A thread that has ended makes room for another.
        calls.send(call).inspect_err(|_| self.calls.clear())
    }

    async fn start_with(self: Arc<Self>, call: Call) -> Result<(), StoreFailure> {
        // The core's thread must never wait for the interpreter's lock.
        let started = tokio::task::spawn_blocking({
            let thread = Arc::clone(&self);
            // A thread that attaches to an interpreter that is ending crashes or hangs.
            move || if is_ending() { None } else { attach(|py| thread.start(py)) }
        });
        match started.await? {
            Some(started) => started.map_err(Raised)?,
            None => return Err("the interpreter is ending".into()),
        }
        self.send(call).map_err(|_| "the thread of the store has ended".into())
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        // If another call starts a thread meanwhile, that thread stays, and this one ends with its queue.
        let start = || {
            let (calls, receiver) = mpsc::channel();
            let arguments = (&self.object, StoreCalls(Mutex::new(receiver)));
            py.import("codex_auth_sdk._store_thread")?.call_method1("start", arguments)?;
            Ok(calls)
        };
        self.calls.get_or_try_make(start).map(drop)
    }
}

type Deliver = Box<dyn FnOnce(PyResult<Bound<'_, PyAny>>) + Send>;

/// One method call that the store's thread is to make.
struct Call {
    method: &'static str,
    arguments: Vec<Option<Secret>>,
    deliver: Deliver,
}

/// The queue from which the thread of one store takes its calls.
#[pyclass(frozen, module = "codex_auth_sdk._native")]
pub(crate) struct StoreCalls(Mutex<Receiver<Call>>);

#[pymethods]
impl StoreCalls {
    /// Waits for the next call.
    ///
    /// Returns the name of the method, its arguments, and the `StoreReply` that takes the result.
    /// Returns `None` once no manager uses the store any more.
    fn next<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<(&'static str, Bound<'py, PyTuple>, StoreReply)>> {
        let next = || self.0.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Call { method, arguments, deliver }) = py.detach(next) else { return Ok(None) };
        let arguments = arguments.iter().map(|argument| argument.as_ref().map(Secret::expose));
        let arguments = PyTuple::new(py, arguments.collect::<Vec<_>>())?;
        Ok(Some((method, arguments, StoreReply(Mutex::new(Some(deliver))))))
    }
}

/// Takes the result of one call. It can be given one result only.
#[pyclass(frozen, module = "codex_auth_sdk._native")]
pub(crate) struct StoreReply(Mutex<Option<Deliver>>);

#[pymethods]
impl StoreReply {
    /// Tells the core that the method returned `value`.
    fn returned(&self, value: Bound<'_, PyAny>) -> PyResult<()> {
        self.take()?(Ok(value));
        Ok(())
    }

    /// Tells the core that the method raised `error`.
    fn raised(&self, error: Bound<'_, PyAny>) -> PyResult<()> {
        self.take()?(Err(PyErr::from_value(error)));
        Ok(())
    }
}

impl StoreReply {
    fn take(&self) -> PyResult<Deliver> {
        let deliver = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        deliver.ok_or_else(|| PyRuntimeError::new_err("this call has been answered before"))
    }
}

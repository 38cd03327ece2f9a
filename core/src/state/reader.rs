//! Reads the store: at once if it can be read without waiting, else on this crate's own thread.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::environment::Environment;
use crate::error::Result;
use crate::storage::{AuthStorage, Loaded, StoreHolder};
use crate::tasks;

/// Reads the store.
#[derive(Debug)]
pub(crate) struct Reader {
    storage: Arc<dyn AuthStorage>,
    environment: Environment,
    /// Which kind of store held the login at the last read, for a store that chooses.
    holder: ArcSwapOption<StoreHolder>,
}

impl Reader {
    pub(crate) fn new(storage: Arc<dyn AuthStorage>, environment: Environment) -> Self {
        Self { storage, environment, holder: ArcSwapOption::empty() }
    }

    /// Returns what the store holds. The end of the process does not wait for a store that does
    /// not answer, unless the store asks for that.
    pub(crate) async fn load(&self) -> Result<Loaded> {
        if let Some(loaded) = self.storage.load_now() {
            return loaded;
        }
        let storage = Arc::clone(&self.storage);
        let load = async move { storage.load().await };
        if self.storage.is_read_to_the_end() {
            tasks::run(&self.environment, load).await?
        } else {
            tasks::run_read(&self.environment, load).await?
        }
    }

    /// Returns the kind of store that holds the login, if that has changed since the last call.
    pub(crate) fn changed_holder(&self) -> Option<StoreHolder> {
        let holder = self.storage.holder()?;
        let known = self.holder.swap(Some(Arc::new(holder.clone())))?;
        (*known != holder).then_some(holder)
    }
}

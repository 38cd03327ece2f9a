//! Reading the store: at once where that is possible, else on this crate's own thread.

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
    /// Which store held the login when it was last read, if the store is one that chooses.
    holder: ArcSwapOption<StoreHolder>,
}

impl Reader {
    pub(crate) fn new(storage: Arc<dyn AuthStorage>, environment: Environment) -> Self {
        Self { storage, environment, holder: ArcSwapOption::empty() }
    }

    /// What the store holds. A reader whose store does not answer keeps no process from ending.
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

    /// The store that holds the login, where that is another one than at the last call.
    pub(crate) fn changed_holder(&self) -> Option<StoreHolder> {
        let holder = self.storage.holder()?;
        let known = self.holder.swap(Some(Arc::new(holder.clone())))?;
        (*known != holder).then_some(holder)
    }
}

//! A credential that an environment variable brings, as the Codex CLI takes it.

use std::sync::Arc;

use super::{AuthStorage, Loaded, Readiness, RefreshLock, Swap, Version};
use crate::auth_dot_json::AuthDotJson;
use crate::environment::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::secret::Secret;

/// A store that cannot be changed: what a variable of this process said when it was opened.
#[derive(Debug)]
pub(crate) struct EnvironmentVariable {
    name: &'static str,
    record: Arc<AuthDotJson>,
}

impl EnvironmentVariable {
    /// An API key in the variable `name`.
    pub(crate) fn api_key(name: &'static str, key: &Secret) -> Self {
        let record = AuthDotJson {
            auth_mode: Some("apikey".to_owned()),
            openai_api_key: Some(key.clone()),
            ..AuthDotJson::default()
        };
        Self { name, record: Arc::new(record) }
    }

    /// A personal access token, or else the token of an agent, in the variable `name`.
    pub(crate) fn access_token(name: &'static str, token: &Secret) -> Self {
        Self { name, record: Arc::new(AuthDotJson::of_access_token(token)) }
    }

    fn loaded(&self) -> Loaded {
        Loaded { record: Some(Arc::clone(&self.record)), version: Version::named(self.name) }
    }

    fn refuse<T>(&self) -> Result<T> {
        Err(Error::new(
            ErrorKind::StoreReadOnly,
            format!("the login is what {} says; unset that to use another", self.name),
        ))
    }
}

impl AuthStorage for EnvironmentVariable {
    fn location(&self) -> String {
        format!("the environment variable {}", self.name)
    }

    fn load(&self) -> BoxFuture<'_, Result<Loaded>> {
        Box::pin(async { Ok(self.loaded()) })
    }

    fn load_now(&self) -> Option<Result<Loaded>> {
        Some(Ok(self.loaded()))
    }

    fn commit<'a>(&'a self, _: &'a Version, _: &'a AuthDotJson) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(async { self.refuse() })
    }

    fn delete<'a>(&'a self, _: &'a Version) -> BoxFuture<'a, Result<Swap>> {
        Box::pin(async { self.refuse() })
    }

    fn ready(&self, _: usize) -> BoxFuture<'_, Result<Readiness>> {
        Box::pin(async { self.refuse() })
    }

    fn try_lock(&self) -> BoxFuture<'_, Result<Option<Box<dyn RefreshLock>>>> {
        Box::pin(async { self.refuse() })
    }

    fn ledger(&self) -> Ledger {
        Ledger::default()
    }
}

//! One case on one store: its managers, its named results, and what its steps observe.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use codex_auth_sdk::bindings::EventParts;
use codex_auth_sdk::{
    AuthManager, AuthManagerBuilder, CodexAuth, Error, Events, LogoutOptions, UnauthorizedRecovery,
};
use codex_auth_tests::issuer::{Issuer, Realm};
use codex_auth_tests::options::with;
use codex_auth_tests::options::with_option;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::fields::Fields;
use super::store::{Store, StoreKind};

const LONGEST_STEP: Duration = Duration::from_secs(60);

type Observed = Result<Value, String>;

#[derive(Clone)]
pub(crate) struct Run(Arc<Inner>);

struct Inner {
    root: Realm,
    realm: Realm,
    name: String,
    store: Store,
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    options: Map<String, Value>,
    managers: HashMap<String, AuthManager>,
    auths: HashMap<String, CodexAuth>,
    recoveries: HashMap<String, UnauthorizedRecovery>,
    background: HashMap<String, JoinHandle<Observed>>,
    events: Vec<Events>,
    output: String,
}

impl Run {
    pub(crate) fn new(issuer: &Issuer, name: &str, kind: StoreKind) -> Self {
        Self(Arc::new(Inner {
            root: issuer.realm(""),
            realm: issuer.realm(name),
            name: name.to_owned(),
            store: Store::new(kind),
            names: Mutex::default(),
        }))
    }

    /// Makes the realm, fills the store and opens the first manager.
    pub(crate) async fn prepare(&self, case: &mut Fields) -> Result<(), String> {
        let mut realm = Map::from_iter([("name".to_owned(), json!(self.0.name))]);
        for (field, argument) in [("issuer", "config"), ("logins", "logins"), ("faults", "faults")]
        {
            let value = case.take(field);
            if !value.is_null() {
                realm.insert(argument.to_owned(), value);
            }
        }
        drop(self.0.root.call_async("realms", realm.into()).await);
        if let Value::Object(options) = case.take("options") {
            self.names().options = options;
        }
        let store = case.take("store");
        if !store.is_null() {
            self.write_store(store, false).await?;
        }
        if case.take("open") != json!(false) {
            drop(self.open("main", &mut Fields::of(json!({}))).await?);
        }
        Ok(())
    }

    /// Takes one step and checks what it observes.
    pub(crate) async fn checked_step(self, step: Value) -> Result<(), String> {
        let mut fields = Fields::of(step.clone());
        let expect = fields.take("expect");
        let actual = self.clone().observe(step).await?;
        let is_store = fields.take("do") == json!("store");
        let expect = if expect.is_null() && !is_store { json!({}) } else { expect };
        let answer = if is_store {
            self.call("check_store", json!({"text": actual["text"], "expect": expect})).await
        } else {
            self.call("check", json!({"actual": actual, "expect": expect})).await
        };
        match answer["mismatches"].as_array() {
            Some(mismatches) if mismatches.is_empty() => Ok(()),
            _ => Err(answer.to_string()),
        }
    }

    /// Closes everything and checks what is left.
    pub(crate) async fn finish(&self, expect: Value, log: &str) -> Result<(), String> {
        let managers: Vec<_> = self.names().managers.values().cloned().collect();
        for manager in managers {
            self.note(&manager);
            manager.close(Duration::from_secs(30)).await;
        }
        self.note_events().await;
        let output = format!("{}{log}", self.names().output);
        let arguments =
            json!({"text": self.0.store.read(), "output": output, "expect": object(expect)});
        let answer = self.call("finish", arguments).await;
        match answer["mismatches"].as_array() {
            Some(mismatches) if mismatches.is_empty() => Ok(()),
            _ => Err(answer.to_string()),
        }
    }

    /// What a step observes. Boxed, because a background step is a step in a step.
    fn observe(self, step: Value) -> Pin<Box<dyn Future<Output = Observed> + Send>> {
        Box::pin(async move {
            let mut fields = Fields::of(step);
            drop(fields.take("expect"));
            let kind = fields.text("do")?;
            let step = self.act(&kind, &mut fields);
            let observed = timeout(LONGEST_STEP, step).await;
            let observed = observed.map_err(|_| "the step takes too long".to_owned())??;
            fields.end()?;
            Ok(observed)
        })
    }

    async fn act(&self, kind: &str, fields: &mut Fields) -> Observed {
        match kind {
            "control" => {
                let call = fields.text("call")?;
                Ok(self.call(&call, object(fields.take("args"))).await)
            }
            "wait" => {
                let mut arguments = json!({"until": fields.take("until")});
                if let Value::Number(timeout) = fields.take("timeout_ms") {
                    arguments["timeout_ms"] = timeout.into();
                }
                Ok(self.call("wait", arguments).await)
            }
            "stats" => Ok(self.call("stats", json!({})).await),
            "in_background" => {
                let (name, step) = (fields.text("as")?, fields.take("step"));
                let task = tokio::spawn(self.clone().observe(step));
                self.names().background.insert(name, task);
                Ok(json!({}))
            }
            "join" => {
                let name = fields.text("of")?;
                let task = self.names().background.remove(&name).ok_or("nothing to join")?;
                task.await.map_err(|error| error.to_string())?
            }
            "write_store" | "edit_store" | "delete_store" | "store" => {
                self.act_on_store(kind, fields).await
            }
            _ => self.act_on_manager(kind, fields).await,
        }
    }

    async fn act_on_store(&self, kind: &str, fields: &mut Fields) -> Observed {
        let store = &self.0.store;
        match kind {
            "store" => return Ok(json!({"text": store.read()})),
            "delete_store" => store.write(None, false)?,
            "edit_store" => {
                let json: Value = serde_json::from_str(&store.read().ok_or("nothing is stored")?)
                    .map_err(|error| error.to_string())?;
                let mut edit = json!({"json": json});
                for part in ["set", "remove"] {
                    let value = fields.take(part);
                    if !value.is_null() {
                        edit[part] = value;
                    }
                }
                self.write_store(edit, false).await?;
            }
            _ => {
                let content = fields.take("store");
                let in_place = fields.take("in_place") == json!(true);
                self.write_store(content.clone(), in_place).await?;
                if let Some(delay) = fields.take("heal_after_ms").as_u64() {
                    let mut whole = content;
                    whole.as_object_mut().ok_or("not a store")?.remove("cut");
                    let text = self.store_text(whole).await.ok_or("nothing to heal to")?;
                    store.heal(text, Duration::from_millis(delay))?;
                }
            }
        }
        Ok(json!({}))
    }

    async fn act_on_manager(&self, kind: &str, fields: &mut Fields) -> Observed {
        let name = fields.text_or("manager", "main");
        if kind == "open" {
            return self.open(&name, fields).await;
        }
        if kind == "request" {
            return self.request(self.auth(fields)?).await;
        }
        let manager = self.names().managers.get(&name).cloned().ok_or("no such manager")?;
        let kept = fields.text_or("as", "");
        match kind {
            "auth" => Ok(self.named(kept, manager.auth())),
            "fresh_auth" => {
                let result = manager.fresh_auth().await;
                Ok(self.result(result, |auth| self.named(kept, auth)))
            }
            "refresh" => {
                let result = manager.refresh_token(&self.auth(fields)?).await;
                Ok(self.result(result, |auth| self.named(kept, auth)))
            }
            "reload" => {
                Ok(self.result(manager.reload().await, |changed| json!({"changed": changed})))
            }
            "sync" => {
                let result = manager.sync_from_storage(&self.auth(fields)?).await;
                Ok(self
                    .result(result, |sync| json!({"kind": sync.kind(), "changed": sync.changed()})))
            }
            "recovery" => {
                let recovery = manager.unauthorized_recovery();
                let observed = reason(&recovery);
                self.names().recoveries.insert(kept, recovery);
                Ok(observed)
            }
            "recover" => {
                let (auth, recovery) = (self.auth(fields)?, fields.text("recovery")?);
                let recovery =
                    self.names().recoveries.get(&recovery).cloned().ok_or("no such recovery")?;
                let result = manager.recover_from_unauthorized(&auth, &recovery).await;
                Ok(self.result(result, |decision| {
                    let mut observed = reason(&recovery);
                    observed["decision"] = json!(decision.as_str());
                    observed
                }))
            }
            "logout" => {
                let revoke = fields.take("revoke") != json!(false);
                let options = with(LogoutOptions::default(), |it| it.revoke = revoke);
                let result = manager.logout(options).await;
                Ok(self.result(
                    result,
                    |done| json!({"removed": done.removed, "revoked": done.revoked}),
                ))
            }
            "describe" => {
                let description = manager.describe().await;
                self.note(&description);
                self.note(&description.to_string());
                serde_json::from_str(&description.to_json()).map_err(|error| error.to_string())
            }
            "close" => {
                let is_done = manager.close(Duration::from_secs(30)).await;
                is_done.then(|| json!({})).ok_or_else(|| "still busy".to_owned())
            }
            _ => Err(format!("unknown step `{kind}`")),
        }
    }

    async fn open(&self, name: &str, fields: &mut Fields) -> Observed {
        let mut options = self.names().options.clone();
        options.extend(fields.take("options").as_object().cloned().unwrap_or_default());
        let result = match self.builder(options) {
            Ok(builder) if fields.take("unread") == json!(true) => builder.build_unread(),
            Ok(builder) => builder.build().await,
            Err(error) => Err(error),
        };
        Ok(self.result(result, |manager| {
            let auth = manager.auth();
            self.names().events.push(manager.subscribe());
            self.names().managers.insert(name.to_owned(), manager);
            json!({"auth": snapshot(auth.as_ref())})
        }))
    }

    fn builder(&self, options: Map<String, Value>) -> Result<AuthManagerBuilder, Error> {
        let url = self.0.realm.url();
        let mut builder = AuthManager::builder()
            .storage(self.0.store.storage())
            .token_url(format!("{url}/oauth/token"))
            .revoke_url(format!("{url}/oauth/revoke"))
            .issuer(url.clone());
        for (name, value) in options {
            let text = value.as_str().unwrap_or_default();
            let text = text.replace("{url}", &url).replace("{origin}", &self.0.realm.origin());
            let value = if value.is_string() { Value::String(text) } else { value };
            builder = with_option(builder, &name, &value)?;
        }
        Ok(builder)
    }

    async fn request(&self, auth: CodexAuth) -> Observed {
        let headers = match auth.headers() {
            Ok(headers) => headers,
            refused => return Ok(self.result(refused, |_| Value::Null)),
        };
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.expose())).collect();
        let realm = self.0.realm.clone();
        let reply = tokio::task::spawn_blocking(move || {
            realm.exchange("GET", "/api/me", "text/plain", &lines, "")
        });
        let reply =
            reply.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        Ok(json!({"status": reply.status, "body": body}))
    }

    async fn write_store(&self, store: Value, in_place: bool) -> Result<(), String> {
        let text = self.store_text(store).await;
        self.0.store.write(text.as_deref(), in_place)
    }

    async fn store_text(&self, store: Value) -> Option<String> {
        let answer = self.call("store_text", store).await;
        answer["text"].as_str().map(str::to_owned)
    }

    async fn call(&self, name: &str, arguments: Value) -> Value {
        self.0.realm.call_async(name, arguments).await
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn auth(&self, fields: &mut Fields) -> Result<CodexAuth, String> {
        let name = fields.text("auth")?;
        self.names().auths.get(&name).cloned().ok_or_else(|| format!("no snapshot `{name}`"))
    }

    fn named(&self, name: String, auth: Option<CodexAuth>) -> Value {
        let observed = json!({"auth": snapshot(auth.as_ref())});
        self.note(&auth);
        if let Some(auth) = auth {
            self.names().auths.insert(name, auth);
        }
        observed
    }

    fn result<T>(&self, result: Result<T, Error>, observe: impl FnOnce(T) -> Value) -> Value {
        match result {
            Ok(value) => observe(value),
            Err(error) => {
                self.note(&error);
                self.note(&error.to_string());
                json!({"error": {
                    "code": error.code(),
                    "reason": error.reason(),
                    "is_transient": error.is_transient(),
                    "retry_after": error.retry_after().map(|after| after.as_secs_f64()),
                }})
            }
        }
    }

    /// Notes the events that all managers have sent.
    async fn note_events(&self) {
        let subscribed = std::mem::take(&mut self.names().events);
        for mut events in subscribed {
            while let Ok(Some(event)) = timeout(Duration::ZERO, events.next()).await {
                self.note(&event);
                self.note(&EventParts::from(event).error.map(|error| error.to_string()));
            }
        }
    }

    /// Keeps what somebody might print, to search it for tokens.
    fn note(&self, printed: &impl Debug) {
        let text = format!("{printed:?}\n");
        self.names().output.push_str(&text);
    }
}

fn snapshot(auth: Option<&CodexAuth>) -> Value {
    let Some(auth) = auth else { return Value::Null };
    json!({
        "mode": auth.mode().as_str(),
        "access_token": auth.access_token().map(|token| token.expose().to_owned()),
        "account_id": auth.account_id(),
        "user_id": auth.user_id(),
        "email": auth.email(),
        "plan_type": auth.plan_type(),
        "is_fedramp": auth.is_fedramp(),
        "expires_at": auth.expires_at().map(|time| time.to_rfc3339()),
        "last_refresh": auth.last_refresh().map(|time| time.to_rfc3339()),
    })
}

fn reason(recovery: &UnauthorizedRecovery) -> Value {
    json!({"give_up_reason": recovery.give_up_reason().map(codex_auth_sdk::GiveUpReason::as_str)})
}

fn object(value: Value) -> Value {
    if value.is_null() { json!({}) } else { value }
}

//! The calls of the core that the blocking and the asyncio manager share.
//!
//! Each future owns what it needs, so it can outlive its caller, and answers with a type that
//! Python sees.

use std::time::Duration;

use codex_auth_sdk::{
    AuthManager, AuthManagerBuilder, LoginOptions, LogoutOptions, RequestAuthorization, Result,
    Secret,
};

use crate::login::{BrowserLogin, DeviceLogin};
use crate::outcomes::{LogoutOutcome, SyncOutcome};
use crate::recovery::{Decision, UnauthorizedRecovery};
use crate::snapshot::CodexAuth;

pub(crate) async fn build(builder: AuthManagerBuilder) -> Result<AuthManager> {
    builder.build().await
}

pub(crate) async fn fresh_auth(manager: AuthManager) -> Result<Option<CodexAuth>> {
    Ok(manager.fresh_auth().await?.map(CodexAuth))
}

pub(crate) async fn reload(manager: AuthManager) -> Result<bool> {
    manager.reload().await
}

pub(crate) async fn sync_from_storage(
    manager: AuthManager,
    CodexAuth(auth): CodexAuth,
) -> Result<SyncOutcome> {
    manager.sync_from_storage(&auth).await.map(SyncOutcome::from)
}

pub(crate) async fn refresh_token(
    manager: AuthManager,
    CodexAuth(auth): CodexAuth,
) -> Result<Option<CodexAuth>> {
    Ok(manager.refresh_token(&auth).await?.map(CodexAuth))
}

pub(crate) async fn recover_from_unauthorized(
    manager: AuthManager,
    CodexAuth(auth): CodexAuth,
    UnauthorizedRecovery(recovery): UnauthorizedRecovery,
) -> Result<Decision> {
    manager.recover_from_unauthorized(&auth, &recovery).await.map(Decision)
}

pub(crate) async fn auth(authorization: RequestAuthorization) -> Result<CodexAuth> {
    authorization.auth().await.map(CodexAuth)
}

pub(crate) async fn retry_auth(
    authorization: RequestAuthorization,
    CodexAuth(auth): CodexAuth,
    status: u16,
) -> Result<Option<CodexAuth>> {
    Ok(authorization.retry_auth(&auth, status).await?.map(CodexAuth))
}

pub(crate) async fn login_with_browser(
    manager: AuthManager,
    options: LoginOptions,
) -> Result<BrowserLogin> {
    manager.login_with_browser(options).await.map(BrowserLogin)
}

pub(crate) async fn login_with_device_code(
    manager: AuthManager,
    options: LoginOptions,
) -> Result<DeviceLogin> {
    manager.login_with_device_code(options).await.map(DeviceLogin)
}

pub(crate) async fn resume_login_with_browser(
    manager: AuthManager,
    id: String,
) -> Result<BrowserLogin> {
    manager.resume_login_with_browser(&id).await.map(BrowserLogin)
}

pub(crate) async fn resume_login_with_device_code(
    manager: AuthManager,
    id: String,
) -> Result<DeviceLogin> {
    manager.resume_login_with_device_code(&id).await.map(DeviceLogin)
}

pub(crate) async fn login_with_api_key(manager: AuthManager, api_key: Secret) -> Result<CodexAuth> {
    manager.login_with_api_key(&api_key).await.map(CodexAuth)
}

pub(crate) async fn login_with_access_token(
    manager: AuthManager,
    access_token: Secret,
) -> Result<CodexAuth> {
    manager.login_with_access_token(&access_token).await.map(CodexAuth)
}

pub(crate) async fn logout(manager: AuthManager, options: LogoutOptions) -> Result<LogoutOutcome> {
    manager.logout(options).await.map(LogoutOutcome::from)
}

/// Answers with JSON, which `json` of Python reads.
pub(crate) async fn describe(manager: AuthManager) -> Result<String> {
    Ok(manager.describe().await.to_json())
}

pub(crate) async fn close(manager: AuthManager, timeout: Duration) -> Result<bool> {
    Ok(manager.close(timeout).await)
}

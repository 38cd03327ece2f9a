//! `login` and `logout`.

use std::io::{self, IsTerminal as _, Read as _};

use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::arguments::{Login, Logout};
use super::console;
use super::failure::Result;
use super::summary::Summary;
use crate::{
    AuthManager, AuthManagerBuilder, CodexAuth, Error, ErrorKind, LoginOptions, LogoutOptions,
    Secret,
};

/// No key and no token is nearly as long.
const LONGEST_CREDENTIAL: u64 = 64 * 1024;

pub(super) async fn log_in(builder: AuthManagerBuilder, arguments: Login) -> Result {
    // A file that holds no login must not keep the user from signing in.
    let manager = builder.build_unread()?;
    let Login { way, workspace, port } = arguments;
    let mut options = LoginOptions { allowed_workspaces: workspace, ..LoginOptions::default() };
    if let Some(port) = port {
        options.ports = vec![port];
    }
    let auth = if way.device {
        with_device_code(&manager, options).await?
    } else if way.api_key_stdin {
        manager.login_with_api_key(&from_stdin("API key").await?).await?
    } else if way.access_token_stdin {
        manager.login_with_access_token(&from_stdin("access token").await?).await?
    } else {
        with_browser(&manager, options).await?
    };
    Ok(console::print(format_args!("Signed in: {}", Summary::of(&auth)))?)
}

async fn with_browser(manager: &AuthManager, options: LoginOptions) -> Result<CodexAuth> {
    let login = manager.login_with_browser(options).await?;
    let is_open = login.open_browser().is_ok();
    let lead = if is_open { "If no browser has opened, open" } else { "Open" };
    console::tell(format_args!(
        "{lead} this address to sign in:\n\n{}\n",
        login.authorization_url()
    ));
    Ok(login.wait().await?)
}

async fn with_device_code(manager: &AuthManager, options: LoginOptions) -> Result<CodexAuth> {
    let login = manager.login_with_device_code(options).await?;
    let (address, code) = (login.verification_uri(), login.user_code());
    console::tell(format_args!("Open {address} on any device, and type in this code:\n\n{code}\n"));
    Ok(login.wait().await?)
}

/// Reads a credential, so that it is neither an argument nor typed where it can be seen.
async fn from_stdin(what: &'static str) -> Result<Secret> {
    if io::stdin().is_terminal() {
        let message = format!("stdin is a terminal, which shows what is typed; pipe the {what} in");
        return Err(Error::new(ErrorKind::InvalidOption, message).into());
    }
    // On a thread of its own: Ctrl-C must work while stdin stays silent.
    let text = spawn_blocking(|| {
        let mut text = Zeroizing::new(String::with_capacity(LONGEST_CREDENTIAL as usize));
        io::stdin().take(LONGEST_CREDENTIAL).read_to_string(&mut text)?;
        io::Result::Ok(text)
    });
    let text = text.await.unwrap_or_else(|error| Err(error.into())).map_err(|error| {
        let message = format!("the {what} cannot be read from stdin: {error}");
        Error::new(ErrorKind::LoginInvalidCredential, message)
    })?;
    Ok(Secret::new(text.trim()))
}

pub(super) async fn log_out(builder: AuthManagerBuilder, arguments: &Logout) -> Result {
    let options = LogoutOptions { revoke: !arguments.no_revoke, ..LogoutOptions::default() };
    let outcome = builder.build_unread()?.logout(options).await?;
    let text = match (outcome.removed, outcome.revoked) {
        (false, _) => "There was no login to remove.",
        (true, true) => "Signed out. The tokens are revoked.",
        (true, false) if arguments.no_revoke => {
            "Signed out. Other copies of the tokens still work."
        }
        (true, false) => {
            "Signed out. The server has not confirmed that it revoked anything: other copies of the \
             tokens may still work."
        }
    };
    Ok(console::print(text)?)
}

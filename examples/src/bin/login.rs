//! Signs in, in a terminal.
//!
//! `login [browser|device|manual] [ISSUER]`: with the browser of this machine, by a code to type in on
//! another device, or with a browser elsewhere whose last address is pasted here.

#![allow(clippy::print_stdout, reason = "it talks to its user")]

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use codex_auth_examples::install_tls;
use codex_auth_sdk::{AuthManager, AuthManagerBuilder, CodexAuth, LoginOptions, Result};
use tokio::time::interval;

const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    install_tls();
    let mut arguments = std::env::args().skip(1);
    let way = arguments.next();
    let builder =
        arguments.next().into_iter().fold(AuthManager::builder(), AuthManagerBuilder::issuer);
    let manager = builder.build().await?;
    let auth = match way.as_deref() {
        None | Some("browser") => with_browser(&manager).await?,
        Some("device") => with_device_code(&manager).await?,
        Some("manual") => by_hand(&manager).await?,
        Some(_) => return Err("usage: login [browser|device|manual] [ISSUER]".into()),
    };
    println!("Signed in as {}.", auth.email().or(auth.account_id()).unwrap_or("somebody"));
    Ok(())
}

async fn with_browser(manager: &AuthManager) -> Result<CodexAuth> {
    let login = manager.login_with_browser(LoginOptions::default()).await?;
    println!(
        "Open this address, unless your browser already has:\n\n{}\n",
        login.authorization_url()
    );
    if io::stdout().is_terminal() {
        // Without a browser the address is there to be copied.
        drop(login.open_browser());
    }
    with_spinner(login.wait()).await
}

async fn with_device_code(manager: &AuthManager) -> Result<CodexAuth> {
    let login = manager.login_with_device_code(LoginOptions::default()).await?;
    println!("Open {} and type in:\n\n{}\n", login.verification_uri(), large(login.user_code()));
    with_spinner(login.wait()).await
}

async fn by_hand(manager: &AuthManager) -> Result<CodexAuth> {
    let mut options = LoginOptions::default();
    options.manual = true;
    let login = manager.login_with_browser(options).await?;
    println!("Open this address where there is a browser:\n\n{}\n", login.authorization_url());
    println!("It ends up at a page that cannot be shown. Paste the address of that:");
    let mut address = String::new();
    drop(io::stdin().read_line(&mut address));
    login.complete(&address).await
}

/// `text` with each letter in a box of its own.
fn large(text: &str) -> String {
    let line = |left: &str, inner: &dyn Fn(char) -> String, right: &str| {
        text.chars().map(|letter| format!("{left}{}{right}", inner(letter))).collect::<String>()
    };
    let (top, bottom) = (line("┌", &|_| "───".into(), "┐"), line("└", &|_| "───".into(), "┘"));
    format!("{top}\n{}\n{bottom}", line("│", &|letter| format!(" {letter} "), "│"))
}

/// What `work` comes to; meanwhile something moves.
async fn with_spinner<T>(work: impl Future<Output = T>) -> T {
    let is_shown = io::stdout().is_terminal();
    let mut ticks = interval(Duration::from_millis(80));
    let mut frames = FRAMES.iter().cycle();
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => {
                if is_shown {
                    print!("\r\x1b[K");
                }
                return result;
            }
            _ = ticks.tick() => {
                if let Some(frame) = frames.next().filter(|_| is_shown) {
                    print!("\r{frame} waiting for you");
                    drop(io::stdout().flush());
                }
            }
        }
    }
}

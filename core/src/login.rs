//! Signs in and out, by OAuth 2.0 and OpenID Connect: sends the requests, validates the replies,
//! and checks a new login before it replaces the stored one.

mod browser_login;
mod callback;
mod device;
mod device_login;
mod id_token;
mod jws;
mod kept;
mod leftovers;
mod listener;
mod metadata;
mod options;
mod page;
mod pending;
mod pkce;
#[cfg(feature = "cli")]
mod reach;
mod record;
#[cfg(any(feature = "webbrowser", test))]
mod redirect_page;
#[cfg(feature = "cli")]
mod relocation;
mod request;
mod revocation;
mod server;
mod sign_in;
mod sign_out;
mod token_reply;

pub use self::browser_login::BrowserLogin;
pub use self::device_login::DeviceLogin;
pub use self::options::{IdTokenValidation, LoginOptions, LoginProtocol};
pub(crate) use self::record::{access_token_record, api_key_record};
#[cfg(feature = "cli")]
pub(crate) use self::relocation::{Relocation, relocate};
pub(crate) use self::revocation::Revocation;
pub(crate) use self::server::AuthorizationServer;
pub(crate) use self::sign_in::SignIn;
pub(crate) use self::sign_out::SignOut;
pub use self::sign_out::{LogoutOptions, LogoutOutcome};

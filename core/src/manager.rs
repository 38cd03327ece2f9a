//! The public interface that most programs use. It decides nothing about the login itself; which
//! requests get the credential, and which are sent again, `authorization` decides.

mod auth_manager;
mod authorization;
mod builder;
mod describe;
mod login;
mod named;
mod parts;
mod server_options;
mod store_choice;
#[cfg(test)]
mod tests;

pub use self::auth_manager::AuthManager;
#[cfg(feature = "reqwest")]
pub(crate) use self::authorization::is_placeholder;
pub use self::authorization::{MANAGED_API_KEY, RequestAuthorization};
pub use self::builder::AuthManagerBuilder;

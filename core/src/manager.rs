//! The public face: what most programs need, and nothing that decides.

mod auth_manager;
mod authorization;
mod builder;
mod parts;
#[cfg(test)]
mod tests;

pub use self::auth_manager::AuthManager;
pub use self::authorization::{MANAGED_API_KEY, RequestAuthorization};
pub use self::builder::AuthManagerBuilder;

//! Signing in, as far as OAuth 2.0 and OpenID Connect go: what is asked of the authorization server,
//! and what of its answers is believed. What becomes of the tokens is the manager's affair.

mod callback;
mod device;
mod id_token;
mod jws;
mod listener;
mod metadata;
mod page;
mod pkce;
mod record;
mod request;
mod server;
mod token_reply;

pub(crate) use callback::{Callback, code_in};
pub(crate) use device::{DeviceAnswer, DeviceCode, DeviceGrant, expired};
pub(crate) use listener::{Listener, Waiting};
pub(crate) use page::Page;
pub(crate) use record::{
    access_token_record, api_key_record, chatgpt_record, unchecked_access_token_record,
};
pub(crate) use request::AuthorizationRequest;
pub(crate) use server::AuthorizationServer;
pub(crate) use token_reply::Tokens;

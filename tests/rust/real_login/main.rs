//! Signing in with a real browser at an authorization server that others wrote, on its own pages.
#![cfg(target_os = "linux")]

mod browser;
mod device;
mod scene;

//! Signing in and out, on sockets, with a user who always agrees: how browsers, hostile ones too,
//! and other devices come back, and what becomes of the login that was stored before.

mod browser;
mod device;
mod hostile;
mod races;
mod scene;

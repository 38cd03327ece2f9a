//! Whatever a manager is used from: any runtime or none, and futures that end early.

pub mod chaos;
pub mod drive;
pub mod dropped;
pub mod world;

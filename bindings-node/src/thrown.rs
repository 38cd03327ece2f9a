//! A value that a custom store threw, on its way through the core.

/// Names a thrown value by the number under which the TypeScript code keeps it: the value itself
/// cannot leave its JavaScript thread.
#[derive(Debug, thiserror::Error)]
#[error("an exception of the store")]
pub(crate) struct Thrown(pub(crate) u32);

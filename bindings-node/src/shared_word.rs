//! Memory that a manager writes and JavaScript reads without a call of the addon, which would be
//! the largest cost of most requests.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use napi::Env;
use napi::bindgen_prelude::{Result, Uint32ArraySlice};

/// Returns an array over `word`, or none if the runtime copies the memory instead, as Electron
/// does.
pub(crate) fn shared_word(env: &Env, word: Arc<AtomicU32>) -> Result<Option<Uint32ArraySlice<'_>>> {
    let address = word.as_ptr();
    // SAFETY: The array keeps `word` alive. No other array has its address, since the facade asks
    // for it once per manager. Rust writes the word atomically, and JavaScript only loads it, by
    // `Atomics`.
    #[expect(unsafe_code, reason = "napi cannot know which code writes there")]
    let array =
        unsafe { Uint32ArraySlice::from_external(env, address, 1, word, |_, word| drop(word)) }?;
    Ok(std::ptr::eq(array.as_ptr(), address).then_some(array))
}

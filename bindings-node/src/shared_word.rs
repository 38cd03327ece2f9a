//! Memory that a manager writes and JavaScript reads: a call costs more than all else that is done
//! for most requests.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use napi::Env;
use napi::bindgen_prelude::{Result, Uint32ArraySlice};

/// An array over `word`; none where the runtime shares no memory but copies it, as Electron does.
pub(crate) fn shared_word(env: &Env, word: Arc<AtomicU32>) -> Result<Option<Uint32ArraySlice<'_>>> {
    let address = word.as_ptr();
    // SAFETY: The array keeps `word` alive, whose address no other array has: a manager is asked
    // once. Rust writes it atomically, and JavaScript only loads it, by `Atomics`.
    #[expect(unsafe_code, reason = "napi leaves it to the caller who else writes there")]
    let array =
        unsafe { Uint32ArraySlice::from_external(env, address, 1, word, |_, word| drop(word)) }?;
    Ok(std::ptr::eq(array.as_ptr(), address).then_some(array))
}

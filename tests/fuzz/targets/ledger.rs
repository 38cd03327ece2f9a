#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| codex_auth_sdk::hostile::ledger(input));

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hostile::ledger(input));

#![no_main]
//! `cargo +nightly fuzz run torch -- -max_total_time=300`

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = bonfire_checkpoint::hostile::torch(bytes);
});

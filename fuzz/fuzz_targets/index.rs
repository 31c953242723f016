#![no_main]
//! `cargo +nightly fuzz run index -- -max_total_time=300`

use std::panic;

libfuzzer_sys::fuzz_target!(
    init: {
        // Any panic ends the fuzzer, but for those of the Parquet crate: they are caught and become errors.
        let end = panic::take_hook();
        panic::set_hook(Box::new(move |found| {
            if !found.location().is_some_and(|place| place.file().contains("/parquet-")) {
                end(found);
            }
        }));
    },
    |bytes: &[u8]| {
        let _ = bonfire_datasets::hostile::index(bytes);
    }
);

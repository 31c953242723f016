#![no_main]
//! `cargo +nightly fuzz run index -- -max_total_time=300`

use std::panic;

libfuzzer_sys::fuzz_target!(
    init: {
        // A panic ends the fuzzer unless it comes from the crates of Parquet or of Arrow below it: such
        // panics are caught and become errors.
        let end = panic::take_hook();
        panic::set_hook(Box::new(move |found| {
            let crates = ["/parquet-", "/arrow-"];
            let theirs = |place: &panic::Location| crates.iter().any(|name| place.file().contains(name));
            if !found.location().is_some_and(theirs) {
                end(found);
            }
        }));
    },
    |bytes: &[u8]| {
        let _ = bonfire_datasets::hostile::index(bytes);
    }
);

//! A topology is accepted or refused with diagnostics, never with a panic, and always the same way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use only1mcp_model::{Features, Source, load};

fuzz_target!(|text: &str| {
    let source = Source { path: "fuzz.yaml".to_owned(), text: text.to_owned() };
    let features = Features::all();
    let first = load(&source, None, &features);
    if let Err(diagnostics) = &first {
        assert!(!diagnostics.is_empty(), "a refusal says why");
    }
    let second = load(&source, None, &features);
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
});

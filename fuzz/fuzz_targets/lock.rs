//! A lock is accepted or refused with its place, never with a panic; what is accepted is written as what parses equal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use only1mcp_model::lock::Lock;

fuzz_target!(|text: &str| match Lock::parse(text) {
    Ok(lock) => {
        let written = lock.render();
        assert_eq!(Lock::parse(&written).as_ref(), Ok(&lock), "{written}");
        assert_eq!(lock.render(), written);
    }
    Err(error) => {
        assert!(error.line >= 1 && error.column >= 1, "{error}");
        assert!(!error.message.is_empty() && !error.message.contains(char::is_control), "{error:?}");
    }
});

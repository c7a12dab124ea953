//! A stream of events is the same events in every chunking, and none is longer than the bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use only1mcp::mcp::sse::Decoder;

const EVENT_BYTES_MAX: usize = 64;

#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    data: Vec<u8>,
    id: Option<String>,
    retry_ms: Option<u64>,
}

// The first byte says how long the chunks are.
fuzz_target!(|input: &[u8]| {
    let Some((&length, stream)) = input.split_first() else { return };
    let whole = decode(std::iter::once(stream));
    assert_eq!(decode(stream.chunks(1 + usize::from(length))), whole);
    assert_eq!(decode(stream.chunks(1)), whole);
});

/// The events, and whether all of the stream was taken.
fn decode<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, bool) {
    let mut decoder = Decoder::new(EVENT_BYTES_MAX);
    let mut events = Vec::new();
    for mut chunk in chunks {
        loop {
            let Ok((taken, event)) = decoder.decode(chunk) else { return (events, false) };
            let Some(event) = event else {
                assert_eq!(taken, chunk.len());
                break;
            };
            assert!(event.data.len() <= EVENT_BYTES_MAX);
            events.push(Event {
                name: event.name.to_owned(),
                data: event.data.to_vec(),
                id: event.id.map(str::to_owned),
                retry_ms: event.retry_ms,
            });
            chunk = &chunk[taken..];
        }
    }
    (events, true)
}

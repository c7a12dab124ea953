//! When the file of an overlay is looked at: soon after something happened in its directory, for editors and links that
//! are turned replace files rather than write them; and every now and then, for what no operating system tells.
//!
//! A file is read once its directory has been quiet for a moment, or has not been for too long: neither is one read that
//! is half written, if that can be helped, nor does one that is written all the time keep from being read.

#[cfg(target_os = "linux")]
mod events;
#[cfg(not(target_os = "linux"))]
mod no_events;

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::OverlayStore;
use crate::control::Stop;
#[cfg(target_os = "linux")]
use events::Events;
#[cfg(not(target_os = "linux"))]
use no_events::Events;

/// How long nothing must have happened.
const SETTLED: Duration = Duration::from_millis(200);
/// For how long that is waited for.
const SETTLE_MAX: Duration = Duration::from_secs(1);
/// How often the file is looked at although nothing was told of it.
const POLL: Duration = Duration::from_secs(2);

/// What is known of a file without reading it.
type Look = Option<(u64, u64, u64, (i64, i64), (i64, i64))>;

/// Looks after the file, if there is one to be, until the gateway stops.
pub(in crate::control) async fn watch(store: &Arc<OverlayStore>, stop: &Stop) {
    let Some(path) = store.file() else { return };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut events = Events::open();
    let mut poll = interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first look is at what came since the gateway read it.
    let mut last = None;
    loop {
        let happened = tokio::select! {
            () = stop.reached() => return,
            () = events.next() => true,
            // Each time: a directory that was away is another one.
            _ = poll.tick() => {
                events.watch(directory);
                false
            }
        };
        if happened || last != Some(look(path)) {
            tokio::select! {
                () = stop.reached() => return,
                () = settle(path, &mut events) => {}
            }
            // Before it is read: what changes meanwhile is seen at the next look.
            last = Some(look(path));
            let own = Arc::clone(store);
            // It may wait for backends that are asked what they offer.
            tokio::select! {
                () = stop.reached() => return,
                _ended = tokio::task::spawn_blocking(move || own.look()) => {}
            }
        }
    }
}

/// Waits until nothing has happened for a while.
async fn settle(path: &Path, events: &mut Events) {
    let latest = Instant::now() + SETTLE_MAX;
    let mut before = look(path);
    while Instant::now() < latest {
        let quiet = Instant::now() + SETTLED;
        let happened = tokio::select! {
            () = events.next() => true,
            () = sleep_until(quiet.min(latest)) => false,
        };
        let now = look(path);
        if !happened && now == before {
            return;
        }
        before = now;
    }
}

fn look(path: &Path) -> Look {
    let look = |own: Metadata| {
        (own.dev(), own.ino(), own.size(), (own.mtime(), own.mtime_nsec()), (own.ctime(), own.ctime_nsec()))
    };
    path.metadata().ok().map(look)
}

//! Backends that the overlay adds and that have not said what they offer are asked again, ever less often.

use std::sync::Arc;
use std::time::Duration;

use super::OverlayStore;
use crate::control::Stop;
use crate::limits;
use crate::upstream::Backoff;

/// Looks after them until the gateway stops.
pub(in crate::control) async fn relist(store: &Arc<OverlayStore>, stop: &Stop) {
    if !cfg!(feature = "amendments") {
        return;
    }
    let mut published = store.tuned.published();
    let mut backoff = Backoff::new(limits::LISTING_BACKOFF);
    loop {
        let delay = store.lacks().then(|| backoff.after(Duration::ZERO));
        let again = async {
            match delay {
                Some(delay) => tokio::time::sleep(delay).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.reached() => return,
            changed = published.changed() => {
                if changed.is_err() {
                    return;
                }
                backoff = Backoff::new(limits::LISTING_BACKOFF);
                continue;
            }
            () = again => {}
        }
        let own = Arc::clone(store);
        // Ending with an error means that it panicked, which has been said.
        tokio::select! {
            () = stop.reached() => return,
            _ended = tokio::task::spawn_blocking(move || own.relist()) => {}
        }
        // What this has published itself is no news.
        published.mark_unchanged();
    }
}

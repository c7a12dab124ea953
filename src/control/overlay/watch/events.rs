//! That something happened in a directory, as Linux tells it. What it was is not asked.

use std::io;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

/// Whatever changes what a file of the directory holds, or whether it can be read.
const CHANGES: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF);

/// See the module.
pub(super) struct Events(Option<Open>);

struct Open {
    /// No pipe, but read like one.
    inotify: Receiver,
    /// The directory that is watched.
    watched: Option<i32>,
}

// === impl Events ===

impl Events {
    /// Of no directory yet. Where the operating system allows no more watches, none ever comes.
    pub(super) fn open() -> Self {
        let opened = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(io::Error::from);
        match opened.and_then(Receiver::from_owned_fd_unchecked) {
            Ok(inotify) => Self(Some(Open { inotify, watched: None })),
            Err(error) => {
                tracing::info!(%error, "changes of the overlay are not told: it is looked at every two seconds");
                Self(None)
            }
        }
    }

    /// Goes on with whatever directory is at this path now.
    pub(super) fn watch(&mut self, directory: &Path) {
        let Some(Open { inotify, watched }) = &mut self.0 else { return };
        // One that is watched already keeps its number. One that is not there is tried again.
        let now = inotify::add_watch(&*inotify, directory, CHANGES | WatchFlags::ONLYDIR).ok();
        if let Some(before) = watched.filter(|before| now.is_some_and(|now| now != *before)) {
            // One that was deleted is watched no more.
            let _gone = inotify::remove_watch(&*inotify, before);
        }
        *watched = now.or(*watched);
    }

    /// Waits until something has happened. Cancel safe.
    pub(super) async fn next(&mut self) {
        if let Some(Open { inotify, .. }) = &mut self.0 {
            match inotify.read(&mut [0; 4096]).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, "changes of the overlay are told no more: it is looked at every two seconds");
                    self.0 = None;
                }
            }
        }
        std::future::pending().await
    }
}

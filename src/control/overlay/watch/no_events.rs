//! Stands for `events` where the operating system is not Linux: nothing is told, and the file is looked at every now and
//! then.

use std::path::Path;

/// None comes.
pub(super) struct Events;

impl Events {
    pub(super) fn open() -> Self {
        Self
    }

    pub(super) fn watch(&mut self, _: &Path) {}

    pub(super) async fn next(&mut self) {
        std::future::pending().await
    }
}

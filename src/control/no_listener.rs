//! Stands for `listener` in a build without the feature `admin`: there is none.

use std::io;

use super::Stop;

/// None exists.
#[derive(Debug)]
pub(crate) enum Listener {}
pub(super) use Listener as Entered;

impl Listener {
    pub(super) fn enter(self) -> io::Result<Entered> {
        match self {}
    }

    pub(super) fn serve(self, _: Stop) -> std::future::Ready<()> {
        match self {}
    }
}

//! The control plane: what workers must not wait for, on a thread of its own beside them.
//!
//! `control/overlay` keeps the overlay and looks after its file, `control/health` asks endpoints whether they are well.
//! `control/listener` serves what administrators and collectors of metrics ask, in a build with the feature `admin`.
//! Binding it is the gateway's.
//!
//! **Invariant:** the data plane never waits for this thread: it reads what workers count and holds nothing they need.

mod health;
#[cfg(feature = "admin")]
mod listener;
#[cfg(not(feature = "admin"))]
mod no_listener;
mod overlay;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::catalog::Topology;
use crate::limits;
use crate::upstream::Shared;
use listener::Entered;
pub(crate) use listener::Listener;
#[cfg(feature = "admin")]
pub(crate) use listener::{Access, Facts, Settings, Token};
#[cfg(not(feature = "admin"))]
use no_listener as listener;
pub(crate) use overlay::{Amender, Beginning};
pub use overlay::{By, OverlayError, OverlayStore, Published, Rejected, Reload};
#[cfg(feature = "admin")]
pub(crate) use overlay::{Considered, Heard};

/// The thread of the control plane. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    course: watch::Sender<Course>,
    thread: Option<JoinHandle<()>>,
}

/// How far the gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Serving,
    /// Another one serves administrators.
    Leaving,
    Stopping,
}

/// Ready once the gateway stops.
#[derive(Clone, Debug)]
struct Stop(watch::Receiver<Course>);

// === impl Control ===

impl Control {
    /// Looks after the overlay from now on, and serves a listener if there is to be one.
    ///
    /// # Errors
    /// When the operating system refuses a runtime or a thread.
    pub(crate) fn start<T: Topology>(
        overlay: Arc<OverlayStore>,
        listener: Option<Listener>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            listener.map(Listener::enter).transpose()?
        };
        let (course, stop) = watch::channel(Course::Serving);
        let thread = std::thread::Builder::new().name("control".to_owned());
        let thread = thread.spawn(move || {
            LocalSet::new().block_on(&runtime, run::<T>(&overlay, listener, shared, Stop(stop)));
            // Nobody waits for a backend that is being asked what it offers.
            runtime.shutdown_background();
        })?;
        Ok(Self { course, thread: Some(thread) })
    }

    /// Serves administrators no more, since another gateway does.
    pub(crate) fn leave(&self) {
        self.course.send_replace(Course::Leaving);
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.course.send_replace(Course::Stopping);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the control thread panicked");
        }
    }
}

/// Does what there is to do until the gateway stops.
async fn run<T: Topology>(overlay: &Arc<OverlayStore>, listener: Option<Entered>, shared: Arc<Shared>, stop: Stop) {
    let serving = async {
        if let Some(listener) = listener {
            listener.serve(stop.clone()).await;
        }
    };
    let asking = health::begin::<T>(shared, overlay.tuned(), &stop);
    tokio::join!(serving, overlay::watch(overlay, &stop), overlay::relist(overlay, &stop), stop.reached());
    if let Some(asking) = asking {
        // It has stopped as well, and lets go of what it holds open.
        drop(tokio::time::timeout(limits::CHILD_GRACE, asking).await);
    }
}

// === impl Stop ===

impl Stop {
    /// Waits for it. Cancel safe.
    async fn reached(&self) {
        // Ending with an error means that nobody is left to say it: the same.
        drop(self.0.clone().wait_for(|course| *course == Course::Stopping).await);
    }

    /// Waits until nobody is to be accepted any more. Cancel safe.
    #[cfg(feature = "admin")]
    async fn left(&self) {
        drop(self.0.clone().wait_for(|course| *course != Course::Serving).await);
    }
}

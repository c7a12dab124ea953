//! Children of backends that overlays add. They live on a thread of their own instead of on workers: what they offer is asked
//! before any worker knows of them, and one that takes long to come up goes on with that when nobody waits for it any more.
//!
//! **Invariant:** a child lives as long as somebody holds its [`Lodging`], or has a call under way at it; and no longer than
//! the ward.

use std::collections::HashMap;
use std::rc::Rc;
#[expect(clippy::disallowed_types, reason = "no worker takes it")]
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, LocalSet};

use super::{Places, Stdio};
use crate::catalog::plan;
use crate::clock::Clock;
use crate::telemetry::chain;
use crate::upstream::context::Account;
use crate::upstream::{Context, Group, Patient, Shared, Told, Transport as _, contract};

/// What may wait for the thread.
const JOBS_MAX: usize = 64;
/// For how long a room is waited for: what opens it reads files (`file:`), and an overlay that comes into force waits for it.
const ADMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked whether the calls to a backend that is no more are over.
const LEAVE_PAUSE: Duration = Duration::from_millis(100);

/// The thread. It comes up with the first child.
#[derive(Debug, Default)]
pub(crate) struct Ward {
    #[expect(clippy::disallowed_types, reason = "no worker takes it")]
    course: Mutex<Course>,
}

/// How far it is.
#[derive(Debug, Default)]
enum Course {
    #[default]
    Empty,
    Open(mpsc::Sender<Job>, JoinHandle<()>),
    Closed,
}

/// The room of one backend: its children live for as long as this is held.
#[derive(Debug)]
pub(crate) struct Lodging {
    /// No other one of the process has it, now or later.
    number: u64,
    places: Arc<Places>,
    held: watch::Sender<()>,
}

/// A backend whose children live here, or are to.
#[derive(Debug)]
pub(crate) struct Guest {
    backend: plan::Backend,
    lodging: Weak<Lodging>,
    group: Arc<Group>,
    shared: Arc<Shared>,
    /// How many workers have links to it.
    workers: usize,
}

#[derive(Debug)]
struct Job {
    guest: Guest,
    wanted: Wanted,
}

#[derive(Debug)]
enum Wanted {
    /// That its children live here.
    Room(SyncSender<Result<(), String>>),
    /// The same, and what it offers.
    Contract(oneshot::Sender<Told>),
}

/// What the thread has.
#[derive(Default)]
struct Rooms {
    /// Its own links, by the numbers of the lodgings.
    links: HashMap<u64, Rc<Stdio>>,
    /// Ends with the number of a lodging that nobody holds any more.
    leaving: JoinSet<u64>,
}

// === impl Lodging ===

impl Lodging {
    /// That of a backend that is started.
    pub(in crate::upstream) fn new(backend: &plan::Backend, account: &Account) -> Option<Arc<Self>> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let places = Arc::new(Places::new(backend, account, &mut (0..), true)?);
        let number = NUMBERS.fetch_add(1, Relaxed);
        Some(Arc::new(Self { number, places, held: watch::Sender::new(()) }))
    }

    pub(in crate::upstream) fn places(&self) -> Arc<Places> {
        Arc::clone(&self.places)
    }

    /// Its children.
    pub(crate) fn patients(&self) -> impl Iterator<Item = Patient> {
        self.places.all.iter().map(|place| place.patient.clone())
    }

    /// Has its children look whether they are to be kept up.
    pub(crate) fn nudge(&self) {
        self.places.all.iter().filter(|place| place.door.is_served()).for_each(|place| place.door.nudge());
    }
}

// === impl Guest ===

impl Guest {
    /// A backend with a lodging, and its calls.
    pub(in crate::upstream) fn new(
        backend: &plan::Backend,
        lodging: &Arc<Lodging>,
        group: &Arc<Group>,
        shared: &Arc<Shared>,
        workers: usize,
    ) -> Self {
        let (lodging, group, shared) = (Arc::downgrade(lodging), Arc::clone(group), Arc::clone(shared));
        Self { backend: backend.clone(), lodging, group, shared, workers }
    }
}

// === impl Ward ===

impl Ward {
    /// Has the children of a backend live here; returns once they do, whether or not they are up.
    ///
    /// # Errors
    /// Why they cannot be started, or that this takes too long: then calls are refused until they live here.
    pub(crate) fn admit(&self, guest: Guest) -> Result<(), String> {
        let (reply, admitted) = sync_channel(1);
        self.send(Job { guest, wanted: Wanted::Room(reply) })?;
        admitted.recv_timeout(ADMIT_TIMEOUT).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err("what it is started with takes too long to be read".to_owned()),
            RecvTimeoutError::Disconnected => Err(closed()),
        })
    }

    /// The same, and asks the backend what it offers. That is asked no longer than somebody waits for it.
    pub(crate) fn ask(&self, guest: Guest) -> oneshot::Receiver<Told> {
        let (reply, told) = oneshot::channel();
        if let Err(why) = self.send(Job { guest, wanted: Wanted::Contract(reply) }) {
            let (reply, refused) = oneshot::channel();
            drop(reply.send(Err(why)));
            return refused;
        }
        told
    }

    /// Ends all children. Blocks until that is done; no more are started.
    pub(crate) fn close(&self) {
        let before = std::mem::replace(&mut *self.course(), Course::Closed);
        if let Course::Open(jobs, thread) = before {
            drop(jobs);
            if thread.join().is_err() {
                tracing::error!("the thread of added children panicked");
            }
        }
    }

    fn send(&self, job: Job) -> Result<(), String> {
        let mut course = self.course();
        if matches!(*course, Course::Empty) {
            *course = open().map_err(|error| error.to_string())?;
        }
        match &*course {
            Course::Open(jobs, _) => {
                jobs.try_send(job).map_err(|_full| "too many children are being started".to_owned())
            }
            Course::Empty | Course::Closed => Err(closed()),
        }
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ward {
    fn drop(&mut self) {
        self.close();
    }
}

fn closed() -> String {
    "the gateway stops".to_owned()
}

fn open() -> std::io::Result<Course> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (jobs, waiting) = mpsc::channel(JOBS_MAX);
    let thread = std::thread::Builder::new().name("added".to_owned()).spawn(move || run(&runtime, waiting))?;
    Ok(Course::Open(jobs, thread))
}

fn run(runtime: &Runtime, mut jobs: mpsc::Receiver<Job>) {
    LocalSet::new().block_on(runtime, async {
        let (mut rooms, stop) = (Rooms::default(), watch::Sender::new(false));
        loop {
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(job) => rooms.take(job, &stop),
                    None => break,
                },
                Some(left) = rooms.leaving.join_next() => drop(left.map(|number| rooms.links.remove(&number))),
            }
        }
        stop.send_replace(true);
        while rooms.leaving.join_next().await.is_some() {}
    });
}

// === impl Rooms ===

impl Rooms {
    fn take(&mut self, Job { guest, wanted }: Job, stop: &watch::Sender<bool>) {
        // What it shares with the workers is let go of before anybody hears: the ward must not be the last to have it.
        let (backend, link) = self.link(guest, stop);
        match (wanted, link) {
            // Whoever has gone wants no answer.
            (Wanted::Room(reply), link) => drop(reply.send(link.map(drop))),
            (Wanted::Contract(reply), Err(why)) => drop(reply.send(Err(why))),
            (Wanted::Contract(mut reply), Ok(link)) => {
                tokio::task::spawn_local(async move {
                    let told = tokio::select! {
                        told = contract(&*link, &backend, |_| {}) => told,
                        () = reply.closed() => return,
                    };
                    drop(reply.send(told));
                });
            }
        }
    }

    /// The backend of a guest, and the link to it.
    fn link(&mut self, guest: Guest, stop: &watch::Sender<bool>) -> (plan::Backend, Result<Rc<Stdio>, String>) {
        let link = self.lodge(&guest, stop);
        (guest.backend, link)
    }

    /// The link to a guest, which comes to live here if it does not yet.
    fn lodge(&mut self, guest: &Guest, stop: &watch::Sender<bool>) -> Result<Rc<Stdio>, String> {
        let lodging = guest.lodging.upgrade().ok_or("it is taken out again")?;
        if let Some(link) = self.links.get(&lodging.number) {
            return Ok(Rc::clone(link));
        }
        let context = Context {
            // Behind the last of them.
            worker: guest.workers,
            endpoint: 0,
            workers: guest.workers,
            clock: Clock::default(),
            shared: Arc::clone(&guest.shared),
        };
        // Its own: another lodging may have come in place of this one.
        let link =
            Stdio::at(Some(lodging.places()), &context, &guest.backend).map_err(|error| chain(error.why(), &error))?;
        let (link, number, group) = (Rc::new(link), lodging.number, Arc::clone(&guest.group));
        let (mut held, mut stopped) = (lodging.held.subscribe(), stop.subscribe());
        let own = Rc::clone(&link);
        self.leaving.spawn_local(async move {
            let left = async {
                while held.changed().await.is_ok() {}
                while !group.is_idle() {
                    tokio::time::sleep(LEAVE_PAUSE).await;
                }
            };
            tokio::select! {
                () = left => {}
                // The workers have no calls any more. Ending with an error means that nobody is left to say it: the same.
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
            own.close().await;
            number
        });
        self.links.insert(number, Rc::clone(&link));
        Ok(link)
    }
}

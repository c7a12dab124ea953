//! Starting and ending child processes. What becomes of processes that a child starts in turn is seen to in `keeper`.
//!
//! **Invariant:** children are forked by one thread that lives as long as the process. The parent-death signal, which
//! ends a child when the gateway dies, follows the thread that forked, not the process.

mod forked;
mod keeper;
mod sandbox;
mod secrets;

use std::ffi::{CString, OsString};
use std::fmt;
use std::io::{self, PipeReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use rustix::process::{Gid, Pid, Signal, Uid};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub(super) use secrets::Secrets;

use super::{OpenError, Shared};
use crate::catalog::plan;
use crate::limits;
use forked::Forked;
use keeper::{Keeper, Order};
use sandbox::{Prepared, Sandbox};

/// Variables of the gateway's own environment that every child gets; nothing else of it leaks.
pub const CHILD_VARIABLES: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// Starts that may wait for the thread.
const JOBS_MAX: usize = 64;

struct Job {
    command: Command,
    /// Where the id of the child is found, if what is forked is its keeper.
    kept: Option<PipeReader>,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Group>>,
}

/// The thread that forks.
#[derive(Debug)]
pub struct Children;

impl Children {
    /// Starts a child whose pipes belong to the calling runtime.
    pub(super) async fn spawn(recipe: &Recipe) -> io::Result<Group> {
        static THREAD: OnceLock<Option<SyncSender<Job>>> = OnceLock::new();
        let jobs = THREAD.get_or_init(|| {
            let (sender, receiver) = sync_channel(JOBS_MAX);
            let thread = thread::Builder::new().name("children".to_owned()).spawn(move || fork_each(&receiver));
            thread.is_ok().then_some(sender)
        });
        let (reply, spawned) = oneshot::channel();
        let (command, kept) = recipe.command()?;
        let job = Job { command, kept, runtime: Handle::current(), reply };
        let taken = jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok());
        if !taken {
            return Err(io::Error::other("the thread that starts children takes no more"));
        }
        spawned.await.unwrap_or_else(|_dropped| Err(io::Error::other("the thread that starts children is gone")))
    }
}

fn fork_each(jobs: &Receiver<Job>) {
    for job in jobs {
        let _entered = job.runtime.enter();
        // A keeper that is killed has no time for the rest.
        let kill_on_drop = job.kept.is_none();
        let child = tokio::process::Command::from(job.command).kill_on_drop(kill_on_drop).spawn();
        // Nobody waits any more: dropping the group ends it.
        drop(job.reply.send(child.map(|child| Group::new(child, job.kept))));
    }
}

/// How to start the child of a stdio backend: no shell, and an environment of named variables only.
#[derive(Debug)]
pub(super) struct Recipe {
    program: OsString,
    args: Vec<String>,
    env: Vec<(String, OsString)>,
    cwd: Option<String>,
    secrets: Arc<Secrets>,
    sandbox: Option<Sandbox>,
}

impl Recipe {
    /// Resolves the references of a backend's definition.
    pub(super) fn new(shared: &Shared, backend: &plan::Backend, stdio: &plan::Stdio) -> Result<Self, OpenError> {
        let inherited = CHILD_VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?)));
        let mut env: Vec<_> = inherited.collect();
        let mut secrets = Secrets::default();
        for variable in stdio.env.iter() {
            let value = shared.resolve(backend, &variable.value)?;
            // What stands in the topology is no secret.
            if !matches!(variable.value, plan::Reference::Literal(_)) {
                secrets.add(&value);
            }
            env.push((variable.name.to_string(), value.into()));
        }
        let program: OsString = match &stdio.program {
            plan::Program::Current => shared.program.clone().into_os_string(),
            plan::Program::Named(name) => name.to_string().into(),
        };
        let resolve = |reference: &plan::Reference| shared.resolve(backend, reference);
        let sandbox = stdio.sandbox.as_ref();
        let sandbox = sandbox.map(|plan| Sandbox::new(plan, &program, stdio.cwd.as_deref(), resolve)).transpose()?;
        Ok(Self {
            program,
            args: stdio.args.iter().map(ToString::to_string).collect(),
            env,
            cwd: stdio.cwd.as_ref().map(ToString::to_string),
            secrets: Arc::new(secrets),
            sandbox,
        })
    }

    /// What of its environment may not be shown.
    pub(super) fn secrets(&self) -> &Arc<Secrets> {
        &self.secrets
    }

    fn command(&self) -> io::Result<(Command, Option<PipeReader>)> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let sandbox = self.sandbox.as_ref().map(Sandbox::prepare).transpose()?;
        let sandbox = sandbox.map(|(prepared, missing)| {
            for what in missing {
                tracing::warn!(program = %self.program.display(), "sandbox: this kernel has no {what}");
            }
            prepared
        });
        let kept = (sandbox.is_some() && Keeper::is_possible()).then(Keeper::new).transpose()?;
        let (keeper, kept) = kept.unzip();
        let cwd = self.cwd.as_deref().map(CString::new).transpose()?;
        let user = self.sandbox.as_ref().and_then(Sandbox::user);
        let mut steps = Steps { keeper, user, cwd, sandbox };
        let gateway = rustix::process::getpid();
        // Also a keeper is out of reach of a terminal.
        command.process_group(0);
        forked::before_exec(&mut command, move |forked| steps.take(gateway, forked));
        Ok((command, kept))
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.args.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// What is left to do between fork and exec.
struct Steps {
    keeper: Option<Keeper>,
    user: Option<plan::User>,
    cwd: Option<CString>,
    sandbox: Option<Prepared>,
}

impl Steps {
    /// Puts the child at the head of its own process group, has the kernel kill it when its parent dies, and confines it.
    /// Its parent is the gateway, or a keeper that is made here.
    fn take(&mut self, gateway: Pid, forked: &Forked) -> io::Result<()> {
        let parent = self.keeper.as_mut().map_or(Ok(gateway), |keeper| keeper.stand_between(gateway, forked))?;
        rustix::process::setpgid(None, None)?;
        if let Some(user) = self.user {
            // Its other groups go with root's rights.
            rustix::thread::set_thread_groups(&[])?;
            rustix::thread::set_thread_gid(Gid::from_raw(user.gid))?;
            rustix::thread::set_thread_uid(Uid::from_raw(user.uid))?;
        }
        if let Some(cwd) = &self.cwd {
            rustix::process::chdir(cwd.as_c_str())?;
        }
        // After the change of the user, which takes it back.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have died before the line above: then nobody would send the signal.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.sandbox.as_mut().map_or(Ok(()), Prepared::enter)?;
        self.keeper.as_ref().map_or(Ok(()), Keeper::leave)
    }
}

/// A child at the head of its own process group. Whichever way it is let go, the whole group ends, and with a keeper all
/// that descends from it.
#[derive(Debug)]
pub(super) struct Group {
    /// The child, or its keeper, which ends as the child did.
    forked: Child,
    is_kept: bool,
    /// `None` once the group was killed. The child's own id would not do: it is gone with the child, and the group may
    /// outlive it.
    id: Option<Pid>,
}

impl Group {
    fn new(forked: Child, kept: Option<PipeReader>) -> Self {
        let is_kept = kept.is_some();
        let id = match kept {
            Some(reader) => keeper::server(reader),
            None => process(&forked),
        };
        Self { forked, is_kept, id }
    }

    /// The process at its head, until it was killed.
    pub(super) fn pid(&self) -> Option<u32> {
        self.id.and_then(|id| u32::try_from(id.as_raw_nonzero().get()).ok())
    }

    /// The child's ends of its pipes; they can be taken once.
    pub(super) fn pipes(&mut self) -> Option<(ChildStdin, ChildStdout, ChildStderr)> {
        Some((self.forked.stdin.take()?, self.forked.stdout.take()?, self.forked.stderr.take()?))
    }

    /// Ready once the child has ended. Cancel safe.
    pub(super) async fn exited(&mut self) -> io::Result<ExitStatus> {
        self.forked.wait().await
    }

    /// Ends a child whose stdin was closed: waits, then signals the group, politely first.
    pub(super) async fn end(mut self) {
        if tokio::time::timeout(limits::CHILD_GRACE, self.exited()).await.is_err() {
            if !self.order(Order::Terminate) {
                self.signal(Signal::TERM);
            }
            // Whatever happens within the grace, the group is killed next.
            drop(tokio::time::timeout(limits::CHILD_GRACE, self.exited()).await);
        }
        // Also after an orderly exit: grandchildren may be left in the group.
        self.end_now().await;
    }

    /// Kills the group at once.
    pub(super) async fn end_now(mut self) {
        // A keeper takes its time only if it stands still itself, or waits for whom the kernel does not let end.
        if self.order(Order::End) && tokio::time::timeout(limits::CHILD_GRACE, self.exited()).await.is_err() {
            tracing::warn!("what descends from a child could not be ended");
            self.forked.start_kill().unwrap_or_default();
        }
        self.kill();
        if let Err(error) = self.exited().await {
            tracing::warn!(%error, "a child could not be reaped");
        }
    }

    /// Kills the group. Also where a keeper has ended: it may have been killed itself.
    fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.id = None;
    }

    /// Asks something of the keeper, if there is one still.
    fn order(&self, order: Order) -> bool {
        let keeper = self.is_kept.then(|| process(&self.forked)).flatten();
        keeper.is_some_and(|keeper| rustix::process::kill_process(keeper, order.signal()).is_ok())
    }

    fn signal(&self, signal: Signal) {
        // An error means that nobody is left in the group, which is what a signal is for.
        if let Some(group) = self.id {
            rustix::process::kill_process_group(group, signal).unwrap_or_default();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.order(Order::End);
        self.kill();
    }
}

/// What was forked, until it was reaped.
fn process(forked: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(forked.id()?).ok()?)
}

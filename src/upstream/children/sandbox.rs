//! What a child is confined to: bounds by the kernel's limits, files and network by Landlock, system calls by seccomp.
//!
//! Everything is prepared before the fork; what is left to do between fork and exec are system calls.
//!
//! **Invariant:** between fork and exec nothing allocates and no lock is taken.

mod system_calls;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, NetPort, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::keeper::Keeper;
use crate::catalog::plan;
use system_calls::Filter;

/// The rights over files that are known here.
const FILES_ABI: ABI = ABI::V5;
/// Where programs and what they are linked with stand, and what they look up at their start. Secrets of the system are not
/// among them.
const SYSTEM: [&str; 29] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/opt",
    "/proc",
    "/sys",
    "/dev/random",
    "/dev/urandom",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/gai.conf",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
];
/// What holds nothing and takes everything.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

/// What a child is confined to, its references resolved.
#[derive(Debug)]
pub(super) struct Sandbox {
    limits: Vec<(Resource, u64)>,
    access: Option<Access>,
    /// Compiled once, entered by every child.
    filter: Option<Filter>,
    user: Option<plan::User>,
    required: bool,
}

/// Files and ports that a child may use.
#[derive(Debug)]
struct Access {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    connect: Vec<u16>,
    /// The paths that the topology names: they have to be there.
    named: Vec<PathBuf>,
}

/// A sandbox that is ready to be entered, once.
pub(super) struct Prepared {
    limits: Vec<(Resource, Rlimit)>,
    ruleset: Option<RulesetCreated>,
    filter: Option<Filter>,
}

// === impl Sandbox ===

impl Sandbox {
    /// As the topology says it; `resolve` finds what its references stand for. `program` and `cwd` may be read.
    pub(super) fn new<E>(
        plan: &plan::Confined,
        program: &OsStr,
        cwd: Option<&str>,
        resolve: impl Fn(&plan::Reference) -> Result<String, E>,
    ) -> Result<Self, E> {
        let mut limits = vec![(Resource::Core, 0), (Resource::Data, plan.memory_bytes), (Resource::Nofile, plan.files)];
        limits.extend(plan.file_bytes.map(|bytes| (Resource::Fsize, bytes)));
        limits.extend(plan.processes.map(|count| (Resource::Nproc, count)));
        limits.extend(plan.cpu_seconds.map(|seconds| (Resource::Cpu, seconds)));
        let paths = |references: &[plan::Reference]| -> Result<Vec<PathBuf>, E> {
            references.iter().map(|reference| resolve(reference).map(PathBuf::from)).collect()
        };
        let access = plan.access.as_ref().map(|access| {
            let (mut read, mut write) = (paths(&access.read)?, paths(&access.write)?);
            let named = [&read[..], &write[..]].concat();
            read.extend(SYSTEM.map(PathBuf::from));
            read.extend(of_program(program));
            read.extend(cwd.map(PathBuf::from));
            write.extend(DEVICES.map(PathBuf::from));
            Ok(Access { read, write, connect: access.connect.to_vec(), named })
        });
        let filter = plan.seccomp.then(Filter::compile);
        Ok(Self { limits, access: access.transpose()?, filter, user: plan.user, required: plan.required })
    }

    /// Makes it ready for one child. Also says what the kernel lacks, which is an error where all is required.
    pub(super) fn prepare(&self) -> io::Result<(Prepared, Vec<&'static str>)> {
        let missing = self.missing();
        if self.required && !missing.is_empty() {
            return Err(io::Error::other(format!("sandbox: this kernel has no {}", missing.join(", no "))));
        }
        if self.user.is_some() && !rustix::process::geteuid().is_root() {
            return Err(io::Error::other("sandbox: only root may start a child as another user"));
        }
        let mut named = self.access.iter().flat_map(|access| &access.named);
        if let Some(path) = named.find(|path| !path.exists()) {
            return Err(io::Error::other(format!("sandbox: path `{}` does not exist", path.display())));
        }
        let ruleset = self.ruleset().map_err(|error| io::Error::other(format!("sandbox: {error}")))?;
        let limits = self.limits.iter().map(|(resource, most)| {
            // Nobody but root may raise what is inherited.
            let most = getrlimit(*resource).maximum.map_or(*most, |inherited| inherited.min(*most));
            (*resource, Rlimit { current: Some(most), maximum: Some(most) })
        });
        let filter = self.filter.clone();
        Ok((Prepared { limits: limits.collect(), ruleset: Some(ruleset), filter }, missing))
    }

    fn ruleset(&self) -> Result<RulesetCreated, RulesetError> {
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort).scope(Scope::from_all(ABI::V6))?;
        let Some(access) = &self.access else { return ruleset.create() };
        let ruleset = ruleset.handle_access(AccessFs::from_all(FILES_ABI))?;
        let ruleset = ruleset.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?.create()?;
        let ports = access.connect.iter().map(|port| Ok(NetPort::new(*port, AccessNet::ConnectTcp)));
        ruleset
            .add_rules(path_beneath_rules(&access.read, AccessFs::from_read(FILES_ABI)))?
            .add_rules(path_beneath_rules(&access.write, AccessFs::from_all(FILES_ABI)))?
            .add_rules::<_, _, _, RulesetError>(ports)
    }

    /// What of it this kernel lacks.
    fn missing(&self) -> Vec<&'static str> {
        type Ask = fn(Ruleset) -> Result<Ruleset, RulesetError>;
        let has = |ask: Ask| ask(Ruleset::default().set_compatibility(CompatLevel::HardRequirement)).is_ok();
        let access: [(&str, Ask); 3] = [
            ("rules for files", |ruleset| ruleset.handle_access(AccessFs::from_all(ABI::V1))),
            ("rules for truncating files and for devices", |ruleset| {
                ruleset.handle_access(AccessFs::from_all(FILES_ABI))
            }),
            ("rules for TCP", |ruleset| ruleset.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)),
        ];
        let scopes: (&str, Ask) =
            ("bounds for signals and abstract sockets", |ruleset| ruleset.scope(Scope::from_all(ABI::V6)));
        let asked = access.into_iter().filter(|_| self.access.is_some()).chain([scopes]);
        let mut missing: Vec<&'static str> = asked.filter(|(_, ask)| !has(*ask)).map(|(what, _)| what).collect();
        let counted = self.limits.iter().any(|(resource, _)| *resource == Resource::Nproc);
        let root = self.user.is_none() && rustix::process::geteuid().is_root();
        if counted && root {
            missing.push("bound for processes of root");
        }
        if self.filter.as_ref().is_some_and(Filter::is_foreign) {
            missing.push("filter of system calls for this processor");
        }
        if !Keeper::is_possible() {
            missing.push("hold on processes that leave their group");
        }
        missing
    }

    /// Who the child runs as, if not as the gateway.
    pub(super) fn user(&self) -> Option<plan::User> {
        self.user
    }
}

/// What a program needs of where it stands: itself, and what was installed with it.
fn of_program(program: &OsStr) -> Vec<PathBuf> {
    let Some(program) = found(program).and_then(|program| program.canonicalize().ok()) else { return Vec::new() };
    let beside = program.parent().filter(|directory| directory.ends_with("bin")).and_then(Path::parent);
    let installed = beside.map(|prefix| [prefix.join("bin"), prefix.join("lib")]);
    installed.into_iter().flatten().chain([program]).collect()
}

/// The program that a name stands for.
fn found(program: &OsStr) -> Option<PathBuf> {
    if Path::new(program).components().count() > 1 {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|candidate| candidate.is_file())
}

// === impl Prepared ===

impl Prepared {
    /// Confines the process that calls it, for good.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        for (resource, limit) in &self.limits {
            setrlimit(*resource, *limit)?;
        }
        rustix::thread::set_no_new_privs(true)?;
        // What its errors hold was allocated before; their number is enough.
        if let Some(Err(_)) = self.ruleset.take().map(RulesetCreated::restrict_self) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        // Last: what comes before is none of what a server may do.
        self.filter.as_ref().map_or(Ok(()), Filter::enter)
    }
}

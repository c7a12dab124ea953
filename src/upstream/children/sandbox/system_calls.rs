//! The system calls that a child is refused: those by which a program looks into others, loads code into the kernel, makes
//! itself a machine of its own, or reaches the network below TCP and UDP. Node.js, Python and what they start need none.
//!
//! A refused call fails with `EPERM`, as for a user without the right to it. `clone3` fails with `ENOSYS`: its flags lie
//! in memory, where a filter sees nothing, and the C library turns to `clone`, whose flags it sees.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Refused whatever they are given.
const REFUSED: &[libc::c_long] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // The kernel and the machine.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_quotactl,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Namespaces and file systems.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_fanotify_init,
    // Keys.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
];
/// Ports of the machine, old device nodes.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] =
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib, libc::SYS__sysctl];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];
/// Flags of `clone` that make a namespace.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];
/// Families of sockets by which one leaves TCP and UDP.
const FAMILIES: [libc::c_int; 5] = [libc::AF_PACKET, libc::AF_VSOCK, libc::AF_BLUETOOTH, libc::AF_ALG, libc::AF_XDP];
/// Bits of a socket's type that say what it is.
const SOCKET_TYPE: u32 = 0xf;

/// What a child enters last; shared by all that are started.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// None on a processor that nothing is known of.
    programs: Arc<[BpfProgram]>,
}

impl Filter {
    /// Compiles what is refused.
    pub(super) fn compile() -> Self {
        let mut refused: BTreeMap<i64, Vec<SeccompRule>> =
            REFUSED.iter().chain(REFUSED_HERE).map(|call| (*call, Vec::new())).collect();
        let flags = NAMESPACES.iter().map(|flag| rule(&[(0, flag.unsigned_abs(), *flag)]));
        refused.insert(libc::SYS_clone, flags.flatten().collect());
        let families = FAMILIES.iter().map(|family| rule(&[(0, u32::MAX, *family)]));
        // What asks for the addresses of the machine is raw as well, and of another family.
        let raw = [libc::AF_INET, libc::AF_INET6];
        let raw = raw.map(|family| rule(&[(0, u32::MAX, family), (1, SOCKET_TYPE, libc::SOCK_RAW)]));
        refused.insert(libc::SYS_socket, families.chain(raw).flatten().collect());
        let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        let programs = [(refused, libc::EPERM), (unknown, libc::ENOSYS)].map(|(calls, code)| program(calls, code));
        Self { programs: programs.into_iter().collect::<Option<Vec<_>>>().unwrap_or_default().into() }
    }

    /// Whether there is none for this processor.
    pub(super) fn is_foreign(&self) -> bool {
        self.programs.is_empty()
    }

    /// Confines the process that calls it, for good. Nothing is allocated.
    pub(super) fn enter(&self) -> io::Result<()> {
        let entered = self.programs.iter().try_for_each(|program| seccompiler::apply_filter(program));
        entered.map_err(|_told_by_its_kind| io::ErrorKind::PermissionDenied.into())
    }
}

/// A rule for calls whose arguments have these values where the masks have bits.
fn rule(arguments: &[(u8, u32, libc::c_int)]) -> Option<SeccompRule> {
    let conditions = arguments.iter().map(|(index, mask, value)| {
        let operator = SeccompCmpOp::MaskedEq(u64::from(*mask));
        SeccompCondition::new(*index, SeccompCmpArgLen::Dword, operator, value.unsigned_abs().into())
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>().ok()?).ok()
}

/// A program by which these calls fail with this code, and no other call does.
fn program(calls: BTreeMap<i64, Vec<SeccompRule>>, code: libc::c_int) -> Option<BpfProgram> {
    let arch = std::env::consts::ARCH.try_into().ok()?;
    let refuse = SeccompAction::Errno(code.unsigned_abs());
    SeccompFilter::new(calls, SeccompAction::Allow, refuse, arch).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_compiled() {
        let filter = Filter::compile();
        assert!(!filter.is_foreign());
        assert!(NAMESPACES.iter().all(|flag| rule(&[(0, flag.unsigned_abs(), *flag)]).is_some()));
        // The kernel takes 4096 instructions.
        assert!(filter.programs.iter().all(|program| (2..4096).contains(&program.len())));
    }
}

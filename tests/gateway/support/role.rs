//! This test binary as another process, in one of its roles: an ignored test that listens somewhere, says where, and ends
//! with whoever started it. What the roles do is theirs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

/// What a role says before its address.
const LISTENING: &str = "listening ";

/// A process in a role. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Role {
    process: Child,
    pub(crate) address: SocketAddr,
    /// What the harness says goes somewhere.
    _output: BufReader<ChildStdout>,
}

// === impl Role ===

impl Role {
    /// Starts the test of this name, as `settings` say, and waits until it listens.
    pub(crate) fn start(test: &str, settings: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this binary has a path"));
        command.args([test, "--exact", "--ignored", "--nocapture", "-q"]);
        let command = settings(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let mut process = command.spawn().expect("this binary starts");
        let mut output = BufReader::new(process.stdout.take().expect("a pipe"));
        let address = (&mut output).lines().find_map(|line| line.ok()?.strip_prefix(LISTENING)?.parse().ok());
        Self { process, address: address.expect("it says where it listens"), _output: output }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // Already gone where somebody else killed it.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// In the role: says where it listens, and stays until whoever started it is gone.
pub(crate) fn play(address: SocketAddr) {
    writeln!(std::io::stdout(), "{LISTENING}{address}").expect("somebody reads it");
    drop(std::io::stdin().read_to_end(&mut Vec::new()));
}

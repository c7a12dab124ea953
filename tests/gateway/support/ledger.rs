//! A file that scripted peers append to and tests read: what was really done, whatever anybody was told. Also the
//! directories such files stand in.

use std::fmt::Arguments;
use std::fs::{File, create_dir_all, read_to_string, remove_dir_all};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of one test, gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

/// An append-only list of lines, each written whole.
#[derive(Clone, Debug)]
pub(crate) struct Ledger(PathBuf);

// === impl Directory ===

impl Directory {
    /// A new one that is empty.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        create_dir_all(&path).expect("a directory for temporary files");
        Self(path)
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left behind lies in the build directory.
        drop(remove_dir_all(&self.0));
    }
}

// === impl Ledger ===

impl Ledger {
    /// The ledger at this path, which need not exist yet.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its path as text.
    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("paths of tests are text")
    }

    /// Appends a line in one write.
    pub(crate) fn note(&self, line: Arguments<'_>) {
        let file = File::options().create(true).append(true).open(&self.0);
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).expect("the ledger can be written");
    }

    /// What follows `word` in the lines that begin with it.
    pub(crate) fn after(&self, word: &str) -> Vec<String> {
        let text = read_to_string(&self.0).unwrap_or_default();
        text.lines().filter_map(|line| Some(line.strip_prefix(word)?.strip_prefix(' ')?.to_owned())).collect()
    }

    /// Process ids of the children that were started, in order.
    pub(crate) fn spawned(&self) -> Vec<u32> {
        let pid = |line: &String| line.split(' ').next().and_then(|pid| pid.parse().ok());
        self.after("spawn").iter().filter_map(pid).collect()
    }
}

//! What a child of a stdio backend may do and use.

use std::fmt;

use crate::constant::constant;
use crate::decode::{Choice, Decode, Spot, Told, parsed, record, word, words, words_schema, wrong_type};
use crate::diagnostic::{Code, Problems, quoted};
use crate::json::token;
use crate::plan::{Reference, Table};
use crate::rule::{Rule, Within, text_schema};
use crate::topology::Millis;
use crate::yaml::{Node, Value};

const FILES: Within<usize> = Within { noun: "number of files", range: 16..=1_048_576 };
const PROCESSES: Within<usize> = Within { noun: "number of processes", range: 1..=1_048_576 };
const CPU: Within<Millis> = Within { noun: "processor time", range: Millis(1000)..=Millis(365 * 24 * 3_600_000) };
/// Open files of a child, unless its settings say so.
const FILES_DEFAULT: usize = 1024;
const GIB: u64 = 1 << 30;

record! {
    /// What a child may do and use.
    default struct Confinement: "sandbox settings" {
        /// What it starts from.
        profile: Profile = Profile::Default,
        /// Files and directories it may read beside those of the system; `strict` only.
        read: Vec<Reference> where Paths = Vec::new(),
        /// Files and directories it may also write; `strict` only.
        write: Vec<Reference> where Paths = Vec::new(),
        /// TCP ports it may connect to; `strict` only.
        connect: Vec<usize> where Ports = Vec::new(),
        /// How much memory each of its processes may use; `4GiB` without it, `1GiB` in `strict`.
        memory: Option<Size> = None,
        /// How long a file may be that it writes; `1GiB` in `strict`, any without it.
        file_size: Option<Size> = None,
        /// How many files each of its processes may have open.
        files: usize where FILES = FILES_DEFAULT,
        /// How many processes and threads its user may have on this machine; ignored for root.
        processes: Option<usize> where PROCESSES = None,
        /// After how much processor time each of its processes is killed.
        cpu: Option<Millis> where CPU = None,
        /// Whether system calls that no server needs are refused; unless written: in `strict`.
        seccomp: Option<bool> = None,
        /// The user it runs as, and the group; only where the gateway runs as root.
        user: Option<User> = None,
        /// Whether it is not started where the kernel lacks any of this.
        required: bool = false,
    }
}

/// What a sandbox starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// What every server can live with.
    Default,
    /// Only what is named.
    Strict,
}

/// Whether a child is confined, and how.
#[derive(Clone, Debug, PartialEq)]
pub enum Sandbox {
    /// Not at all.
    Off,
    /// By these settings.
    On(Confinement),
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

constant! {
    /// A user and a group, by their numbers.
    #[derive(Copy)]
    pub struct User {
        /// Of the user.
        pub uid: u32,
        /// Of its only group.
        pub gid: u32,
    }
}

constant! {
    /// What a child may do and use.
    pub struct Confined {
        /// Bytes of memory each of its processes may use.
        pub memory_bytes: u64,
        /// Bytes of the longest file that each of them may write.
        pub file_bytes: Option<u64>,
        /// Files each of them may have open.
        pub files: u64,
        /// Processes and threads that its user may have.
        pub processes: Option<u64>,
        /// Seconds of processor time after which each is killed.
        pub cpu_seconds: Option<u64>,
        /// Files and ports it may use; all without it.
        pub access: Option<Access>,
        /// Whether system calls that no server needs are refused.
        pub seccomp: bool,
        /// Who it runs as, if not as the gateway.
        pub user: Option<User>,
        /// Whether it is not started where the kernel lacks any of this.
        pub required: bool,
    }
}

constant! {
    /// Files and ports that a child may use beside those of the system.
    pub struct Access {
        /// What it may read.
        pub read: Table<Reference>,
        /// What it may read and write.
        pub write: Table<Reference>,
        /// TCP ports it may connect to.
        pub connect: Table<u16>,
    }
}

/// The rule for paths of a sandbox.
struct Paths;

/// The rule for ports of a sandbox.
struct Ports;

// === impl Rule ===

impl Rule<Vec<Reference>> for Paths {
    fn check(&self, value: &Vec<Reference>, node: &Node, problems: &mut Problems) {
        let Value::Sequence(items) = &node.value else { return };
        for (reference, item) in value.iter().zip(items) {
            let absolute = match reference {
                Reference::Literal(path) => path.starts_with('/') && !path.contains('\0'),
                Reference::Env(_) => true,
                Reference::File(_) => false,
            };
            if !absolute {
                let message = format!("{} is not an absolute path", quoted(&reference.to_string()));
                problems.error(Code::InvalidValue, item.place, message).help("write `/…`, or `env:NAME`");
            }
        }
    }

    fn schema(&self, _of_type: String) -> String {
        let item = text_schema("^(/|env:)", "not an absolute path or `env:NAME`");
        format!(r#"{{"type":"array","items":{item}}}"#)
    }
}

impl Rule<Vec<usize>> for Ports {
    fn check(&self, value: &Vec<usize>, node: &Node, problems: &mut Problems) {
        let Value::Sequence(items) = &node.value else { return };
        for (port, item) in value.iter().zip(items).filter(|(port, _)| !(1..=65_535).contains(*port)) {
            problems.error(Code::InvalidValue, item.place, format!("port {port} is not between 1 and 65535"));
        }
    }

    fn schema(&self, _of_type: String) -> String {
        r#"{"type":"array","items":{"type":"integer","minimum":1,"maximum":65535}}"#.to_owned()
    }
}

// === impl Profile ===

impl Profile {
    const WORDS: [Choice<Self>; 2] = [
        ("default", Self::Default, "What every server can live with: bounds, and no way to more rights."),
        ("strict", Self::Strict, "No file but those of the system and those named, no network but ports named."),
    ];
}

words!(Profile: "`default` or `strict`");

// === impl Sandbox ===

impl Sandbox {
    /// `None` is off.
    const WORDS: [Choice<Option<Profile>>; 3] = [
        ("off", None, "The child may do what the gateway may."),
        ("default", Some(Profile::Default), Profile::WORDS[0].2),
        ("strict", Some(Profile::Strict), Profile::WORDS[1].2),
    ];

    /// What the engine is given.
    pub(super) fn planned(&self) -> Option<Confined> {
        let Self::On(own) = self else { return None };
        let strict = own.profile == Profile::Strict;
        Some(Confined {
            memory_bytes: own.memory.map_or(if strict { GIB } else { 4 * GIB }, |size| size.0),
            file_bytes: own.file_size.map(|size| size.0).or(strict.then_some(GIB)),
            files: own.files as u64,
            processes: own.processes.map(|count| count as u64),
            cpu_seconds: own.cpu.map(|cpu| cpu.0.div_ceil(1000)),
            access: strict.then(|| Access {
                read: own.read.clone().into(),
                write: own.write.clone().into(),
                connect: own.connect.iter().filter_map(|port| u16::try_from(*port).ok()).collect(),
            }),
            seccomp: own.seccomp.unwrap_or(strict),
            user: own.user,
            required: own.required,
        })
    }

    /// The keys that say something only of a stricter sandbox than this one.
    pub(super) fn idle_keys(&self) -> Vec<&'static str> {
        match self {
            Self::On(own) if own.profile == Profile::Default => {
                [("read", own.read.is_empty()), ("write", own.write.is_empty()), ("connect", own.connect.is_empty())]
                    .into_iter()
                    .filter_map(|(key, empty)| (!empty).then_some(key))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Its paths, each by its key and place.
    pub(super) fn paths(&self) -> Vec<(&'static str, usize, &Reference)> {
        let Self::On(own) = self else { return Vec::new() };
        let all = [("read", &own.read), ("write", &own.write)].into_iter();
        all.flat_map(|(key, paths)| paths.iter().enumerate().map(move |(index, path)| (key, index, path))).collect()
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::On(Confinement::default())
    }
}

impl Decode for Sandbox {
    const EXPECTED: &'static str = "`off`, `default`, `strict` or a mapping";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::String(_) => {
                let profile = word(node, Self::EXPECTED, &Self::WORDS, problems)?;
                let of = |profile| Self::On(Confinement { profile, ..Confinement::default() });
                Some(profile.map_or(Self::Off, of))
            }
            Value::Mapping(_) => Confinement::decode(node, problems).map(Self::On),
            _ => {
                wrong_type(node, Self::EXPECTED, problems);
                None
            }
        }
    }

    fn schema() -> String {
        format!(r#"{{"anyOf":[{},{}]}}"#, words_schema(&Self::WORDS), <Confinement as Decode>::schema())
    }

    fn written(&self) -> Option<String> {
        Some(token("default"))
    }

    fn tell(&self, spot: &Spot<'_>, told: &mut Told) {
        match self {
            Self::Off => told.add(spot, token("off")),
            Self::On(own) if spot.is_word() => own.profile.tell(spot, told),
            Self::On(own) => own.tell(spot, told),
        }
    }
}

// === impl User ===

impl User {
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| (1..u32::MAX).contains(number));
        let (uid, gid) = text.split_once(':').unwrap_or((text, text));
        Some(Self { uid: number(uid)?, gid: number(gid)? })
    }
}

impl Decode for User {
    const EXPECTED: &'static str = "a user such as `1000` or `1000:1000`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let help =
            "write numbers from 1, of the user and of its group: names are not looked up, and root is no other user";
        parsed(node, Self::EXPECTED, Self::parse, help, problems)
    }

    fn schema() -> String {
        let text = text_schema("^[1-9][0-9]{0,9}(:[1-9][0-9]{0,9})?$", &format!("not {}", Self::EXPECTED));
        format!(r#"{{"anyOf":[{{"type":"integer","minimum":1,"maximum":4294967294}},{text}]}}"#)
    }

    fn written(&self) -> Option<String> {
        Some(token(&format!("{}:{}", self.uid, self.gid)))
    }
}

// === impl Size ===

impl Size {
    const UNITS: [(&'static str, u64); 3] = [("GiB", GIB), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    const HELP: &'static str = "sizes are a whole number from 1 and a unit: `512MiB`, `4GiB`";

    fn parse(text: &str) -> Option<Self> {
        let (count, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let (_, bytes) = Self::UNITS.into_iter().find(|(name, _)| *name == unit)?;
        count.parse::<u64>().ok()?.checked_mul(bytes).filter(|bytes| *bytes > 0).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, bytes) =
            Self::UNITS.iter().find(|(_, bytes)| self.0.is_multiple_of(*bytes)).unwrap_or(&("KiB", 1 << 10));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

impl Decode for Size {
    const EXPECTED: &'static str = "a size such as `512MiB`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, Self::EXPECTED, Self::parse, Self::HELP, problems)
    }

    fn schema() -> String {
        text_schema("^0*[1-9][0-9]{0,9}(KiB|MiB|GiB)$", &format!("not {}", Self::EXPECTED))
    }

    fn written(&self) -> Option<String> {
        Some(token(&self.to_string()))
    }
}

//! `stdio`: a child process that speaks newline-delimited JSON.

mod instances;
mod life;
mod sandbox;

use super::{Planned, Recorded, Settings};
use crate::check::{Check, Form};
use crate::constant::constant;
use crate::decode::{Entries, record};
use crate::diagnostic::{Code, quoted};
use crate::features::DEMO;
use crate::plan::{Reference, Table, Text};
use crate::rule::{Filled, Keyed};
use crate::secret::{is_confidential, suspect, suspect_argument, suspect_variable};
use crate::topology::{Backend, Millis, VARIABLE};
use crate::yaml::{Step, steps};

pub use instances::{Instances, Several};
use life::{IDLE, RESTARTS, START_TIMEOUT};
pub use life::{Life, Start};
pub use sandbox::{Access, Confined, Confinement, Profile, Sandbox, Size, User};

const COMMAND: Filled = Filled { noun: "command" };
/// When a child that is kept for one session is ended, unless the topology says otherwise.
const SESSION_IDLE: Millis = Millis(600_000);
const DIRECTORY: Filled = Filled { noun: "working directory" };
const VARIABLES: Keyed = Keyed { name: VARIABLE, empty: None, snippet: || None };

record! {
    /// A child process that speaks newline-delimited JSON.
    struct StdioSettings: "a stdio transport" {
        /// The program to start, or `self` for this very executable.
        command: String where COMMAND,
        /// Its arguments, one entry each; no shell reads them.
        args: Vec<String> = Vec::new(),
        /// Variables set for it: text, `env:NAME` or `file:PATH`.
        env: Entries<Reference> where VARIABLES = Entries::default(),
        /// Its working directory.
        cwd: Option<String> where DIRECTORY = None,
        /// When it is started first.
        start: Start = Start::Eager,
        /// It is ended after so long without a call, and started again by the next one; never unless this is written, and
        /// after `10m` where each session has one.
        idle: Option<Millis> where IDLE = None,
        /// How long it has to come up: a first `npx` or `uvx` downloads and installs.
        start_timeout: Millis where START_TIMEOUT = Millis(120_000),
        /// How often in a row it is started again when it does not last; after that only a call starts it.
        restarts: usize where RESTARTS = 10,
        /// How many of it run side by side: `shared` is one for all, `{ pool: N }` are so many, `per_session` is one for each
        /// session.
        instances: Instances = Instances::Shared,
        /// What it may do and use.
        sandbox: Sandbox = Sandbox::default(),
    }
}

constant! {
    /// A child process that speaks newline-delimited JSON.
    #[derive(Default)]
    pub struct Stdio {
        /// What to start.
        pub program: Program,
        /// Its arguments, one entry each; no shell reads them.
        pub args: Table<Text>,
        /// Variables set for the child beside PATH, HOME, LANG and TZ.
        pub env: Table<Variable>,
        /// Its working directory; the gateway's own when absent.
        pub cwd: Option<Text>,
        /// When it is started and ended.
        pub life: Life,
        /// How many run side by side for all clients.
        pub instances: u64,
        /// How many sessions may have one of their own; 0: none has.
        pub sessions: u64,
        /// What it may do and use; everything without it.
        pub sandbox: Option<Confined>,
    }
}

constant! {
    /// Which program a stdio backend starts.
    #[derive(Default)]
    pub enum Program {
        /// `command: self`: this very executable.
        #[default]
        Current,
        /// A program by name (searched in PATH) or path.
        Named(Text),
    }
}

constant! {
    /// One environment variable of a child.
    pub struct Variable {
        /// Its name.
        pub name: Text,
        /// Its value.
        pub value: Reference,
    }
}

// === impl StdioSettings ===

impl Settings for StdioSettings {
    type Planned = Stdio;
    const EXAMPLE: &'static str = "stdio: { command: … }";
    const SNIPPET: &'static str = r#"{"transport":{"stdio":{"command":"${2:npx}","args":["-y","\"${3:@modelcontextprotocol/server-memory}\""]}}}"#;

    fn check(&self, name: &str, backend: &Backend, check: &mut Check<'_>) {
        check.no_endpoints(name, backend);
        check.command(name, self);
        check.variables(name, self);
        check.arguments(name, self);
        check.sandbox(name, self);
        check.eager_sessions(name, self);
        check.demo(name, self);
    }

    fn needs(&self, _backend: &Backend) -> Vec<&'static str> {
        if self.is_demo() { vec![DEMO] } else { Vec::new() }
    }

    fn references(&self) -> Vec<(Vec<Step<'_>>, &Reference, Form)> {
        let paths = self.sandbox.paths().into_iter();
        let paths = paths.map(|(key, index, path)| (steps!["sandbox", key, index].to_vec(), path, Form::Any));
        let variables = self.env.iter().map(|(name, value)| (steps!["env", name].to_vec(), value, Form::Any));
        variables.chain(paths).collect()
    }

    fn planned(&self, _backend: &Backend) -> Stdio {
        let variable =
            |(name, value): (&str, &Reference)| Variable { name: name.to_owned().into(), value: value.clone() };
        let per_session = self.instances.sessions() > 0;
        Stdio {
            program: match self.command.as_str() {
                "self" => Program::Current,
                name => Program::Named(name.to_owned().into()),
            },
            args: self.args.iter().map(|arg| arg.clone().into()).collect(),
            env: self.env.iter().map(variable).collect(),
            cwd: self.cwd.clone().map(Into::into),
            life: Life {
                lazy: self.start == Start::Lazy || per_session,
                idle_ms: self.idle.or(per_session.then_some(SESSION_IDLE)).map(|idle| idle.0),
                start_timeout_ms: self.start_timeout.0,
                restarts: self.restarts as u64,
            },
            instances: self.instances.shared() as u64,
            sessions: self.instances.sessions() as u64,
            sandbox: self.sandbox.planned(),
        }
    }
}

impl StdioSettings {
    /// Whether it is a demo server of the gateway's own executable.
    fn is_demo(&self) -> bool {
        self.command == "self" && self.args.first().is_some_and(|command| command == "demo-server")
    }
}

// === impl Stdio ===

impl Planned for Stdio {
    fn recorded(&self) -> Vec<(&'static str, Recorded)> {
        let env = self.env.iter().map(|variable| (variable.name.to_string(), variable.value.to_string()));
        let mut fields = vec![
            ("command", Recorded::Text(self.program.as_str().to_owned())),
            ("args", Recorded::List(self.args.iter().map(ToString::to_string).collect())),
            ("env", Recorded::Map(env.collect())),
        ];
        fields.extend(self.cwd.as_ref().map(|cwd| ("cwd", Recorded::Text(cwd.to_string()))));
        fields
    }

    fn place(&self) -> String {
        let args: String = self.args.iter().map(|argument| format!(" {argument}")).collect();
        format!("stdio  {}{args}", self.program.as_str())
    }

    fn references(&self) -> Vec<(String, &Reference)> {
        let variables = self.env.iter().map(|variable| (format!("variable `{}`", variable.name), &variable.value));
        let access = self.sandbox.iter().filter_map(|sandbox| sandbox.access.as_ref());
        let paths = access.flat_map(|access| access.read.iter().chain(access.write.iter()));
        variables.chain(paths.map(|path| ("path of its sandbox".to_owned(), path))).collect()
    }
}

impl Stdio {
    /// How many children run side by side for all clients: one at least.
    #[must_use]
    pub fn instances(&self) -> usize {
        usize::try_from(self.instances).unwrap_or(usize::MAX).max(1)
    }

    /// How many sessions may have one of their own.
    #[must_use]
    pub fn sessions(&self) -> usize {
        usize::try_from(self.sessions).unwrap_or(usize::MAX)
    }
}

// === impl Program ===

impl Program {
    fn as_str(&self) -> &str {
        match self {
            Self::Current => "self",
            Self::Named(name) => name,
        }
    }
}

// === impl Check ===

impl Check<'_> {
    fn no_endpoints(&mut self, name: &str, backend: &Backend) {
        if !backend.endpoints.is_empty() {
            let place = self.document.key(steps!["backends", name, "endpoints"]);
            let message = format!("backend `{name}` is started, not reached: it has no endpoints");
            self.problems.error(Code::Endpoints, place, message);
        }
        let key = ["balance", "slow_start"].into_iter().find(|key| self.document.has(steps!["backends", name, *key]));
        if backend.health.as_ref().is_some_and(|health| health.on().is_some()) {
            let place = self.document.key(steps!["backends", name, "health"]);
            let message = format!("backend `{name}` is started, not reached: it has no endpoints to ask");
            self.problems
                .error(Code::Endpoints, place, message)
                .help("take it out: a child that ends is started again");
        }
        if let Some(key) = key {
            let place = self.document.key(steps!["backends", name, key]);
            let message = format!("backend `{name}` is started, not reached: it has no endpoints to balance");
            let help = "for several children write `instances: { pool: 4 }` under `stdio`";
            self.problems.error(Code::Endpoints, place, message).help(help);
        }
    }

    fn command(&mut self, name: &str, stdio: &StdioSettings) {
        if !stdio.command.contains(char::is_whitespace) {
            return;
        }
        let mut words = stdio.command.split_whitespace();
        let (program, arguments) = (words.next().unwrap_or_default(), words.collect::<Vec<_>>());
        let place = self.document.value(steps!["backends", name, "transport", "stdio", "command"]);
        // What looks like a secret as a whole is not shown; neither is a part that does.
        let secret = |text: &str| is_confidential(text) || suspect_argument(None, text).is_some();
        let is_shown = !stdio.command.split_whitespace().chain([&*stdio.command]).any(secret);
        let help = match arguments[..] {
            _ if !is_shown => {
                "no shell reads it: the program goes into `command`, its arguments into `args`".to_owned()
            }
            [] => "write the program's name or path, without blanks before or behind it".to_owned(),
            [first, ..] => format!(
                "no shell reads it: write {} into `command`, and every argument as an entry of `args`, which begins with {}",
                quoted(program),
                quoted(first)
            ),
        };
        // A path may well hold blanks, but hardly goes on like this behind one.
        let argument = arguments.iter().find(|word| word.starts_with(['-', '/', '@']));
        if !program.contains(['/', '\\']) {
            let message = format!("command {} holds blanks", quoted(&stdio.command));
            self.problems.error(Code::InvalidValue, place, message).help(help);
        } else if let Some(argument) = argument {
            let message = format!("command {} seems to hold arguments", quoted(&stdio.command));
            let argument = if is_shown { quoted(argument) } else { "what follows the blank".to_owned() };
            let label = format!("{argument} is taken for a part of the path");
            self.problems.warning(Code::CommandLine, place, message).label(label).help(help);
        }
    }

    fn variables(&mut self, name: &str, stdio: &StdioSettings) {
        for (variable, value) in stdio.env.iter() {
            let path = steps!["backends", name, "transport", "stdio", "env", variable];
            if let Reference::Literal(value) = value
                && let Some(why) = suspect_variable(variable, value)
            {
                self.problems
                    .error(Code::LiteralSecret, self.document.value(path), format!("secret in variable `{variable}`"))
                    .label(why)
                    .help(format!("write `env:{variable}`, or `file:PATH`: the gateway reads it when it starts"));
            }
        }
    }

    fn arguments(&mut self, name: &str, stdio: &StdioSettings) {
        for (index, arg) in stdio.args.iter().enumerate() {
            let before = index.checked_sub(1).map(|before| &*stdio.args[before]);
            if let Some(why) = suspect_argument(before, arg).or_else(|| suspect(arg)) {
                let path = steps!["backends", name, "transport", "stdio", "args", index];
                self.problems
                    .error(Code::LiteralSecret, self.document.value(path), "secret among the arguments")
                    .label(why)
                    .help(
                        "arguments are visible to every process: hand it over in `env`, from `env:NAME` or `file:PATH`",
                    );
            }
            if arg.contains('\0') {
                let path = steps!["backends", name, "transport", "stdio", "args", index];
                self.invalid(Code::InvalidValue, path, "argument holds a zero byte".to_owned(), "");
            }
        }
    }

    /// Nobody knows of a session before it calls.
    fn eager_sessions(&mut self, name: &str, stdio: &StdioSettings) {
        let path = steps!["backends", name, "transport", "stdio", "start"];
        if stdio.instances.sessions() > 0 && stdio.start == Start::Eager && self.document.has(path) {
            self.problems
                .error(Code::InvalidValue, self.document.value(path), "children for one session each cannot be eager")
                .label("each is started by the first call of its session")
                .help("leave `start` out");
        }
    }

    fn sandbox(&mut self, name: &str, stdio: &StdioSettings) {
        for key in stdio.sandbox.idle_keys() {
            let path = self.document.key(steps!["backends", name, "transport", "stdio", "sandbox", key]);
            self.problems
                .error(Code::InvalidValue, path, format!("`{key}` of a sandbox that is not strict"))
                .label("all files and ports are open to it")
                .help("write `profile: strict` beside it: then nothing else is");
        }
    }

    fn demo(&mut self, name: &str, stdio: &StdioSettings) {
        if stdio.is_demo() && !self.features.has(DEMO) {
            let place = self.document.value(steps!["backends", name, "transport", "stdio", "args", 0]);
            let message = format!("backend `{name}` is a demo server, which is not part of this build");
            self.problems.error(Code::DemoOff, place, message).help(self.features.remedy(self.topology));
        }
    }
}

//! The codes of problems. A code keeps its meaning for good: one that goes is not given again.

use std::fmt;

use super::{Problems, Severity, quoted};
use crate::decode::{Decode, near_miss, text, words_schema};
use crate::json::token;
use crate::yaml::Node;

/// Defines every code once: what it means in a line, its name, whether it is a `warning` only, its text and the paragraph
/// that explains it.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $Name:ident = $($severity:ident)? $text:literal: $explanation:literal)+) => {
        /// Which kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $Name,)+
        }

        impl Code {
            /// Every code, in the order of their texts.
            pub const ALL: &'static [Self] = &[$(Self::$Name),+];

            /// The text that names it, such as `E0301`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$Name => $text,)+ }
            }

            /// What it means, in a line.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$Name => concat!($($doc),+).trim(),)+ }
            }

            /// Whether a problem of this kind stops the build.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$Name => codes!(@severity $($severity)?),)+ }
            }

            /// See [`super::explain`].
            pub(super) const fn explanation(self) -> &'static str {
                match self { $(Self::$Name => $explanation,)+ }
            }
        }
    };
    (@severity) => { Severity::Error };
    (@severity warning) => { Severity::Warning };
}

codes! {
    /// The text is not YAML.
    Syntax = "E0001": "The file is not one YAML document: a bracket or quote stays open, a key is indented unlike its \
        siblings, a second document follows `---`, or a tag (`!name`) is used.\n\n    args: [-y, server    # the bracket stays open\n"
    /// The text is larger, deeper or expands further than any topology.
    OverBounds = "E0002": "The file is over 1 MiB, nests deeper than 32 levels, holds more than 4096 brackets, or its \
        aliases expand to more than 100000 values. A topology stays far below; split it, or write collections in block style.\n\n    \
        a: &a [x, x]\n    b: &b [*a, *a]    # doubles with every line\n"
    /// A tab indents a line.
    Tab = "E0003": "YAML indents with spaces only.\n\n    backends:\n    <tab>math: {}    # write two spaces\n"
    /// A key stands twice in one mapping.
    DuplicateKey = "E0004": "A mapping holds the same key twice; readers of YAML differ in which one they take. Two backends \
        with one name are this error too.\n\n    backends:\n      math: { … }\n      math: { … }    # name it math-2\n"
    /// A key has no meaning where it stands.
    UnknownKey = "E0005": "The schema knows no such key at this place. The help line names the key that was probably meant, the place \
        where it belongs, or all that are known.\n\n    listen: { mcp: { adress: \"127.0.0.1:8080\" } }    # address\n"
    /// A required key is absent.
    MissingKey = "E0006": "A key without a default is absent. Required are `name` and `backends` at the top, `transport` in a \
        backend, `command` of stdio, `url` of an endpoint, `to` of a route, `include` of a view.\n\n    transport: { stdio: { args: [-y] } }    # which command?\n"
    /// A value has another type than its key takes.
    WrongType = "E0007": "A value is of another type than the key takes: a number where text belongs, a list where a mapping \
        belongs. YAML reads `8080`, `1.0`, `true` and `null` as numbers, a boolean and nothing: quote them where text is meant.\n\n    \
        env: { PORT: 8080 }    # \"8080\"\n"
    /// A value of the right type that its key does not take.
    InvalidValue = "E0008": "A value has the right type but not a form or size that its key takes: a duration without a unit, \
        a number out of range, a word that is none of the choices.\n\n    timeout: 30    # 30s\n"
    /// A code under `allow` that is not the code of a warning.
    Allow = "E0009": "`allow` takes codes of warnings that are known and meant, which are then not reported. There is no such \
        code, or it is the code of an error: what stops the build cannot be allowed.\n\n    \
        allow: [E0301]    # E0307\n"
    /// A code under `allow` of which there is no warning.
    UnneededAllow = warning "E0010": "`allow` silences a warning that the topology and its lock do not give, or give no more. It would \
        hide the next one of its kind, which nobody has looked at.\n\n    \
        allow: [E0306]    # take it out\n"
    /// An item that stands twice in a list.
    ListedTwice = warning "E0011": "A list holds the same item twice: under `allow`, `hosts`, `origins`, `deny`, `include` or \
        `exclude`. The second one does nothing; perhaps another was meant.\n\n    \
        deny: [\"delete_*\", \"delete_*\"]    # drop_*\n"
    /// A name that breaks the rules for names.
    InvalidName = "E0101": "Names of topologies and views (up to 32 characters) and backends (up to 24) consist of `a` to `z`, `0` to \
        `9` and `-`. A backend's name does not contain the separator either, so that the separator ends the prefix of an exposed name.\n\n    \
        backends: { My_Server: { … } }    # my-server\n"
    /// A URL that no HTTP request can go to, or that is none of a proxy.
    InvalidUrl = "E0102": "A proxy is `http://`, a host and a port, and nothing behind them. An endpoint is `http://` or `https://`, a host, optionally a port and a path; without user \
        information or fragment. A URL may also be taken from the environment at start.\n\n    \
        url: \"htp://10.0.0.4:8124/mcp\"    # http://, or env:WEATHER_URL\n"
    /// An address, path, origin or host name of a listener that cannot be used.
    InvalidListen = "E0103": "A listener has an address of host and port, or `unix:` and the path of a socket for MCP (without TLS), \
        a path that begins with `/`, origins as browsers send them (scheme, host, port; no path) and host names without a port.\n\n    address: \"localhost\"    # localhost:8080\n"
    /// A secret written into the topology.
    LiteralSecret = "E0104": "The topology is in version control and is compiled into the binary, so it never holds secrets. \
        Name where the value comes from when the gateway starts.\n\n    \
        env: { API_KEY: \"sk-4f…\" }    # API_KEY: env:API_KEY, or file:/run/secrets/api-key\n"
    /// A backend's endpoints do not fit its transport.
    Endpoints = "E0105": "A backend that is reached by a URL has 1 to 64 endpoints; a stdio backend has none, \
        for it is started, not reached, and nothing to balance either. An overlay has a weight for each of them, of which one stays \
        above 0, and leaves each route to several a backend whose weight is above 0.\n\n    transport: { streamable_http: {} }    # endpoints: [{ url: \"http://…\" }]\n"
    /// A connect timeout that is longer than a call may take.
    ConnectTimeout = "E0107": "A connection may not take longer to come up than the call that waits for it: the `timeout` of the \
        backend, of `defaults` or of an overlay would end the call first, so the longer value means nothing.\n\n    \
        timeout: 2s\n    transport: { streamable_http: { connect_timeout: 5s } }    # 1s\n"
    /// Two listeners on one port.
    SamePort = "E0110": "Two listeners have the same port of the same host, or of all hosts (`0.0.0.0`, `[::]`), so only one of \
        them could start. Port 0 lets the system choose, and never collides.\n\n    \
        mcp: { address: \"0.0.0.0:8080\" }\n    admin: { address: \"127.0.0.1:8080\" }    # 127.0.0.1:9090\n"
    /// An admin listener for everyone.
    OpenAdmin = "E0111": "The admin listener can be reached from other machines and has no token, so everyone there could read \
        what it shows. Keep it on a loopback address, or name where its token comes from when the gateway starts. An address from the \
        environment is judged by the same rule at start.\n\n    \
        admin: { address: \"0.0.0.0:9090\" }    # add token: env:ONLY1MCP_ADMIN_TOKEN\n"
    /// A backend that is the gateway itself.
    GatewayItself = "E0112": "The URL of a backend is the address on which this very gateway listens, so that a call of it would come \
        back as another one, again and again.\n\n    \
        listen: { mcp: { address: \"127.0.0.1:8080\" } }\n    endpoints: [{ url: \"http://localhost:8080/mcp\" }]    # the server's own port\n"
    /// A command that seems to hold its arguments.
    CommandLine = warning "E0113": "A command with a path goes on behind a blank like a list of arguments. No shell reads it: all of it \
        is taken for the path of one program. Write the arguments into `args`, an entry each. When the path really is like this, \
        allow the warning.\n\n    \
        stdio: { command: \"/usr/bin/npx -y server\" }    # command: /usr/bin/npx, args: [-y, server]\n"
    /// A route to a backend that does not exist.
    UnknownBackend = "E0201": "A route, a fallback or an overlay names a backend that the topology does not define.\n\n    \
        routes: [{ tools: \"math_*\", to: maths }]    # math\n"
    /// A rename of a tool that the lock does not have.
    UnknownTool = "E0202": "A rename names a tool that the backend did not have when it was locked. Rename rules use the name \
        that the backend itself uses, without prefix.\n\n    tools: { rename: { ad: sum } }    # add\n"
    /// A route that an earlier one always forestalls.
    UnreachableRoute = warning "E0203": "The first route that matches wins, so a route is never used when an earlier one matches \
        everything it matches. Exact names always go before patterns.\n\n    \
        routes:\n      - { tools: \"math*\", to: a }\n      - { tools: \"math_*\", to: b }    # move it up\n"
    /// A deny pattern that matches no tool.
    UnusedDeny = warning "E0204": "A pattern under `tools.deny` matches none of the tools the backend had when it was locked: it \
        hides nothing, perhaps because of a typing error. It stays in force for a later lock.\n\n    deny: [\"delet_*\"]    # delete_*\n"
    /// Two routes to different backends match some of the same names, and neither is an exception to the other.
    OverlappingRoutes = warning "E0205": "Two patterns lead to different backends, and some names match both. The first route \
        wins, so their order decides, which is easily overlooked. A narrow pattern before a wide one is no overlap: it is the \
        usual way to write an exception.\n\n    routes:\n      - { tools: \"math_*\", to: math }\n      - { tools: \"*_search\", \
        to: web }    # math_search goes to math\n"
    /// A route for something that no backend of the lock offers.
    IdleRoute = warning "E0206": "A route is for a name, or a pattern, that no tool, prompt or resource has by which clients see \
        them, going by the lock. It is used only for calls to names that are in no list. Perhaps it lacks the prefix, or is \
        misspelt; what `tools.deny` hides counts as absent too.\n\n    routes: [{ tools: \"add\", to: math }]    # math__add\n"
    /// A route that sends a name to a backend which does not have it.
    Unserved = "E0207": "A route sends calls of a tool (or prompt) that one backend has to another one, and that one has no tool \
        of this name by the lock, or denies it: every such call would be refused.\n\n    \
        routes: [{ tools: \"math__*\", to: data }]    # does data have add, mul, …?\n"
    /// A view whose path is that of a backend.
    ViewLikeBackend = "E0208": "A view is served under its name behind the path of the gateway, and the name of a backend \
        stands there for that backend alone. Name the view otherwise.\n\n    \
        backends: { memory: { … } }\n    views: { memory: { … } }    # memory-only\n"
    /// A pattern of a view that matches nothing.
    UnusedViewPattern = warning "E0209": "A pattern under `include` or `exclude` of a view matches none of the exposed names of tools \
        and prompts, resource URIs and URI templates that are in the lock, perhaps because of a typing error or because it lacks \
        the prefix of the backend. It stays in force for a later lock, and for names that a route leads somewhere by pattern.\n\n    \
        views: { coding: { include: [\"read_*\"] } }    # memory__read_*\n"
    /// A view that shows nothing.
    EmptyView = "E0210": "A view shows no tool, prompt, resource or template of the lock: nothing matches its `include`, or \
        everything that does is excluded again. Its clients would find an empty server.\n\n    \
        views: { coding: { include: [\"memory__*\"], exclude: [\"*\"] } }    # exclude less\n"
    /// The tools of a view take more tokens than it may.
    OverBudget = "E0211": "The tools of a view take more of a model's context than its `budget`. What counts of a tool is its \
        name, description and input schema as compact JSON, a token for every 4.5 bytes: an estimate, because every model \
        counts otherwise. The note names the backends that take most.\n\n    \
        views: { coding: { include: [\"*\"], budget: 20k tokens } }    # exclude: [\"azure__*\"]\n"
    /// More views than are compiled.
    TooManyViews = "E0212": "A topology has at most 63 views: each is a bit beside every name, so that a call is held against \
        its view at no cost.\n\n    views: { team-1: { … }, …, team-64: { … } }    # use a second topology\n"
    /// Fallbacks that lead back to where they began.
    FallbackCycle = "E0215": "A backend falls back to itself, or several fall back to each other in a circle. A call is only \
        ever handed to the fallbacks of the backend it was for, never on from there, but a circle shows that it is not decided which \
        backend comes first.\n\n    \
        backends:\n      search: { fallback: [search-old], … }\n      search-old: { fallback: [search], … }    # leave it out\n"
    /// A fallback that can take over no call.
    FallbackUseless = "E0216": "By the lock, a fallback has none of the tools, prompts, resources and templates of the backend it \
        stands in for, under the name that the backend itself uses; or it hides them. No call would ever be taken over.\n\n    \
        backends: { search: { fallback: [weather], … } }    # search-old\n"
    /// A fallback that lacks something of its backend.
    FallbackPartial = warning "E0217": "By the lock, a fallback lacks some of the tools, prompts, resources or templates of the \
        backend it stands in for, or hides them: under `tools.deny`, or for E0508. Calls of those fail as they would without it.\n\n    \
        backends: { search: { fallback: [search-old], … } }    # has `find` and not `suggest`\n"
    /// A fallback that stands twice.
    FallbackTwice = "E0218": "A backend names the same fallback twice; each is tried once, where it stands first.\n\n    \
        fallback: [search-old, search-old]    # [search-old]\n"
    /// A pattern of tools whose calls become one that names none of which that is so.
    UnusedCoalescing = warning "E0225": "A pattern under `coalesce.tools` names no tool that only reads: none that is in the lock is \
        exposed like this, or the lock has no `readOnlyHint` for those that are. Calls that may change something never become one, \
        for each of them counts.\n\n    \
        coalesce: { tools: [\"weather__set_*\"] }    # weather__get_*\n"
    /// The backends of a route take other arguments for one tool.
    UnlikeBackends = warning "E0219": "A route leads to several backends, any of which may get a call. Clients are shown a tool (or \
        prompt) once, as the first of them that has it; by the lock, another one takes other arguments: its input schema is not the \
        same, whatever the order of its members.\n\n    \
        routes: [{ tools: \"math_*\", to: [math-a, math-b] }]    # of one version, or allow: [E0219]\n"
    /// An overlay adds what is compiled.
    Shadowed = "E0226": "An overlay adds a backend or a view under a name that is compiled. What is compiled stays what it is: an \
        overlay sets something of it, restricts it, or adds others beside it.\n\n    \
        backends: { math: { transport: { streamable_http: {} }, endpoints: [{ url: \"http://10.0.0.9/mcp\" }] } }    # math-2\n"
    /// An overlay adds a backend that would be started.
    StartedByOverlay = "E0227": "An overlay adds a backend with the transport `stdio`, which the gateway would start. Who may write \
        an overlay, or has the token of administrators, chooses what runs on the machine of the gateway, as its user, only if \
        whoever starts the gateway says so. Otherwise compile the backend, or start it beside the gateway and add it by its \
        URL.\n\n    \
        backends: { files: { transport: { stdio: { command: npx } } } }    # only1mcp start --overlay-commands\n"
    /// Two items are exposed under one name.
    DuplicateExposed = "E0301": "Two tools (or prompts) end up with the same name after prefixes, renames and shortening, so \
        a call could not be routed.\n\n    tools: { rename: { add: sum, plus: sum } }    # rename one of them otherwise\n"
    /// Two backends have a resource with one URI.
    DuplicateResource = "E0302": "Two backends list a resource (or template) with the same URI, and URIs are exposed as they \
        are unless a backend says otherwise. A route decides which backend answers, or the URIs of one bear its name.\n\n    \
        routes: [{ resources: \"data://*\", to: data }]\n    \
        backends: { mirror: { resources: { uris: rewrite }, … } }    # data://mirror/…\n"
    /// `names: none` with other than one backend.
    NamesNone = "E0303": "`names: none` exposes names as the backend has them, which is unambiguous for exactly one \
        backend.\n\n    names: none    # names: { separator: \"__\" } for several backends\n"
    /// A rename to a name that cannot be exposed.
    InvalidRename = "E0304": "A rename leads to a name that clients do not take: exposed names consist of letters, digits, \
        `_` and `-`, and are, with their prefix, no longer than `names.max_length` (64 with `names: none`). Names that backends give themselves are shortened; \
        names that you choose are not.\n\n    rename: { get_forecast: \"the forecast\" }    # the_forecast\n"
    /// The prefix of a backend begins with that of another one.
    AmbiguousPrefix = "E0305": "The prefix of exposed names is the backend's name and the separator. When one prefix begins with \
        another, a name could belong to either backend.\n\n    names: { separator: \"--\" }\n    \
        backends: { a: { … }, a-: { … } }    # a---x: tool x of a-, or -x of a\n"
    /// Names that a backend gives and clients do not take.
    NameOverLimits = warning "E0306": "Models take names of letters, digits, `_` and `-` only, often at most 64. A tool or prompt \
        whose own name does not fit behind the prefix is exposed with its head, and a digest of the whole name at its end; with `names: \
        none` it is exposed as it is, and some clients refuse it. Choose a name that fits, or allow this warning.\n\n    \
        tools: { rename: { \"list.all\": list_all } }\n"
    /// Names that change when a backend is added.
    ChangingNames = warning "E0307": "With `names: none` clients see names as the only backend has them. A second backend makes \
        prefixes necessary, and every name that clients, prompts and policies refer to changes. With a prefix names never depend on which \
        other backends there are.\n\n    names: none    # names: { separator: \"__\" }, or allow: [E0307]\n"
    /// A transport that this build leaves out.
    TransportOff = "E0401": "The topology uses a transport whose cargo feature is off in this build. A program that embeds the \
        gateway names it where it depends on it: `only1mcp = { version = \"…\", features = [\"transport-http\"] }`.\n\n    \
        cargo build --features transport-http\n    topology-prod = [\"transport-http\"]    # in Cargo.toml, for --features topology-prod\n"
    /// TLS is needed and left out of this build.
    TlsOff = "E0402": "An endpoint begins with `https://`, or trusts a `ca`, or the listener for MCP has `tls`, and the cargo feature `tls` is off in \
        this build.\n\n    cargo build --features tls\n"
    /// A value left to the process that is not there, or of another form.
    UndefinedReference = "E0403": "The topology takes a value from an environment variable or a file, and the process that checks \
        it does not have it, or it is no URL, no address or no token where one belongs. The gateway would not start here; elsewhere it may.\n\n    \
        env: { API_KEY: env:API_KEY }    # export API_KEY=…\n"
    /// The admin listener is left out of this build.
    AdminOff = "E0404": "The topology has an admin listener, and the cargo feature `admin` is off in this build.\n\n    \
        cargo build --features admin\n"
    /// The demo servers are left out of this build.
    DemoOff = "E0405": "A backend is `command: self` with `demo-server` as its first argument, and the cargo feature `demo`, which \
        has the demo servers, is off in this build.\n\n    cargo build --features demo\n"
    /// HTTP/2 is asked for and left out of this build.
    Http2Off = "E0406": "A backend says `http: 2`, and the cargo feature `http2` is off in this build. Without that key a server is \
        spoken to in HTTP/1.1 there.\n\n    cargo build --features http2\n"
    /// The cargo feature for overlays that amend the catalog is off.
    AmendmentsOff = "E0407": "An overlay adds backends or views, or hides tools, and the cargo feature `amendments` is off in this \
        build: it has no means to make another catalog while it runs.\n\n    \
        backends: { math: { tools: { deny: [\"add\"] } } }    # --features amendments\n"
    /// There is no lock.
    NoLock = warning "E0501": "The topology has no lock, so nothing is known of what its backends offer: the catalog is empty until \
        they are asked once.\n\n    only1mcp topology lock prod\n"
    /// A backend is not in the lock.
    Unlocked = warning "E0502": "The lock has no section for this backend, so none of its tools are in the catalog.\n\n    \
        only1mcp topology lock prod\n"
    /// The lock has a backend that the topology does not.
    LockedUnknown = "E0503": "The lock has a section for a backend that the topology does not define: it was removed or \
        renamed after it was locked.\n\n    only1mcp topology lock prod\n"
    /// A backend changed since it was locked.
    LockOutdated = "E0504": "The command, its arguments or environment, the URL or the pinned era of a backend changed after it \
        was locked, so the lock records what some other server offers, or this one otherwise.\n\n    only1mcp topology lock prod\n"
    /// The lock cannot be read.
    LockUnreadable = "E0505": "The lock is not what `topology lock` writes: cut short, merged wrongly or edited by hand. \
        Restore it from version control, or write it again.\n\n    only1mcp topology lock prod\n"
    /// The lock is of a later version.
    LockVersion = "E0506": "The lock was written by a later release, in a format that this one does not know.\n\n    \
        \"version\": 2\n"
    /// An item of the lock is not the one that was recorded.
    LockDigest = "E0507": "An item of the lock does not have the digest that stands beside it: it was edited after it was \
        reviewed. Restore it, or ask the backend again.\n\n    \"digest\": \"sha256:…\", \"item\": { \"name\": \"add\", … }\n"
    /// A tool asks for headers as the specification forbids.
    ParamHeader = warning "E0508": "A tool of a modern server asks by `x-mcp-header` to see an argument as a header as well, in a \
        way the specification forbids: the name is empty, no header's name or asked for twice, or the property is no string, integer \
        or boolean, or not reached through `properties` alone. Clients over HTTP must leave such a tool out, so the gateway does.\n\n    \
        \"price\": { \"type\": \"number\", \"x-mcp-header\": \"Price\" }    # not on a number\n"
    /// The schema of a tool refers to a document on the network.
    RemoteSchema = warning "E0509": "A schema of a tool refers by a URL to a document that is no part of it. The gateway fetches \
        none and shows the schema as the server wrote it: a client that follows the reference asks an address which the server \
        chose, and one that does not follow it knows less of the arguments. A schema can hold all of it, under `$defs`.\n\n    \
        \"region\": { \"$ref\": \"https://example.com/region.json\" }    # { \"$ref\": \"#/$defs/region\" }\n"
}

impl Code {
    /// The code with this text, in either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text))
    }

    /// The code that was probably meant by a text that is none.
    #[must_use]
    pub fn near(text: &str) -> Option<Self> {
        near_miss(&text.to_uppercase(), Self::ALL.iter().map(|code| code.as_str())).and_then(Self::parse)
    }
}

impl Decode for Code {
    const EXPECTED: &'static str = "the code of a warning such as `E0204`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let found = text(node, Self::EXPECTED, problems)?;
        match Self::parse(found) {
            Some(code) if code.as_str() == found && code.severity() == Severity::Warning => Some(code),
            Some(code) if code.severity() == Severity::Error => {
                let message = format!("code `{code}` is that of an error, which stops the build");
                problems.error(Self::Allow, node.place, message).help("take it out: only warnings can be allowed");
                None
            }
            _ => {
                let warnings = Self::ALL.iter().filter(|code| code.severity() == Severity::Warning);
                let problem = problems.error(Self::Allow, node.place, format!("unknown code {}", quoted(found)));
                match near_miss(&found.to_ascii_uppercase(), warnings.map(|code| code.as_str())) {
                    Some(near) => problem.meant(near),
                    None => problem.help("write the code that a warning begins with, as in `warning[E0204]`"),
                };
                None
            }
        }
    }

    fn written(&self) -> Option<String> {
        Some(token(self.as_str()))
    }

    fn stand_in() -> Option<Self> {
        // An error, which is never allowed.
        Some(Self::Allow)
    }

    fn schema() -> String {
        let warnings = Self::ALL.iter().filter(|code| code.severity() == Severity::Warning);
        words_schema(&warnings.map(|code| (code.as_str(), (), code.meaning())).collect::<Vec<_>>())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

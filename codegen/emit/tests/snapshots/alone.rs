// generated from topologies/alone.yaml (sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08); do not edit

/// The topology `alone`.
#[derive(Clone, Copy, Debug)]
pub struct Compiled;
/// The transports that the backends use.
#[derive(::only1mcp::Dispatch)]
pub enum Upstream {
    /// A child process.
    Stdio(::only1mcp::upstream::stdio::Stdio),
    /// A server reached by Streamable HTTP.
    StreamableHttp(::only1mcp::upstream::streamable_http::StreamableHttp),
}
impl ::only1mcp::catalog::Topology for Compiled {
    type Upstream = Upstream;
    type Balance = ::only1mcp::upstream::balance::Only;
    const SPEC: &'static ::only1mcp::catalog::Spec = &SPEC;
    const SETTINGS: &'static str = "[{\"path\":\"name\",\"value\":\"prompts_and_resources\",\"line\":1}]";
    const SOURCES: [&'static str; 2] = [
        include_str!(concat!(env!("OUT_DIR"), "/topology.yaml")),
        include_str!(concat!(env!("OUT_DIR"), "/lock.json")),
    ];
    #[inline]
    fn tool(name: &str) -> Option<&'static ::only1mcp::catalog::Entry> {
        TOOL_BY_NAME.get(name)
    }
    fn prompt(name: &str) -> Option<&'static ::only1mcp::catalog::Entry> {
        PROMPT_BY_NAME.get(name).copied()
    }
    fn resource(name: &str) -> Option<&'static ::only1mcp::catalog::Entry> {
        RESOURCE_BY_NAME.get(name).copied()
    }
    fn backend(name: &str) -> Option<u16> {
        BACKEND_BY_NAME.get(name).copied()
    }
}
const GREETING_0: ([&str; 4], &str, ::only1mcp::catalog::Declared) = (
    [
        "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{},\"extensions\":{\"test.example/old\":{\"x\":1.0}},\"experimental\":{\"a\":{}}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"docs\\nSay \\\"please\\\".\"}",
        "{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{},\"extensions\":{\"test.example/old\":{\"x\":1.0}},\"experimental\":{\"a\":{}}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"docs\\nSay \\\"please\\\".\"}",
        "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{},\"extensions\":{\"test.example/old\":{\"x\":1.0}},\"experimental\":{\"a\":{}}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"docs\\nSay \\\"please\\\".\"}",
        "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{},\"extensions\":{\"test.example/old\":{\"x\":1.0}},\"experimental\":{\"a\":{}}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"docs\\nSay \\\"please\\\".\"}",
    ],
    "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{},\"prompts\":{},\"resources\":{}},\"instructions\":\"docs\\nSay \\\"please\\\".\",\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    ::only1mcp::catalog::Declared {
        completions: false,
        tasks: false,
        task_extension: false,
        beyond: [::core::option::Option::Some(0u16), ::core::option::Option::None],
    },
);
const GREETING_1: ([&str; 4], &str, ::only1mcp::catalog::Declared) = (
    [
        "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}",
        "{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}",
        "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}",
        "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}",
    ],
    "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{},\"prompts\":{},\"resources\":{},\"extensions\":{\"io.modelcontextprotocol/ui\":{\"x\":1.0},\"test.example/own\":{\"x\":1.0}},\"test.example\":true},\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    ::only1mcp::catalog::Declared {
        completions: false,
        tasks: false,
        task_extension: false,
        beyond: [::core::option::Option::None, ::core::option::Option::Some(1u16)],
    },
);
static SPEC: ::only1mcp::catalog::Spec = ::only1mcp::catalog::Spec {
    name: "alone",
    topology_digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    lock_digest: "",
    listen: ::only1mcp::catalog::plan::Listen {
        address: ::only1mcp::catalog::plan::Reference::Literal(
            ::std::borrow::Cow::Borrowed("127.0.0.1:8080"),
        ),
        tls: None,
        path: ::std::borrow::Cow::Borrowed("/mcp"),
        origins: ::std::borrow::Cow::Borrowed(&[]),
        hosts: ::std::borrow::Cow::Borrowed(&[]),
        backends: false,
        admin: None,
    },
    sessions: ::only1mcp::catalog::plan::Sessions {
        seal_key: None,
    },
    limits: ::only1mcp::catalog::plan::Limits {
        calls_max: 10000,
        connection_calls_max: 256,
        connections_max: 10000,
    },
    coalesce: ::only1mcp::catalog::plan::Coalesce {
        tools: ::std::borrow::Cow::Borrowed(&[]),
        resources: false,
        prompts: false,
    },
    batching: None,
    backends: &BACKENDS,
    teams: &[],
    wildcards: &[],
    templates: &[
        ::only1mcp::catalog::Template {
            uri_template: "file:///a/{path}",
            backend: 0,
            team: None,
            origin: 0,
            fallbacks: &[],
            views: 1,
        },
        ::only1mcp::catalog::Template {
            uri_template: "file:///{path}",
            backend: 0,
            team: None,
            origin: 0,
            fallbacks: &[],
            views: 1,
        },
    ],
    tools: &TOOLS,
    prompts: &PROMPTS,
    resources: &RESOURCES,
    tool_headers: &[],
    task_tools: &[],
    items: include_bytes!(concat!(env!("OUT_DIR"), "/items.json")),
    whole: ::only1mcp::catalog::View {
        patterns: ::only1mcp::catalog::plan::View {
            name: ::std::borrow::Cow::Borrowed(""),
            include: ::std::borrow::Cow::Borrowed(&[::std::borrow::Cow::Borrowed("*")]),
            exclude: ::std::borrow::Cow::Borrowed(&[]),
        },
        bit: 1,
        tokens: 22,
        initialize: [
            "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{},\"extensions\":{\"test.example/old\":{\"x\":1.0}},\"experimental\":{\"a\":{}}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"docs\\nSay \\\"please\\\".\"}",
            "{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{},\"extensions\":{\"test.example/old\":{\"x\":1.0}},\"experimental\":{\"a\":{}}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"docs\\nSay \\\"please\\\".\"}",
            "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{},\"extensions\":{\"test.example/old\":{\"x\":1.0}},\"experimental\":{\"a\":{}}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"docs\\nSay \\\"please\\\".\"}",
            "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{},\"extensions\":{\"test.example/old\":{\"x\":1.0}},\"experimental\":{\"a\":{}}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"docs\\nSay \\\"please\\\".\"}",
        ],
        discover: "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{},\"prompts\":{},\"resources\":{},\"extensions\":{\"io.modelcontextprotocol/ui\":{\"x\":1.0},\"test.example/own\":{\"x\":1.0}},\"test.example\":true},\"instructions\":\"docs\\nSay \\\"please\\\".\",\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
        declared: ::only1mcp::catalog::Declared {
            completions: false,
            tasks: false,
            task_extension: false,
            beyond: [
                ::core::option::Option::Some(0u16),
                ::core::option::Option::Some(1u16),
            ],
        },
        lists: [
            [
                &TOOLS_PAGES_LEGACY,
                &TOOLS_PAGES_LEGACY,
                &TOOLS_PAGES_LEGACY,
                &TOOLS_PAGES_LEGACY,
                &TOOLS_PAGES_MODERN,
            ],
            [
                &PROMPTS_PAGES_LEGACY,
                &PROMPTS_PAGES_LEGACY,
                &PROMPTS_PAGES_LEGACY,
                &PROMPTS_PAGES_LEGACY,
                &PROMPTS_PAGES_MODERN,
            ],
            [
                &RESOURCES_PAGES_LEGACY,
                &RESOURCES_PAGES_LEGACY,
                &RESOURCES_PAGES_LEGACY,
                &RESOURCES_PAGES_LEGACY,
                &RESOURCES_PAGES_MODERN,
            ],
            [
                &TEMPLATES_PAGES_LEGACY,
                &TEMPLATES_PAGES_LEGACY,
                &TEMPLATES_PAGES_LEGACY,
                &TEMPLATES_PAGES_LEGACY,
                &TEMPLATES_PAGES_MODERN,
            ],
        ],
        alone: None,
    },
    views: &[],
    alone: &[
        ::only1mcp::catalog::View::alone(
            "demo",
            8,
            GREETING_0,
            [
                [&TOOLS_PAGES_LEGACY_BACKEND_0, &TOOLS_PAGES_MODERN_BACKEND_0],
                [&PROMPTS_PAGES_LEGACY_BACKEND_0, &PROMPTS_PAGES_MODERN_BACKEND_0],
                [&RESOURCES_PAGES_LEGACY, &RESOURCES_PAGES_MODERN],
                [&TEMPLATES_PAGES_LEGACY, &TEMPLATES_PAGES_MODERN],
            ],
            ::only1mcp::catalog::Alone {
                backend: 0,
                prefix: "demo__",
                tools: &[],
                prompts: &[],
                resources: &[],
                templates: &[],
            },
        ),
        ::only1mcp::catalog::View::alone(
            "math",
            8,
            GREETING_1,
            [
                [&TOOLS_PAGES_LEGACY_BACKEND_1, &TOOLS_PAGES_MODERN_BACKEND_1],
                [&PROMPTS_PAGES_LEGACY_BACKEND_1, &PROMPTS_PAGES_MODERN_BACKEND_1],
                [&RESOURCES_PAGES_LEGACY_BACKEND_1, &RESOURCES_PAGES_MODERN_BACKEND_1],
                [&TEMPLATES_PAGES_LEGACY_BACKEND_1, &TEMPLATES_PAGES_MODERN_BACKEND_1],
            ],
            ::only1mcp::catalog::Alone {
                backend: 1,
                prefix: "math__",
                tools: &[],
                prompts: &[],
                resources: &["file:///guide.md"],
                templates: &["file:///{path}"],
            },
        ),
    ],
    name_bytes_max: 64,
    offers_tools: true,
    offers_prompts: true,
    offers_resources: true,
};
static TOOLS: [::only1mcp::catalog::Entry; 4] = [
    ::only1mcp::catalog::Entry {
        name: "demo__say",
        upstream: "echo",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
    ::only1mcp::catalog::Entry {
        name: "demo__sum",
        upstream: "sum",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
    ::only1mcp::catalog::Entry {
        name: "math__add",
        upstream: "add",
        views: 1,
        fallbacks: &[],
        backend: 1,
        team: None,
        origin: 1,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
    ::only1mcp::catalog::Entry {
        name: "math__a_b_eb62c1b0",
        upstream: "a.b",
        views: 1,
        fallbacks: &[],
        backend: 1,
        team: None,
        origin: 1,
        shortened: true,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
];
static TOOL_BY_NAME: ::only1mcp::catalog::NameTable<
    [u32; 5],
    [::only1mcp::catalog::Entry; 5],
> = ::only1mcp::catalog::NameTable {
    seed: 16287231350648472473,
    pilots: [2952411558, 2952411558, 481789997, 1192292800, 2952411558],
    slots: ::only1mcp::catalog::table::arrange(&TOOLS, &[0, 3, 1, 2, 0]),
};
static PROMPTS: [::only1mcp::catalog::Entry; 1] = [
    ::only1mcp::catalog::Entry {
        name: "demo__review",
        upstream: "review",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
];
static PROMPT_BY_NAME: ::only1mcp::phf::Map<
    &'static str,
    &'static ::only1mcp::catalog::Entry,
> = ::only1mcp::phf::Map {
    key: 16287231350648472473,
    disps: &[(0, 0)],
    entries: &[("demo__review", &PROMPTS[0])],
};
static RESOURCES: [::only1mcp::catalog::Entry; 2] = [
    ::only1mcp::catalog::Entry {
        name: "file:///guide.md",
        upstream: "file:///guide.md",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
    ::only1mcp::catalog::Entry {
        name: "file:///faq.md",
        upstream: "file:///faq.md",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
];
static RESOURCE_BY_NAME: ::only1mcp::phf::Map<
    &'static str,
    &'static ::only1mcp::catalog::Entry,
> = ::only1mcp::phf::Map {
    key: 16287231350648472473,
    disps: &[(1, 0)],
    entries: &[("file:///guide.md", &RESOURCES[0]), ("file:///faq.md", &RESOURCES[1])],
};
static BACKENDS: [::only1mcp::catalog::plan::Backend; 2] = [
    ::only1mcp::catalog::plan::Backend {
        name: ::std::borrow::Cow::Borrowed("demo"),
        transport: ::only1mcp::catalog::plan::Transport::Stdio(::only1mcp::catalog::plan::Stdio {
            program: ::only1mcp::catalog::plan::Program::Current,
            args: ::std::borrow::Cow::Borrowed(&[::std::borrow::Cow::Borrowed("demo")]),
            env: ::std::borrow::Cow::Borrowed(&[]),
            cwd: None,
            life: ::only1mcp::catalog::plan::Life {
                lazy: false,
                idle_ms: None,
                start_timeout_ms: 0,
                restarts: 0,
            },
            instances: 0,
            sessions: 0,
            sandbox: None,
        }),
        era: None,
        locked_era: Some(::only1mcp::catalog::Era::Legacy),
        timeout_ms: 30000,
        completions: None,
        tells: ::std::borrow::Cow::Borrowed(&[]),
        tasks: false,
        extensions: ::std::borrow::Cow::Borrowed(
            &[
                ::only1mcp::catalog::plan::Extension {
                    name: ::std::borrow::Cow::Borrowed("io.modelcontextprotocol/ui"),
                    settings: ::std::borrow::Cow::Borrowed("{\"x\":1.0}"),
                },
                ::only1mcp::catalog::plan::Extension {
                    name: ::std::borrow::Cow::Borrowed("test.example/old"),
                    settings: ::std::borrow::Cow::Borrowed("{\"x\":1.0}"),
                },
            ],
        ),
        beyond: ::std::borrow::Cow::Borrowed(
            &[
                ::only1mcp::catalog::plan::Extension {
                    name: ::std::borrow::Cow::Borrowed("experimental"),
                    settings: ::std::borrow::Cow::Borrowed("{\"a\":{}}"),
                },
            ],
        ),
        client_capabilities: ::std::borrow::Cow::Borrowed(
            &[
                ::only1mcp::catalog::plan::ClientCapability::Roots,
                ::only1mcp::catalog::plan::ClientCapability::Sampling,
                ::only1mcp::catalog::plan::ClientCapability::Elicitation,
            ],
        ),
        rewrites_uris: false,
        balance: ::only1mcp::catalog::plan::Balance::RoundRobin,
        slow_start_ms: None,
        concurrency: ::only1mcp::catalog::plan::Concurrency {
            max: 4096,
            queue: 1024,
            queue_timeout_ms: 1000,
        },
        retry: None,
        hedge: None,
        circuit_breaker: None,
        health: None,
    },
    ::only1mcp::catalog::plan::Backend {
        name: ::std::borrow::Cow::Borrowed("math"),
        transport: ::only1mcp::catalog::plan::Transport::StreamableHttp(::only1mcp::catalog::plan::StreamableHttp {
            endpoints: ::std::borrow::Cow::Borrowed(
                &[
                    ::only1mcp::catalog::plan::Endpoint {
                        url: ::only1mcp::catalog::plan::Reference::Literal(
                            ::std::borrow::Cow::Borrowed("http://127.0.0.1:9001/mcp"),
                        ),
                        weight: 1,
                    },
                ],
            ),
            ca: None,
            connect_timeout_ms: None,
            http: ::only1mcp::catalog::plan::HttpVersion::Auto,
            credentials: ::only1mcp::catalog::plan::Credentials {
                headers: ::std::borrow::Cow::Borrowed(&[]),
                auth: None,
            },
            proxy: None,
        }),
        era: None,
        locked_era: Some(::only1mcp::catalog::Era::Modern),
        timeout_ms: 30000,
        completions: None,
        tells: ::std::borrow::Cow::Borrowed(&[]),
        tasks: false,
        extensions: ::std::borrow::Cow::Borrowed(
            &[
                ::only1mcp::catalog::plan::Extension {
                    name: ::std::borrow::Cow::Borrowed("io.modelcontextprotocol/ui"),
                    settings: ::std::borrow::Cow::Borrowed("{\"x\":1.0}"),
                },
                ::only1mcp::catalog::plan::Extension {
                    name: ::std::borrow::Cow::Borrowed("test.example/own"),
                    settings: ::std::borrow::Cow::Borrowed("{\"x\":1.0}"),
                },
            ],
        ),
        beyond: ::std::borrow::Cow::Borrowed(
            &[
                ::only1mcp::catalog::plan::Extension {
                    name: ::std::borrow::Cow::Borrowed("test.example"),
                    settings: ::std::borrow::Cow::Borrowed("true"),
                },
            ],
        ),
        client_capabilities: ::std::borrow::Cow::Borrowed(
            &[
                ::only1mcp::catalog::plan::ClientCapability::Roots,
                ::only1mcp::catalog::plan::ClientCapability::Sampling,
                ::only1mcp::catalog::plan::ClientCapability::Elicitation,
            ],
        ),
        rewrites_uris: false,
        balance: ::only1mcp::catalog::plan::Balance::RoundRobin,
        slow_start_ms: None,
        concurrency: ::only1mcp::catalog::plan::Concurrency {
            max: 4096,
            queue: 1024,
            queue_timeout_ms: 1000,
        },
        retry: None,
        hedge: None,
        circuit_breaker: None,
        health: None,
    },
];
static BACKEND_BY_NAME: ::only1mcp::phf::Map<&'static str, u16> = ::only1mcp::phf::Map {
    key: 16287231350648472473,
    disps: &[(1, 0)],
    entries: &[("math", 1), ("demo", 0)],
};
static TOOLS_PAGES_LEGACY: [::only1mcp::catalog::Page; 2] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"tools\":[",
        items: (0, 41),
        cuts: (0, &[]),
        tail: "],\"nextCursor\":\"AAAAAAAAAAAAAUQZNHM2jFUx\"}",
    },
    ::only1mcp::catalog::Page {
        cursor: "AAAAAAAAAAAAAUQZNHM2jFUx",
        head: "{\"tools\":[",
        items: (42, 107),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TOOLS_PAGES_MODERN: [::only1mcp::catalog::Page; 2] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"tools\":[",
        items: (0, 41),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"nextCursor\":\"AAAAAAAAAAAAAUQZNHM2jFUx\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
    ::only1mcp::catalog::Page {
        cursor: "AAAAAAAAAAAAAUQZNHM2jFUx",
        head: "{\"resultType\":\"complete\",\"tools\":[",
        items: (42, 107),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static PROMPTS_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"prompts\":[",
        items: (108, 131),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static PROMPTS_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"prompts\":[",
        items: (108, 131),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static RESOURCES_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resources\":[",
        items: (132, 211),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static RESOURCES_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"resources\":[",
        items: (132, 211),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static TEMPLATES_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resourceTemplates\":[",
        items: (212, 303),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TEMPLATES_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"resourceTemplates\":[",
        items: (212, 303),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static TOOLS_PAGES_LEGACY_BACKEND_0: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"tools\":[",
        items: (0, 41),
        cuts: (6, &CUTS_0),
        tail: "]}",
    },
];
static TOOLS_PAGES_MODERN_BACKEND_0: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"tools\":[",
        items: (0, 41),
        cuts: (6, &CUTS_0),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static PROMPTS_PAGES_LEGACY_BACKEND_0: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"prompts\":[",
        items: (108, 131),
        cuts: (6, &CUTS_1),
        tail: "]}",
    },
];
static PROMPTS_PAGES_MODERN_BACKEND_0: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"prompts\":[",
        items: (108, 131),
        cuts: (6, &CUTS_1),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static TOOLS_PAGES_LEGACY_BACKEND_1: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"tools\":[",
        items: (304, 348),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TOOLS_PAGES_MODERN_BACKEND_1: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"tools\":[",
        items: (304, 348),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static PROMPTS_PAGES_LEGACY_BACKEND_1: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"prompts\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static PROMPTS_PAGES_MODERN_BACKEND_1: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"prompts\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static RESOURCES_PAGES_LEGACY_BACKEND_1: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resources\":[",
        items: (132, 173),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static RESOURCES_PAGES_MODERN_BACKEND_1: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"resources\":[",
        items: (132, 173),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static TEMPLATES_PAGES_LEGACY_BACKEND_1: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resourceTemplates\":[",
        items: (212, 257),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TEMPLATES_PAGES_MODERN_BACKEND_1: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"resourceTemplates\":[",
        items: (212, 257),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static CUTS_0: [u32; 2] = [9, 30];
static CUTS_1: [u32; 1] = [117];

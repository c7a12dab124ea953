// generated from topologies/views.yaml (sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08); do not edit

/// The topology `views`.
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
    const HAS_FALLBACKS: bool = true;
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
static SPEC: ::only1mcp::catalog::Spec = ::only1mcp::catalog::Spec {
    name: "views",
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
            views: 5,
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
        tokens: 15,
        initialize: [
            "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"Echo.\\n\\nCount.\"}",
            "{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"Echo.\\n\\nCount.\"}",
            "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"Echo.\\n\\nCount.\"}",
            "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"Echo.\\n\\nCount.\"}",
        ],
        discover: "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{},\"prompts\":{},\"resources\":{}},\"instructions\":\"Echo.\\n\\nCount.\",\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
        declared: ::only1mcp::catalog::Declared {
            completions: false,
            tasks: false,
            task_extension: false,
            beyond: [::core::option::Option::None, ::core::option::Option::None],
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
    views: &[
        ::only1mcp::catalog::View {
            patterns: ::only1mcp::catalog::plan::View {
                name: ::std::borrow::Cow::Borrowed("counting"),
                include: ::std::borrow::Cow::Borrowed(
                    &[::std::borrow::Cow::Borrowed("math__*")],
                ),
                exclude: ::std::borrow::Cow::Borrowed(&[]),
            },
            bit: 2,
            tokens: 10,
            initialize: [
                "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{\"logging\":{},\"tools\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"Count.\"}",
                "{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{\"logging\":{},\"tools\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"Count.\"}",
                "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"logging\":{},\"tools\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"Count.\"}",
                "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"logging\":{},\"tools\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"Count.\"}",
            ],
            discover: "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{}},\"instructions\":\"Count.\",\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
            declared: ::only1mcp::catalog::Declared {
                completions: false,
                tasks: false,
                task_extension: false,
                beyond: [::core::option::Option::None, ::core::option::Option::None],
            },
            lists: [
                [
                    &TOOLS_PAGES_LEGACY_VIEW_0,
                    &TOOLS_PAGES_LEGACY_VIEW_0,
                    &TOOLS_PAGES_LEGACY_VIEW_0,
                    &TOOLS_PAGES_LEGACY_VIEW_0,
                    &TOOLS_PAGES_MODERN_VIEW_0,
                ],
                [
                    &PROMPTS_PAGES_LEGACY_VIEW_0,
                    &PROMPTS_PAGES_LEGACY_VIEW_0,
                    &PROMPTS_PAGES_LEGACY_VIEW_0,
                    &PROMPTS_PAGES_LEGACY_VIEW_0,
                    &PROMPTS_PAGES_MODERN_VIEW_0,
                ],
                [
                    &RESOURCES_PAGES_LEGACY_VIEW_0,
                    &RESOURCES_PAGES_LEGACY_VIEW_0,
                    &RESOURCES_PAGES_LEGACY_VIEW_0,
                    &RESOURCES_PAGES_LEGACY_VIEW_0,
                    &RESOURCES_PAGES_MODERN_VIEW_0,
                ],
                [
                    &TEMPLATES_PAGES_LEGACY_VIEW_0,
                    &TEMPLATES_PAGES_LEGACY_VIEW_0,
                    &TEMPLATES_PAGES_LEGACY_VIEW_0,
                    &TEMPLATES_PAGES_LEGACY_VIEW_0,
                    &TEMPLATES_PAGES_MODERN_VIEW_0,
                ],
            ],
            alone: None,
        },
        ::only1mcp::catalog::View {
            patterns: ::only1mcp::catalog::plan::View {
                name: ::std::borrow::Cow::Borrowed("safe"),
                include: ::std::borrow::Cow::Borrowed(
                    &[::std::borrow::Cow::Borrowed("*")],
                ),
                exclude: ::std::borrow::Cow::Borrowed(
                    &[
                        ::std::borrow::Cow::Borrowed("*__div"),
                        ::std::borrow::Cow::Borrowed("file:///a/*"),
                    ],
                ),
            },
            bit: 4,
            tokens: 10,
            initialize: [
                "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"Echo.\\n\\nCount.\"}",
                "{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"Echo.\\n\\nCount.\"}",
                "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"Echo.\\n\\nCount.\"}",
                "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"Echo.\\n\\nCount.\"}",
            ],
            discover: "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{},\"prompts\":{},\"resources\":{}},\"instructions\":\"Echo.\\n\\nCount.\",\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
            declared: ::only1mcp::catalog::Declared {
                completions: false,
                tasks: false,
                task_extension: false,
                beyond: [::core::option::Option::None, ::core::option::Option::None],
            },
            lists: [
                [
                    &TOOLS_PAGES_LEGACY_VIEW_1,
                    &TOOLS_PAGES_LEGACY_VIEW_1,
                    &TOOLS_PAGES_LEGACY_VIEW_1,
                    &TOOLS_PAGES_LEGACY_VIEW_1,
                    &TOOLS_PAGES_MODERN_VIEW_1,
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
                    &TEMPLATES_PAGES_LEGACY_VIEW_1,
                    &TEMPLATES_PAGES_LEGACY_VIEW_1,
                    &TEMPLATES_PAGES_LEGACY_VIEW_1,
                    &TEMPLATES_PAGES_LEGACY_VIEW_1,
                    &TEMPLATES_PAGES_MODERN_VIEW_1,
                ],
            ],
            alone: None,
        },
    ],
    alone: &[],
    name_bytes_max: 64,
    offers_tools: true,
    offers_prompts: true,
    offers_resources: true,
};
static TOOLS: [::only1mcp::catalog::Entry; 3] = [
    ::only1mcp::catalog::Entry {
        name: "demo__echo",
        upstream: "echo",
        views: 5,
        fallbacks: &[1],
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
        views: 7,
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
        name: "math__div",
        upstream: "div",
        views: 3,
        fallbacks: &[],
        backend: 1,
        team: None,
        origin: 1,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
];
static TOOL_BY_NAME: ::only1mcp::catalog::NameTable<
    [u32; 4],
    [::only1mcp::catalog::Entry; 5],
> = ::only1mcp::catalog::NameTable {
    seed: 16287231350648472473,
    pilots: [2952411558, 2952411558, 2952411558, 1192292800],
    slots: ::only1mcp::catalog::table::arrange(&TOOLS, &[2, 1, 0, 0, 0]),
};
static PROMPTS: [::only1mcp::catalog::Entry; 1] = [
    ::only1mcp::catalog::Entry {
        name: "docs__review",
        upstream: "review",
        views: 5,
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
    entries: &[("docs__review", &PROMPTS[0])],
};
static RESOURCES: [::only1mcp::catalog::Entry; 2] = [
    ::only1mcp::catalog::Entry {
        name: "file:///guide.md",
        upstream: "file:///guide.md",
        views: 5,
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
        views: 5,
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
        locked_era: None,
        timeout_ms: 30000,
        completions: None,
        tells: ::std::borrow::Cow::Borrowed(&[]),
        tasks: false,
        extensions: ::std::borrow::Cow::Borrowed(&[]),
        beyond: ::std::borrow::Cow::Borrowed(&[]),
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
        locked_era: None,
        timeout_ms: 30000,
        completions: None,
        tells: ::std::borrow::Cow::Borrowed(&[]),
        tasks: false,
        extensions: ::std::borrow::Cow::Borrowed(&[]),
        beyond: ::std::borrow::Cow::Borrowed(&[]),
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
static TOOLS_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"tools\":[",
        items: (0, 63),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TOOLS_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"tools\":[",
        items: (0, 63),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static PROMPTS_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"prompts\":[",
        items: (64, 102),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static PROMPTS_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"prompts\":[",
        items: (64, 102),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static RESOURCES_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resources\":[",
        items: (103, 182),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static RESOURCES_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"resources\":[",
        items: (103, 182),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static TEMPLATES_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resourceTemplates\":[",
        items: (183, 274),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TEMPLATES_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"resourceTemplates\":[",
        items: (183, 274),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static TOOLS_PAGES_LEGACY_VIEW_0: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"tools\":[",
        items: (22, 63),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TOOLS_PAGES_MODERN_VIEW_0: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"tools\":[",
        items: (22, 63),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static PROMPTS_PAGES_LEGACY_VIEW_0: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"prompts\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static PROMPTS_PAGES_MODERN_VIEW_0: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"prompts\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static RESOURCES_PAGES_LEGACY_VIEW_0: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resources\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static RESOURCES_PAGES_MODERN_VIEW_0: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"resources\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static TEMPLATES_PAGES_LEGACY_VIEW_0: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resourceTemplates\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TEMPLATES_PAGES_MODERN_VIEW_0: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"resourceTemplates\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static TOOLS_PAGES_LEGACY_VIEW_1: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"tools\":[",
        items: (0, 42),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TOOLS_PAGES_MODERN_VIEW_1: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"tools\":[",
        items: (0, 42),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static TEMPLATES_PAGES_LEGACY_VIEW_1: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resourceTemplates\":[",
        items: (183, 228),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TEMPLATES_PAGES_MODERN_VIEW_1: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"resourceTemplates\":[",
        items: (183, 228),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];

// generated from topologies/prompts_and_resources.yaml (sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08); do not edit

/// The topology `prompts_and_resources`.
#[derive(Clone, Copy, Debug)]
pub struct Compiled;
/// The transport that every backend uses. A server reached by Streamable HTTP.
pub type Upstream = ::only1mcp::upstream::streamable_http::StreamableHttp;
impl ::only1mcp::catalog::Topology for Compiled {
    type Upstream = Upstream;
    type Balance = ::only1mcp::upstream::balance::Only;
    const SPEC: &'static ::only1mcp::catalog::Spec = &SPEC;
    const SETTINGS: &'static str = "[{\"path\":\"name\",\"value\":\"prompts_and_resources\",\"line\":1}]";
    const SOURCES: [&'static str; 2] = [
        include_str!(concat!(env!("OUT_DIR"), "/topology.yaml")),
        include_str!(concat!(env!("OUT_DIR"), "/lock.json")),
    ];
    fn tool(_: &str) -> Option<&'static ::only1mcp::catalog::Entry> {
        None
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
    name: "prompts_and_resources",
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
        tokens: 0,
        initialize: [
            "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{\"logging\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"docs\\nSay \\\"please\\\".\"}",
            "{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{\"logging\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"docs\\nSay \\\"please\\\".\"}",
            "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"logging\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"docs\\nSay \\\"please\\\".\"}",
            "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"logging\":{},\"prompts\":{},\"resources\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"},\"instructions\":\"docs\\nSay \\\"please\\\".\"}",
        ],
        discover: "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"prompts\":{},\"resources\":{}},\"instructions\":\"docs\\nSay \\\"please\\\".\",\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
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
    views: &[],
    alone: &[],
    name_bytes_max: 64,
    offers_tools: false,
    offers_prompts: true,
    offers_resources: true,
};
static TOOLS: [::only1mcp::catalog::Entry; 0] = [];
static PROMPTS: [::only1mcp::catalog::Entry; 1] = [
    ::only1mcp::catalog::Entry {
        name: "docs__review",
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
    entries: &[("docs__review", &PROMPTS[0])],
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
static BACKENDS: [::only1mcp::catalog::plan::Backend; 1] = [
    ::only1mcp::catalog::plan::Backend {
        name: ::std::borrow::Cow::Borrowed("docs"),
        transport: ::only1mcp::catalog::plan::Transport::StreamableHttp(::only1mcp::catalog::plan::StreamableHttp {
            endpoints: ::std::borrow::Cow::Borrowed(
                &[
                    ::only1mcp::catalog::plan::Endpoint {
                        url: ::only1mcp::catalog::plan::Reference::Literal(
                            ::std::borrow::Cow::Borrowed("https://docs.example.com/mcp"),
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
    disps: &[(0, 0)],
    entries: &[("docs", 0)],
};
static TOOLS_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"tools\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TOOLS_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"tools\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static PROMPTS_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"prompts\":[",
        items: (0, 38),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static PROMPTS_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"prompts\":[",
        items: (0, 38),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static RESOURCES_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resources\":[",
        items: (39, 118),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static RESOURCES_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"resources\":[",
        items: (39, 118),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static TEMPLATES_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resourceTemplates\":[",
        items: (119, 210),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TEMPLATES_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"resourceTemplates\":[",
        items: (119, 210),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];

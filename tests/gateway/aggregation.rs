//! Ten servers and thousands of tools, prompts, resources and templates behind one gateway: clients of every revision
//! page through all of it, in the bytes that the servers said.
//!
//! The servers are played, and asked for the lock; no server runs when lists are served.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use only1mcp::{Gateway, Running};

use crate::lists::{ALL, Asking, REVISIONS};
use crate::support::client::{Client, Request as Asked};
use crate::support::gateways;
use crate::support::ledger::Directory;
use crate::support::server::{self, Request, Script, Server, json_answer, nowhere};

only1mcp::topology!(Aggregation = "tests/gateway/topologies/aggregation.yaml");

const SERVERS: usize = 10;
/// What each server has of every list, and how much of it stands on one of its pages.
const LISTS: [(&str, &str, usize, usize); 4] = [
    ("tools/list", "tools", 500, 170),
    ("prompts/list", "prompts", 20, 7),
    ("resources/list", "resources", 30, 30),
    ("resources/templates/list", "resourceTemplates", 12, 5),
];

/// What JSON readers fold together or round, as members of an item.
const ODD: [&str; 12] = [
    r#""x":[1.0,1e3,1E-7,-0,-0.0,100e-2]"#,
    r#""x":[9007199254740993,18446744073709551615,-9223372036854775808,340282366920938463463374607431768211456]"#,
    r#""x":[0.1000000000000000055511151231257827,1e400,4.9E-324]"#,
    r#""description":"\u00e9\/\t\"\\\ud83d\ude00\u0000\u2028""#,
    "\"description\":\"é\u{2028}\u{2029}😀e\u{301}\u{feff}\u{7f}\"",
    r#""x-own":{"":{"null":null,"\u006bey":[[],{},true]},"__proto__":1}"#,
    r#""_meta":{"example.org/cost":1.50,"traceparent":"00-0-0-00"},"icons":[{"src":"https:\/\/example.org\/a.png"}]"#,
    r#""title":"<b>&amp;\r\n</b>""#,
    r#""annotations":{"readOnlyHint":false,"priority":1.0,"audience":[]}"#,
    r#""x":"","y":" ","z":"\u0020""#,
    r#""X":1,"x":1.0,"ｘ":1e0"#,
    r#""description":" spaces , : and [brackets] {stay} ""#,
];

const SCHEMAS: [&str; 4] = [
    r#"{"type":"object"}"#,
    r#"{"type":"object","properties":{"n":{"type":"number","default":1.0,"minimum":-0,"maximum":1e3,"multipleOf":1E-7}}}"#,
    r##"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","$defs":{"a\/b":{"$anchor":"a","enum":[1,1.0,"1",null]}},"properties":{"ä":{"$ref":"#/$defs/a~1b"}},"allOf":[{"if":{"required":["ä"]},"then":{"minProperties":1}}],"additionalProperties":false}"##,
    r#"{"properties":{"id":{"type":"integer","maximum":18446744073709551615,"const":9007199254740993}},"required":["id"],"type":"object","unknownKeyword":{"k":[1e1]}}"#,
];

/// How an item of a list is written under this name, itself as it is written; of the first ones no two have the same form.
fn item(method: &str, server: usize, n: usize, name: &str) -> String {
    let odd = ODD.get(n).map(|odd| format!(",{odd}")).unwrap_or_default();
    let schema = SCHEMAS[if n < 12 { n % 4 } else { 0 }];
    match method {
        // The name does not have to come first.
        "tools/list" if n.is_multiple_of(2) => format!(r#"{{"inputSchema":{schema}{odd},"name":{name}}}"#),
        "tools/list" => format!(r#"{{"name":{name}{odd},"inputSchema":{schema}}}"#),
        "prompts/list" => format!(r#"{{"name":{name},"arguments":[{{"name":"a","required":true}}]{odd}}}"#),
        "resources/list" => format!(r#"{{"uri":"own{server}://r/{n}","name":{name},"size":1e3{odd}}}"#),
        _ => format!(r#"{{"uriTemplate":"own{server}://t{n}/{{id}}","name":{name}{odd}}}"#),
    }
}

/// The same as its server says it.
fn said(method: &str, server: usize, n: usize) -> String {
    // Some names are written with escapes.
    let letter = if n % 100 == 5 { r"\u0069" } else { "i" };
    item(method, server, n, &format!(r#""{letter}{n:03}""#))
}

/// The same as clients of the gateway are to see it: what has a prefix is named anew, and nothing else.
fn exposed(method: &str, server: usize, n: usize) -> String {
    match method {
        "tools/list" | "prompts/list" => item(method, server, n, &format!(r#""s{server}__i{n:03}""#)),
        _ => said(method, server, n),
    }
}

/// One page of a server's list.
fn page(method: &str, server: usize, from: usize) -> String {
    let &(_, member, count, length) = LISTS.iter().find(|list| list.0 == method).expect("a list");
    let until = count.min(from + length);
    let items: Vec<_> = (from..until).map(|n| said(method, server, n)).collect();
    let next = if until < count { format!(r#","nextCursor":"{until}""#) } else { String::new() };
    format!(r#"{{"{member}":[{}]{next}}}"#, items.join(" ,\n"))
}

/// One server, which speaks the era that its number says.
fn server(server: usize) -> Server {
    let lists = move |request: &Request| -> Script {
        let from = request.body["params"]["cursor"].as_str().map_or(0, |cursor| cursor.parse().expect("its own"));
        let page = page(request.rpc(), server, from);
        vec![json_answer(200, &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{page}}}"#, request.id()))]
    };
    let offered = r#""capabilities":{"tools":{},"prompts":{},"resources":{}}"#;
    let greeted = move |request: &Request, rest: &str| {
        vec![json_answer(200, &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{{offered},{rest}}}}}"#, request.id()))]
    };
    if server.is_multiple_of(2) {
        return Server::start(move |request| match request.rpc() {
            "server/discover" => greeted(request, r#""supportedVersions":["2026-07-28"]"#),
            _ => lists(request),
        });
    }
    let legacy = server::legacy(|| "s".to_owned(), lists);
    Server::start(move |request| match request.rpc() {
        "initialize" => {
            greeted(request, r#""protocolVersion":"2025-11-25","serverInfo":{"name":"played","version":"1"}"#)
        }
        _ => legacy(request),
    })
}

fn all(method: &str, count: usize) -> Vec<String> {
    let mut all: Vec<_> = (0..SERVERS).flat_map(|server| (0..count).map(move |n| exposed(method, server, n))).collect();
    all.sort();
    all
}

/// Where every backend is a port at which nobody listens.
fn started() -> Running {
    let nobody = nowhere();
    let builder = Gateway::<Aggregation>::builder().workers(1);
    let given = |builder: only1mcp::Builder<_>, n| builder.reference(format!("S{n}_URL"), &nobody);
    (0..SERVERS).fold(builder, given).start().expect("the gateway starts")
}

#[test]
fn the_lock_holds_what_the_servers_say() {
    let directory = Directory::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/topologies");
    std::fs::copy(root.join("aggregation.yaml"), directory.path("again.yaml")).expect("it can be copied");
    let servers: Vec<_> = (0..SERVERS).map(server).collect();
    let mut lock = Command::new(env!("CARGO_BIN_EXE_only1mcp"));
    lock.args(["topology", "lock"]).arg(directory.path("again.yaml"));
    lock.envs(servers.iter().enumerate().map(|(n, server)| (format!("S{n}_URL"), server.url())));
    let output = lock.output().expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = std::fs::read_to_string(directory.path("again.lock.json")).expect("a lock");
    let committed = root.join("aggregation.lock.json");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&committed, &found).expect("it can be written");
    }
    let committed = std::fs::read_to_string(committed).unwrap_or_default();
    assert!(found == committed, "aggregation.lock.json is another; BLESS=1 writes it");
}

#[tokio::test]
async fn clients_of_every_revision_page_through_all_of_ten_servers_that_are_down() {
    let gateway = started();
    let mut client = Client::connect(gateway.address()).await;
    for (method, _, count, _) in LISTS {
        let expected = all(method, count);
        let mut order = None;
        for revision in REVISIONS {
            let asking = Asking::begin(&mut client, revision, ALL).await;
            let pages = asking.pages(&mut client, method, ALL).await;
            assert_eq!(pages.len(), (SERVERS * count).div_ceil(70), "{method} in {revision}");
            let items: Vec<_> = pages.iter().flat_map(|page| &page.items).map(|item| item.get().to_owned()).collect();
            assert_eq!(order.get_or_insert_with(|| items.clone()), &items, "{method} in {revision}: another order");
            let mut sorted = items;
            sorted.sort();
            assert_eq!(sorted.len(), expected.len(), "{method} in {revision}");
            for (found, expected) in sorted.iter().zip(&expected) {
                assert_eq!(found, expected, "{method} in {revision}");
            }
        }
    }
}

/// A cursor is good for the list that it came with.
#[tokio::test]
async fn a_cursor_of_another_list_view_or_gateway_or_with_a_byte_changed_is_refused() {
    const FEW: &str = "POST /mcp/few HTTP/1.1";
    const ALONE: &str = "POST /mcp/s0 HTTP/1.1";
    let (gateway, other) = (started(), gateways::large());
    let mut client = Client::connect(gateway.address()).await;
    let mut elsewhere = Client::connect(other.address()).await;
    for revision in ["2025-11-25", "2026-07-28"] {
        let mut own = BTreeSet::new();
        for (path, count) in [(ALL, 72), (FEW, 15), (ALONE, 8)] {
            let asking = Asking::begin(&mut client, revision, path).await;
            let pages = asking.pages(&mut client, "tools/list", path).await;
            assert_eq!(pages.len(), count, "{path} in {revision}");
            let cursors: BTreeSet<_> = pages.into_iter().filter_map(|page| page.next_cursor).collect();
            assert_eq!(cursors.len(), count - 1, "{path} in {revision}");
            own.insert((path, cursors));
        }
        let there = Asking::begin(&mut elsewhere, revision, ALL).await;
        let pages = there.pages(&mut elsewhere, "tools/list", ALL).await;
        let foreign: BTreeSet<_> = pages.into_iter().filter_map(|page| page.next_cursor).collect();
        let refused = async |client: &mut Client, asking: &Asking, method: &str, path: &str, cursor: &str| {
            let answer = client.exchange(&asking.list(method, Some(cursor)).line(path)).await;
            let found = (answer.status, answer.code());
            assert_eq!(found, (200, Some(-32602)), "`{cursor}` for {method} at {path} in {revision}");
        };
        for (path, cursors) in &own {
            let asking = Asking::begin(&mut client, revision, path).await;
            let theirs = own.iter().filter(|(other, _)| other != path).flat_map(|(_, cursors)| cursors);
            for cursor in theirs.chain(&foreign) {
                refused(&mut client, &asking, "tools/list", path, cursor).await;
            }
            let first = cursors.first().expect("a second page");
            for (method, ..) in &LISTS[1..] {
                refused(&mut client, &asking, method, path, first).await;
            }
            for at in 0..first.len() {
                let byte = if first.as_bytes()[at] == b'A' { "B" } else { "A" };
                let tampered = format!("{}{byte}{}", &first[..at], &first[at + 1..]);
                refused(&mut client, &asking, "tools/list", path, &tampered).await;
            }
        }
    }
}

#[tokio::test]
async fn a_tool_of_a_server_that_is_down_is_an_error_of_its_call_alone() {
    let gateway = started();
    for (tool, kind) in [("s0__i000", "upstream_unavailable"), ("s9__i499", "upstream_unavailable")] {
        let answer = Client::ask(gateway.address(), &Asked::call(tool, "{}")).await;
        assert_eq!((answer.code(), answer.kind().as_deref()), (Some(-32603), Some(kind)), "{}", answer.text());
    }
    let unknown = Client::ask(gateway.address(), &Asked::call("s9__i500", "{}")).await;
    assert_eq!(unknown.code(), Some(-32602), "{}", unknown.text());
}

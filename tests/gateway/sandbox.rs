//! What children in a sandbox may do and use, asked of the children themselves.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::last_words::message;
use crate::support::ledger::Directory;
use crate::support::scripted::{Outcome, WithChildren, call_with};

only1mcp::topology!(pub(crate) Confined = "tests/gateway/topologies/confined.yaml");

/// A gateway whose children are confined, and the two directories that the strict one may use.
struct Rig {
    children: WithChildren,
    read: Directory,
    write: Directory,
    listener: TcpListener,
}

impl Rig {
    fn start() -> Self {
        let (read, write) = (Directory::new(), Directory::new());
        std::fs::write(read.path("file"), "text").expect("a file");
        let text = |directory: &Directory| directory.path("").display().to_string();
        let children = WithChildren::start_as::<Confined>("plain", |builder| {
            builder.reference("READ_DIRECTORY", text(&read)).reference("WRITE_DIRECTORY", text(&write))
        });
        Self { children, read, write, listener: TcpListener::bind("127.0.0.1:0").expect("a port") }
    }

    /// What a child can do, by its own account.
    async fn account(&self, backend: &str) -> Value {
        let elsewhere = Directory::new();
        std::fs::write(elsewhere.path("file"), "text").expect("a file");
        let asked = json!({
            "read": [self.read.path("file"), elsewhere.path("file"), "/etc/hosts", "/etc/shadow"],
            "write": [self.write.path("new"), self.read.path("new"), elsewhere.path("new"), "/dev/null"],
            "connect": [self.listener.local_addr().expect("an address").port(), 9],
        });
        match call_with(self.children.address(), &format!("{backend}__confinement"), &asked).await {
            Outcome::Text(account) => serde_json::from_str(&account).expect("an account"),
            outcome => unreachable!("{backend}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn a_strict_child_reaches_nothing_that_is_not_named() {
    let account = Rig::start().account("strict").await;
    assert_eq!(account["read"], json!(["ok", "denied", "ok", "denied"]));
    assert_eq!(account["write"], json!(["ok", "denied", "denied", "ok"]));
    // Nobody listens on port 9, but that is found out.
    assert_eq!(account["connect"], json!(["denied", "failed"]));
    assert_eq!(account["bind"], "denied");
    assert_eq!((&account["signal"], &account["no_new_privs"]), (&json!("denied"), &json!("1")));
    assert_eq!(account["limits"]["file_size"], (1_u64 << 30).to_string());
    assert_eq!(account["system_calls"], refused());
}

/// What a child behind the filter of system calls says of them.
fn refused() -> Value {
    json!({
        "crypto_socket": "refused",
        "raw_socket": "refused",
        "addresses_of_the_machine": "ok",
        "change_of_root": "refused",
        "thread": "ok",
        "process": true,
    })
}

#[tokio::test]
async fn by_default_a_child_is_bounded_and_reaches_its_files() {
    let rig = Rig::start();
    let account = rig.account("usual").await;
    assert_eq!(account["read"].as_array().map(|read| &read[..3]), Some(&[json!("ok"), json!("ok"), json!("ok")][..]));
    assert_eq!(account["write"], json!(["ok", "ok", "ok", "ok"]));
    assert_eq!((&account["connect"], &account["bind"]), (&json!(["ok", "failed"]), &json!("ok")));
    assert_eq!((&account["signal"], &account["no_new_privs"]), (&json!("denied"), &json!("1")));
    let limits = json!({ "core": "0", "data": (4_u64 << 30).to_string(), "files": "1024", "file_size": "unlimited" });
    assert_eq!(account["limits"], limits);
    assert_ne!(account["system_calls"]["crypto_socket"], "refused");
    let account = rig.account("bounded").await;
    let limits =
        json!({ "core": "0", "data": (256 << 20).to_string(), "files": "64", "file_size": (1 << 20).to_string() });
    assert_eq!((&account["limits"], &account["system_calls"]), (&limits, &refused()));
    assert_eq!(account["cpu"], "600");
}

#[tokio::test]
async fn a_child_without_sandbox_may_do_what_the_gateway_may() {
    let account = Rig::start().account("free").await;
    assert_eq!((&account["signal"], &account["no_new_privs"]), (&json!("ok"), &json!("0")));
    assert_ne!(account["limits"]["data"], (4_u64 << 30).to_string());
}

#[tokio::test]
async fn what_is_required_and_missing_keeps_a_child_from_starting() {
    let rig = Rig::start();
    // Root may have as many processes as it likes.
    if rustix::process::geteuid().is_root() {
        let said = message(&rig.children, "counted__echo").await;
        assert!(said.ends_with("sandbox: this kernel has no bound for processes of root"), "{said}");
    } else {
        assert_eq!(rig.account("counted").await["signal"], "denied");
    }
}

#[tokio::test]
async fn a_child_runs_as_the_user_it_is_given_where_the_gateway_may() {
    use std::os::unix::fs::PermissionsExt as _;

    let rig = Rig::start();
    let program = std::env::current_exe().expect("a path");
    let for_all = |path: &std::path::Path| path.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 == 1);
    if !rustix::process::geteuid().is_root() {
        let said = message(&rig.children, "other__echo").await;
        assert!(said.ends_with("sandbox: only root may start a child as another user"), "{said}");
    } else if program.ancestors().all(for_all) {
        let ids = ["65534 65534 65534 65534", "65533 65533 65533 65533", ""];
        assert_eq!(rig.account("other").await["user"], json!(ids));
    } else {
        let said = message(&rig.children, "other__echo").await;
        assert!(said.contains("Permission denied"), "{said}");
    }
}

#[tokio::test]
async fn a_path_that_is_named_and_not_there_is_an_error() {
    let children = WithChildren::start_as::<Confined>("plain", |builder| {
        builder.reference("READ_DIRECTORY", "/nowhere/at/all").reference("WRITE_DIRECTORY", "/dev")
    });
    let said = message(&children, "strict__echo").await;
    assert!(said.ends_with("sandbox: path `/nowhere/at/all` does not exist"), "{said}");
}

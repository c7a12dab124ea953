//! A gateway inside another program: a topology compiled in, a socket that the program opened, an end it decides on.
//!
//! `cargo build && cargo run --example embed -- target/debug/only1mcp`: the argument is the program that `command: self`
//! starts, here the one with the demo servers in it. Without it, that is the program which embeds the gateway.

use std::net::TcpListener;

use only1mcp::Gateway;

only1mcp::topology!(Embedded = "topologies/default.yaml");

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut builder = Gateway::<Embedded>::builder().listener(listener);
    if let Some(program) = std::env::args_os().nth(1) {
        builder = builder.program(program);
    }
    let running = builder.start()?;
    announce(&running.url());
    tokio::signal::ctrl_c().await?;
    // Calls in flight finish, children end. It blocks for as long as that takes.
    tokio::task::spawn_blocking(|| running.stop()).await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "it has nothing else to say")]
fn announce(url: &str) {
    println!("listening  {url}");
}

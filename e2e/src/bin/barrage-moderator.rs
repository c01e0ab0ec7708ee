//! `barrage-moderator`: an example of an outside moderator. Point a room at it with `spec.moderation.verdict.url`, and put
//! what judges in the place of [`Words`].

use std::net::SocketAddr;

use anyhow::{Context, Result};
use barrage_e2e::moderator::{Moderator, Words};
use clap::Parser;
use tokio::{net::TcpListener, signal};

/// Answers gateways that ask about danmaku: hides those with some words, and writes asterisks over others.
#[derive(Parser)]
struct Args {
    /// Where it listens; gateways post to http://ADDRESS/verdict.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Hides danmaku with this word; may be given several times.
    #[arg(long)]
    hide: Vec<String>,
    /// Writes asterisks over this word; may be given several times.
    #[arg(long)]
    mask: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Args { listen, hide, mask } = Args::parse();
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose another address with --listen"))?;
    println!("asks to http://{listen}/verdict are answered; Ctrl-C ends it");
    let moderator = Moderator::new(Words { hidden: hide, masked: mask });
    let end = async { drop(signal::ctrl_c().await) };
    axum::serve(listener, moderator.router()).with_graceful_shutdown(end).await.context("serving")
}

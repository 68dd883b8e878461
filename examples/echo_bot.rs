//! A bot that says back what it is told, voice notes too.
//!
//! ```sh
//! tellal --home /tmp/echo --server localhost register echo
//! cargo run --example echo_bot -- /tmp/echo
//! ```

use std::collections::HashSet;

use anyhow::Context as _;
use tellal::client::{Body, Client, Event, Message, MessageRef, Options, Role, VoiceNote};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let home = std::env::args().nth(1).context("usage: echo_bot PROFILE")?;
    let client = Client::open(Options { role: Role::Listen, ..Options::new(home) }).await?;
    let mut events = client.events();
    println!("I am {}", client.status().await?.nickname);

    // What came while the bot was not running; what comes from now on follows as events.
    let mut answered = 0;
    // Notes that are still being spoken.
    let mut spoken = HashSet::new();
    for message in client.unshown().await? {
        answered = message.number;
        answer(&client, &mut spoken, message).await?;
    }
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            event = events.next() => match event {
                Some(Event::Message(message)) if message.number > answered => {
                    answer(&client, &mut spoken, message).await?;
                }
                Some(Event::LiveEnded(message)) if spoken.remove(&message.number) => {
                    answer(&client, &mut spoken, message).await?;
                }
                Some(Event::Disconnected { reason, .. }) => eprintln!("{reason}"),
                Some(_) => {}
                None => break,
            },
        }
    }
    client.close().await;
    Ok(())
}

async fn answer(client: &Client, spoken: &mut HashSet<u64>, message: Message) -> anyhow::Result<()> {
    let me = client.status().await?.nickname;
    match &message.body {
        // To answer oneself would never end.
        _ if message.from == me => {}
        Body::Text { text } => drop(client.send_text(&message.conversation(), text).await?),
        Body::Voice { live: true, .. } => {
            // It is answered once all of it is there. Until then it is new, also if the bot ends before.
            spoken.insert(message.number);
            return Ok(());
        }
        Body::Voice { duration_ms, sample_rate, peaks, .. } => {
            let (_, wav) = client.audio(MessageRef::Number(message.number)).await?;
            let note =
                VoiceNote { wav, duration_ms: *duration_ms, sample_rate: *sample_rate, peaks: peaks.clone() };
            client.send_voice(&message.conversation(), note).await?;
        }
        Body::Notice { text } => eprintln!("{text:?}"),
        Body::Invitation { room } => eprintln!("invited to #{room}"),
    }
    client.mark_shown(&[message.number]).await?;
    Ok(())
}

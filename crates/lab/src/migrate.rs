//! `coax lab migrate`: live migration of a VM. The target host is prepared before the VM arrives, so
//! that its first frame there finds all rows in place; the device changes hosts in one step.

use std::time::{Duration, Instant};

use coax_api::{Client, PortState};
use serde::Serialize;

use crate::error::Error;
use crate::site::Site;
use crate::vm;

/// How often the API is asked whether a step is done.
const POLL: Duration = Duration::from_millis(2);

/// How long each step of a migration took.
#[derive(Debug, Clone, Serialize)]
pub struct Migration {
    /// The port.
    pub port: String,
    /// Where the VM was.
    pub from: String,
    /// Where it is.
    pub to: String,
    /// Until the target host had everything, in milliseconds.
    pub prepare_ms: f64,
    /// Taking the device from one host to the other: the only time the VM is plugged in nowhere.
    pub switch_ms: f64,
    /// From then until the controller knew the port at its new host.
    pub settle_ms: f64,
}

/// Moves a VM to another host.
pub async fn migrate(
    site: &Site,
    client: &Client,
    port: &str,
    to: &str,
    limit: Duration,
) -> Result<Migration, Error> {
    let (target, _) = site.host(to)?;
    let (project, name) = port.split_once('/').unwrap_or(("", port));
    let before = client.port(project, name).await?;
    let start = Instant::now();
    let moving = client.move_port(project, name, to).await?;
    prepared(client, &moving, to, limit).await?;
    let prepare = start.elapsed();

    let start = Instant::now();
    vm::unplug_and_plug(site, port, target).await?;
    let switch = start.elapsed();

    let start = Instant::now();
    let end = start + limit;
    loop {
        let now = client.port(project, name).await?;
        if now.state == PortState::Active && now.host.as_deref() == Some(to) {
            break;
        }
        if Instant::now() >= end {
            return Err(Error::TimedOut {
                what: format!("plugging {port} in on {to}"),
                limit,
                detail: format!("the port is {}", now.state.as_str()),
            });
        }
        tokio::time::sleep(POLL).await;
    }
    let settle = start.elapsed();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    Ok(Migration {
        port: port.to_owned(),
        from: before.host.unwrap_or_default(),
        to: to.to_owned(),
        prepare_ms: ms(prepare),
        switch_ms: ms(switch),
        settle_ms: ms(settle),
    })
}

/// Waits until the target host has in its maps what the move needs.
async fn prepared(
    client: &Client,
    moving: &coax_api::Port,
    to: &str,
    limit: Duration,
) -> Result<(), Error> {
    let revision = moving.status.desired_revision.max(moving.revision);
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let realisation = client.wait(revision, left).await?;
        // Another host that is away must not hold up the move.
        let waiting = realisation.missing.iter().find(|host| host.host == to);
        let Some(waiting) = waiting else {
            return Ok(());
        };
        if Instant::now() >= end {
            return Err(Error::TimedOut {
                what: format!("preparing {to} for {}", moving.id),
                limit,
                detail: waiting.reason.clone(),
            });
        }
    }
}

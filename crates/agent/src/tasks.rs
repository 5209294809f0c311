//! The tasks of a running agent. Every channel is bounded, its capacity is beside it.
//!
//! ```text
//!                        kernel                                    controller
//!                          | netlink                                   | gRPC
//!                     +---------+                                +-----------+
//!                     |  links  |                                |  stream   |  one per controller and attempt, ends with it
//!                     +---------+                                +-----------+
//!                          | DEVICES                    INCOMING |     ^ OUTGOING
//!                          v                                     v     |
//!                     +------------------------------------------------------+
//!     signals ------> |  core: Core::handle(input, now) -> commands          |
//!                     +------------------------------------------------------+
//!      PUNTS, FLOWS ^   | PLANE     ^ RESULTS     | ANSWERS             | newest only
//!                  |    v           |             v                     v
//!           +---------+ +-------------+     +-----------+          +---------+
//!           |  punts  | |    plane    |     |  answers  |          |  cache  |   (OS threads)
//!           +---------+ +-------------+     +-----------+          +---------+
//!                  ^      | bpf                   | packet socket       | fsync, rename
//!                  +--- kernel              devices of ports       state folder
//! ```
//!
//! Beside them, one task per question of a trace (`tracer`, at most [`QUESTIONS`] at once): it asks `plane` for a copy of the
//! rows and netlink for routes, sends and watches packets, and puts its answer into `RESULTS`.
//!
//! A task of `run` looks at the host every few seconds and tells `RESULTS` what blocks it, when that is different.
//!
//! And one OS thread, `canary`, that sends a frame out of every port once in [`PERIOD`]; while it is at it, the next round is
//! left out.
//!
//! The core waits for nobody: what does not fit into `OUTGOING` ends the stream (the agent attaches again and says what matters),
//! a report that does not fit into `PLANE` is not made (the controller stops waiting), the cache keeps the newest contents only.
//! It takes results and devices before words of the controller, because a device may be a VM that arrives, and what ports ask
//! (DHCP, DNS) last: a VM that asks without end gets the core's spare time, and nobody's else. Questions that do not fit into
//! `PUNTS` and answers that do not fit into `ANSWERS` are lost; who asked asks again. Behind everything else come records of flows
//! (read by a thread of their own, `flows`); those that do not fit into `FLOWS` are counted and thrown away.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::answers::AnswerThread;
use crate::cache_thread::CacheThread;
use crate::canary::{CanaryThread, PERIOD};
use crate::core::Core;
use crate::error::Error;
use crate::input::{Command, Input};
use crate::membership::Membership;
use crate::plane::{PlaneRequest, PlaneThread};
use crate::stream::{Outgoing, StreamTasks};
use crate::tracer::Tracer;

/// Device events that wait for the core.
pub(crate) const DEVICES: usize = 1024;
/// Words of the controller that wait for the core.
pub(crate) const INCOMING: usize = 256;
/// Words for the controller that wait for the network.
pub(crate) const OUTGOING: usize = 256;
/// Batches and reports that wait for the data plane; there is never more than one batch.
pub(crate) const PLANE: usize = 16;
/// Questions of traces that are worked on at the same time.
pub(crate) const QUESTIONS: usize = 8;
/// Answers of the data plane that wait for the core; as many as there can be questions.
pub(crate) const RESULTS: usize = PLANE + 1;
/// Questions of ports that wait for the core.
pub(crate) const PUNTS: usize = 256;
/// Batches of flow records that wait for the core.
pub(crate) const FLOWS: usize = 8;
/// Answers to ports that wait to be sent.
pub(crate) const ANSWERS: usize = 256;

/// The ends of all channels that lead to the core and away from it.
pub(crate) struct Channels {
    /// From `links`.
    pub(crate) devices: mpsc::Receiver<Result<Input, coax_netlink::Error>>,
    /// From `plane`.
    pub(crate) results: mpsc::Receiver<Input>,
    /// To `plane`.
    pub(crate) plane: PlaneThread,
    /// From `punts`.
    pub(crate) punts: mpsc::Receiver<Input>,
    /// From `flows`.
    pub(crate) flows: mpsc::Receiver<Input>,
    /// To `answers`.
    pub(crate) answers: AnswerThread,
    /// To `cache`.
    pub(crate) cache: CacheThread,
    /// To `canary`.
    pub(crate) canary: CanaryThread,
    /// To `tracer`.
    pub(crate) tracer: Tracer,
}

/// Runs the core until `stop` ends. What is in the kernel stays as it is.
pub(crate) async fn run_core(
    mut core: Core,
    mut channels: Channels,
    membership: Arc<Membership>,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let started = Instant::now();
    let (incoming_sender, mut incoming) = mpsc::channel(INCOMING);
    let mut streams = StreamTasks::new(membership, incoming_sender);
    let mut stop = std::pin::pin!(stop);
    let mut canary = tokio::time::interval(PERIOD);
    canary.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let deadline = core.deadline().map(|moment| started + moment);
        let input = tokio::select! {
            biased;
            () = &mut stop => break,
            _ = canary.tick() => {
                channels.canary.send(core.canaries());
                continue;
            }
            Some(input) = channels.results.recv() => input,
            device = channels.devices.recv() => match device {
                Some(Ok(input)) => input,
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Error::TaskEnded { task: "links" }),
            },
            Some(input) = incoming.recv() => input,
            () = sleep_until(deadline) => Input::Tick,
            Some(input) = channels.punts.recv() => input,
            Some(input) = channels.flows.recv() => input,
        };
        for command in core.handle(input, started.elapsed()) {
            carry_out(command, &mut streams, &channels)?;
        }
    }
    channels.cache.save(core.cache_contents());
    // Dropping the channels waits for the disk, which must not hold up other tasks.
    let _ = tokio::task::spawn_blocking(move || drop(channels)).await;
    Ok(())
}

fn carry_out(
    command: Command,
    streams: &mut StreamTasks,
    channels: &Channels,
) -> Result<(), Error> {
    match command {
        Command::Connect {
            stream,
            address,
            standby,
        } => streams.open(stream, address, standby),
        Command::Disconnect { stream } => streams.close(stream),
        Command::Send {
            stream,
            sequence,
            body,
        } => {
            streams.send(stream, Outgoing { sequence, body });
        }
        Command::Apply(batch) => channels.plane.apply(batch)?,
        Command::Report(request) => channels.plane.report(PlaneRequest::Report(request))?,
        Command::HandOver(moving) => channels.plane.report(PlaneRequest::HandOver(moving))?,
        Command::TakeOver {
            port,
            connections,
            domain,
        } => {
            let request = PlaneRequest::TakeOver(port, connections, domain);
            channels.plane.report(request)?;
        }
        Command::LookAtGuards { slots } => channels.plane.look_at_guards(slots)?,
        Command::SendToPort { ifindex, frame } => channels.answers.send(ifindex, frame),
        Command::Save(contents) => channels.cache.save(contents),
        Command::Answer(inquiry) => channels.tracer.answer(inquiry),
    }
    Ok(())
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

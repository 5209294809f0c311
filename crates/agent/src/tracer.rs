//! Answers the controller's questions about packets: one task each, at most `QUESTIONS` at once. What would become of a
//! frame is worked out in [`crate::trace`]; here is what that takes of the kernel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coax_api::question::{Entering, HostAnswer, HostQuestion, HostRun};
use coax_netlink::{Netlink, OperState, UdpFlow};
use coax_pipeline::Path;
use coax_sim::tables::Way;
use coax_sim::trace::PathQuestion;
use coax_wire::MacAddress;
use nix::time::{ClockId, clock_gettime};
use tokio::sync::{Mutex, Semaphore, mpsc};

use crate::capture::Captures;
use crate::connections;
use crate::doctor::{self, Subject};
use crate::input::{Input, Inquiry};
use crate::plane::Copies;
use crate::tasks::QUESTIONS;
use crate::trace::{self, HostView, KnownWay, Link, Run};
use crate::{inject, probe};

/// Nobody is made to watch for longer.
const LONGEST_WATCH: Duration = Duration::from_secs(2);

/// A reader of a capture is answered after this time, though nothing passed.
const LONGEST_POLL: Duration = Duration::from_millis(800);

/// Rounds of lookups for one question: a frame's copies ask for all their ways in one, each firewall on its way for two
/// buckets of connections.
const ROUNDS: usize = 16;

/// From this round on a firewall sweeps through its table for connections whose time is over, and gets a whole stretch.
const SWEEPS: usize = 8;
const STRETCH: u32 = 1024;

/// What answers.
#[derive(Clone)]
pub(crate) struct Tracer {
    copies: Copies,
    netlink: Netlink,
    results: mpsc::Sender<Input>,
    subject: Subject,
    permits: Arc<Semaphore>,
    /// There is one device for it.
    injection: Arc<Mutex<()>>,
    captures: Captures,
}

impl Tracer {
    /// Takes copies of the rows from `copies` and tells answers to `results`.
    pub(crate) fn new(
        copies: Copies,
        netlink: Netlink,
        results: mpsc::Sender<Input>,
        subject: Subject,
    ) -> Self {
        Self {
            copies,
            netlink,
            results,
            subject,
            permits: Arc::new(Semaphore::new(QUESTIONS)),
            injection: Arc::default(),
            captures: Captures::default(),
        }
    }

    /// Starts to answer.
    pub(crate) fn answer(&self, inquiry: Inquiry) {
        let tracer = self.clone();
        tokio::spawn(async move {
            let question_id = inquiry.question_id;
            let answer = match tracer.permits.clone().try_acquire_owned() {
                Ok(_permit) => tracer.find_out(inquiry).await,
                Err(_) => Err("the agent answers too many questions at once".to_owned()),
            };
            let answer = answer.unwrap_or_else(|reason| HostAnswer::Failed { reason });
            // A value of plain strings and numbers always has a JSON form.
            let json = serde_json::to_vec(&answer).unwrap_or_default();
            // The core is gone if nobody takes this.
            let _ = tracer
                .results
                .send(Input::Answered { question_id, json })
                .await;
        });
    }

    async fn find_out(&self, inquiry: Inquiry) -> Result<HostAnswer, String> {
        match inquiry.question.clone() {
            HostQuestion::Run { frames } => self.run(inquiry, &frames).await,
            HostQuestion::Watch { .. }
            | HostQuestion::Send { .. }
            | HostQuestion::Resolve { .. }
            | HostQuestion::Examine { .. }
            | HostQuestion::Probe { .. } => self.in_the_fabric(inquiry).await,
            HostQuestion::Count { ports } => {
                let view = self.view(inquiry).await?;
                let sides = view.count(&ports);
                Ok(HostAnswer::Counted { sides })
            }
            HostQuestion::Capture { reader, ref port } => {
                let port = port.clone();
                self.capture(inquiry, reader, &port).await
            }
            HostQuestion::Connections { filter, most } => {
                let listed = self.copies.connections().await?;
                Ok(connections::tell(&inquiry.names, &filter, listed, most))
            }
            HostQuestion::Standing(wanted) => {
                let listed = self.copies.connections().await?;
                let rows = self.copies.copy().await?.rows;
                Ok(connections::between(&inquiry.names, &rows, &wanted, listed))
            }
            HostQuestion::EndConnections { filter } => {
                let wanted = connections::wanted(&inquiry.names, filter);
                let count = self.copies.end_connections(wanted).await?;
                Ok(HostAnswer::Ended {
                    count: count as u64,
                })
            }
            HostQuestion::Flows { .. } => Err("the core knows the flows".to_owned()),
            HostQuestion::Inject { port, frame, times } => {
                let ifindex = inquiry.names.device_of(&port);
                let ifindex = ifindex.ok_or_else(|| format!("{port} has no device here"))?;
                let _alone = self.injection.lock().await;
                inject::inject(&self.netlink, &self.copies, ifindex, &frame, times).await?;
                Ok(HostAnswer::Sent)
            }
        }
    }

    /// What is sent and seen beside the vSwitch.
    async fn in_the_fabric(&self, inquiry: Inquiry) -> Result<HostAnswer, String> {
        match inquiry.question {
            HostQuestion::Watch {
                markers,
                milliseconds,
            } => {
                let uplinks = inquiry.names.uplinks.into_iter().map(|(_, name)| name);
                let time = Duration::from_millis(milliseconds).min(LONGEST_WATCH);
                let seen = probe::watch(uplinks.collect(), &markers, time).await;
                seen.map(|seen| HostAnswer::Watched { seen })
                    .map_err(|error| format!("its uplinks cannot be watched: {error}"))
            }
            HostQuestion::Send {
                device,
                packets,
                milliseconds,
            } => {
                let delay = Duration::from_millis(milliseconds).min(LONGEST_WATCH);
                if !inquiry
                    .names
                    .uplinks
                    .iter()
                    .any(|(_, name)| *name == device)
                {
                    return Err(format!("`{device}` is no uplink"));
                }
                let sent = probe::send(&device, &packets, delay).await;
                sent.map(|()| HostAnswer::Sent)
                    .map_err(|error| format!("it cannot send by {device}: {error}"))
            }
            HostQuestion::Resolve { from, to } => {
                let asked = probe::resolve(from, to).await;
                asked
                    .map(|()| HostAnswer::Sent)
                    .map_err(|error| format!("it cannot send to {to}: {error}"))
            }
            HostQuestion::Examine { ways, needed } => {
                let subject = Subject {
                    ways,
                    needed,
                    ..self.subject.clone()
                };
                let examined = doctor::examine(&self.netlink, &subject).await;
                let examined = examined.map_err(|error| error.to_string())?;
                Ok(HostAnswer::Examined(Box::new(examined)))
            }
            HostQuestion::Probe {
                probes,
                milliseconds,
            } => {
                let delay = Duration::from_millis(milliseconds).min(LONGEST_WATCH);
                doctor::send(&self.netlink, &probes, delay).await?;
                Ok(HostAnswer::Sent)
            }
            _ => Err("this is no question of the fabric".to_owned()),
        }
    }

    async fn run(&self, inquiry: Inquiry, frames: &[Entering]) -> Result<HostAnswer, String> {
        let mut view = self.view(inquiry).await?;
        let run = self.play(&mut view, frames).await?;
        Ok(HostAnswer::Ran(Box::new(run)))
    }

    /// Plays frames, and looks up the routes that this takes.
    async fn play(&self, view: &mut HostView, frames: &[Entering]) -> Result<HostRun, String> {
        for round in 0..ROUNDS {
            match trace::run(view, frames) {
                Run::Done(run) => return Ok(*run),
                Run::Ask(unanswered) => {
                    for question in unanswered.ways {
                        let way = self.way(&question, &view.links).await?;
                        view.ways.insert(question, way);
                    }
                    let mut buckets = unanswered.buckets;
                    if let (SWEEPS.., Some(first)) = (round, buckets.first().copied()) {
                        let number = view.connections.number.max(1);
                        buckets.extend((0..STRETCH).map(|it| first.wrapping_add(it) % number));
                        buckets.retain(|index| !view.connections.buckets.contains_key(index));
                    }
                    if !buckets.is_empty() {
                        let copy = self.copies.connection_buckets(buckets).await?;
                        view.connections.buckets.extend(copy.buckets);
                    }
                }
            }
        }
        Err("the packet asks for one thing after the other".to_owned())
    }

    /// What passed by a port's device, each frame with what the vSwitch does with it.
    async fn capture(
        &self,
        inquiry: Inquiry,
        reader: u64,
        port: &str,
    ) -> Result<HostAnswer, String> {
        let device = inquiry.names.device_of(port);
        let device = device.and_then(|ifindex| inquiry.names.device_name(ifindex));
        let device = device.ok_or_else(|| format!("{port} has no device here"))?;
        let (mut frames, lost) = self.captures.read(reader, &device, LONGEST_POLL).await?;
        if frames.is_empty() {
            return Ok(HostAnswer::Captured { frames, lost });
        }
        let mut view = self.view(inquiry).await?;
        for frame in &mut frames {
            frame.comment = if frame.to_vm {
                format!("handed to {port}")
            } else {
                let entering = Entering {
                    port: Some(port.to_owned()),
                    frame: frame.bytes.clone(),
                };
                let run = self.play(&mut view, &[entering]).await?;
                run.outcome()
            };
        }
        Ok(HostAnswer::Captured { frames, lost })
    }

    /// What is known of the host at this moment.
    async fn view(&self, inquiry: Inquiry) -> Result<HostView, String> {
        let copy = self.copies.copy().await?;
        let links = self.netlink.links().await.map_err(|it| it.to_string())?;
        let links = links.into_iter().map(|link| {
            let down = [OperState::Down, OperState::LowerLayerDown].contains(&link.state);
            let known = Link {
                name: link.name,
                up: link.up && !down,
                mtu: link.mtu,
                mac: MacAddress(link.mac.unwrap_or_default()),
            };
            (link.index, known)
        });
        Ok(HostView {
            rows: copy.rows,
            attached: copy.attached,
            links: links.collect(),
            ways: BTreeMap::new(),
            connections: copy.connections,
            names: inquiry.names,
            revision: inquiry.revision,
            problems: inquiry.problems,
            counters: copy.counters,
            now: now(),
        })
    }

    /// The way that the kernel takes, as its own lookup for the vSwitch would tell.
    async fn way(
        &self,
        question: &PathQuestion,
        links: &BTreeMap<u32, Link>,
    ) -> Result<Option<KnownWay>, String> {
        let flow = UdpFlow {
            source: question.source,
            destination: question.destination,
            source_port: question.source_port,
            destination_port: question.destination_port,
        };
        let path = self.netlink.path_of(&flow).await;
        let Some(path) = path.map_err(|it| it.to_string())? else {
            return Ok(None);
        };
        let neighbours = self.netlink.neighbours().await;
        let neighbours = neighbours.map_err(|it| it.to_string())?;
        let destination = path.next_hop_mac(&neighbours);
        let link = links.get(&path.link);
        let carries = link.map_or(0, |link| link.mtu);
        Ok(Some(KnownWay {
            way: Way {
                path: Path {
                    ifindex: path.link,
                    destination: MacAddress(destination.unwrap_or_default()),
                    source: link.map_or_else(MacAddress::default, |link| link.mac),
                },
                resolved: destination.is_some(),
                mtu: path.mtu.map_or(carries, |mtu| mtu.min(carries)),
            },
            next_hop: path.next_hop,
        }))
    }
}

/// The coarse monotonic clock, as the kernel's program reads it.
fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE);
    time.map_or(0, |time| Duration::from(time).as_nanos() as u64)
}

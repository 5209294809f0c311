//! The thread that owns the data plane. Map updates and counter reads are system calls that would hold up an async worker.

use std::collections::{BTreeMap, BTreeSet};

use coax_api::{DropCount, HostReport, PortReport, ReportedProblem, RuleHits, TableUsage};
use coax_tables::{DomainId, FABRIC_SLOT};
use coax_vswitch::{
    Attachment, Connection, ConnectionCopy, DataPlane, DataPlaneError, Rows, SlotCounters,
};
use nix::time::ClockId;
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;
use crate::guard_reader::GuardReader;
use crate::handover::Moving;
use crate::input::{Batch, Input, ReportRequest};
use crate::measure::Measuring;
use crate::tasks::PLANE;

/// What the thread is asked to do.
pub(crate) enum PlaneRequest {
    /// Carry out a batch.
    Apply(Batch),
    /// Read the counters.
    Report(ReportRequest),
    /// Copy everything that is in the kernel.
    Copy(oneshot::Sender<Result<PlaneCopy, DataPlaneError>>),
    /// Let frames enter the vSwitch that are sent by this device.
    PrepareInjection(String, oneshot::Sender<Result<(), DataPlaneError>>),
    /// List the firewall's connections.
    Connections(oneshot::Sender<Result<Vec<Connection>, DataPlaneError>>),
    /// Copy parts of their table.
    ConnectionBuckets(
        BTreeSet<u32>,
        oneshot::Sender<Result<ConnectionCopy, DataPlaneError>>,
    ),
    /// End those that are meant.
    EndConnections(
        Box<dyn Fn(&Connection) -> bool + Send>,
        oneshot::Sender<Result<usize, DataPlaneError>>,
    ),
    /// Collect the connections of a port that has moved away.
    HandOver(Moving),
    /// Take over those of a port that has moved here, judged by the policy of the domain.
    TakeOver(String, Vec<Connection>, DomainId),
    /// See what guards have done to the ports with these slots.
    Guards(Vec<u32>),
}

/// Everything that is in the kernel at one moment.
#[derive(Debug)]
pub(crate) struct PlaneCopy {
    /// All rows.
    pub(crate) rows: Rows,
    /// Devices that have a program.
    pub(crate) attached: Vec<(u32, Attachment)>,
    /// Counters by slot, of the fabric side and of all ports.
    pub(crate) counters: BTreeMap<u32, SlotCounters>,
    /// How large the table of connections is; none of its buckets.
    pub(crate) connections: ConnectionCopy,
}

/// The way to the thread.
pub(crate) struct PlaneThread {
    requests: mpsc::Sender<PlaneRequest>,
}

impl PlaneThread {
    /// Starts the thread. It ends when this value is dropped, and leaves everything in the kernel as it is.
    pub(crate) fn start(
        host: String,
        mut plane: Box<dyn DataPlane>,
        results: mpsc::Sender<Input>,
    ) -> Result<Self, Error> {
        let (requests, mut receiver) = mpsc::channel(PLANE);
        let mut measuring = Measuring::default();
        let mut guards = GuardReader::default();
        let work = move || {
            while let Some(request) = receiver.blocking_recv() {
                let answer = match request {
                    PlaneRequest::Apply(batch) => {
                        let failures = measuring.execute(plane.as_mut(), &batch);
                        Input::Applied {
                            batch: batch.number,
                            failures,
                        }
                    }
                    PlaneRequest::Report(request) => {
                        report(&host, plane.as_ref(), &mut measuring, &request)
                    }
                    PlaneRequest::Copy(reply) => {
                        // Who asked may have given up.
                        let _ = reply.send(copy(plane.as_ref()));
                        continue;
                    }
                    PlaneRequest::PrepareInjection(device, reply) => {
                        let _ = reply.send(plane.prepare_injection(&device));
                        continue;
                    }
                    PlaneRequest::Connections(reply) => {
                        let _ = reply.send(plane.connections());
                        continue;
                    }
                    PlaneRequest::ConnectionBuckets(wanted, reply) => {
                        let _ = reply.send(plane.connection_buckets(&wanted));
                        continue;
                    }
                    PlaneRequest::EndConnections(wanted, reply) => {
                        let _ = reply.send(plane.end_connections(wanted.as_ref()));
                        continue;
                    }
                    PlaneRequest::HandOver(moving) => {
                        Input::HandedOver(moving.collect(plane.as_ref()))
                    }
                    PlaneRequest::TakeOver(port, connections, domain) => {
                        take_over(plane.as_mut(), &port, &connections, domain);
                        continue;
                    }
                    PlaneRequest::Guards(slots) => {
                        Input::GuardsSeen(guards.read(plane.as_ref(), &slots))
                    }
                };
                if results.blocking_send(answer).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("plane".into())
            .spawn(work)
            .map_err(|source| Error::System {
                what: "start the data plane's thread",
                source,
            })?;
        Ok(Self { requests })
    }

    /// Hands a batch over. There is always room for one.
    pub(crate) fn apply(&self, batch: Batch) -> Result<(), Error> {
        let sent = self.requests.try_send(PlaneRequest::Apply(batch));
        sent.map_err(|_| Error::TaskEnded { task: "plane" })
    }

    /// Asks what guards have done. The core asks again only after the answer.
    pub(crate) fn look_at_guards(&self, slots: Vec<u32>) -> Result<(), Error> {
        let sent = self.requests.try_send(PlaneRequest::Guards(slots));
        sent.map_err(|_| Error::TaskEnded { task: "plane" })
    }

    /// Asks for a report, unless too many are being made already.
    pub(crate) fn report(&self, request: PlaneRequest) -> Result<(), Error> {
        // One place is for a batch, one for the guards.
        if self.requests.capacity() <= 2 {
            tracing::warn!("too many reports are asked for at once; one is left out");
            return Ok(());
        }
        self.requests
            .try_send(request)
            .map_err(|_| Error::TaskEnded { task: "plane" })
    }
}

impl PlaneThread {
    /// The way to ask for copies, for others than the core.
    pub(crate) fn copies(&self) -> Copies {
        Copies {
            requests: self.requests.downgrade(),
        }
    }
}

/// Asks for copies of what is in the kernel. Does not keep the thread alive.
#[derive(Clone)]
pub(crate) struct Copies {
    requests: mpsc::WeakSender<PlaneRequest>,
}

impl Copies {
    /// A copy, or why there is none.
    pub(crate) async fn copy(&self) -> Result<PlaneCopy, String> {
        self.ask(PlaneRequest::Copy).await
    }

    /// Lets frames enter the vSwitch that are sent by this device, see [`DataPlane::prepare_injection`].
    pub(crate) async fn prepare_injection(&self, device: &str) -> Result<(), String> {
        let request = |reply| PlaneRequest::PrepareInjection(device.to_owned(), reply);
        self.ask(request).await
    }

    /// The connections that the firewall follows.
    pub(crate) async fn connections(&self) -> Result<Vec<Connection>, String> {
        self.ask(PlaneRequest::Connections).await
    }

    /// These parts of their table.
    pub(crate) async fn connection_buckets(
        &self,
        wanted: BTreeSet<u32>,
    ) -> Result<ConnectionCopy, String> {
        self.ask(|reply| PlaneRequest::ConnectionBuckets(wanted, reply))
            .await
    }

    /// Ends connections; says how many.
    pub(crate) async fn end_connections(
        &self,
        wanted: impl Fn(&Connection) -> bool + Send + 'static,
    ) -> Result<usize, String> {
        let wanted = Box::new(wanted);
        self.ask(|reply| PlaneRequest::EndConnections(wanted, reply))
            .await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, DataPlaneError>>) -> PlaneRequest,
    ) -> Result<T, String> {
        let busy = || "the agent is busy".to_owned();
        let (reply, answer) = oneshot::channel();
        let requests = self.requests.upgrade().ok_or_else(busy)?;
        if requests.capacity() <= 1 {
            return Err(busy());
        }
        let sent = requests.try_send(request(reply));
        sent.map_err(|_| busy())?;
        let answer = answer.await.map_err(|_| busy())?;
        answer.map_err(|error| error.to_string())
    }
}

fn copy(plane: &dyn DataPlane) -> Result<PlaneCopy, DataPlaneError> {
    let rows = plane.rows()?;
    let slots = rows.ports.values().map(|row| row.slot).chain([FABRIC_SLOT]);
    let counters = slots.map(|slot| Ok((slot, plane.counters(slot)?)));
    Ok(PlaneCopy {
        counters: counters.collect::<Result<_, DataPlaneError>>()?,
        attached: plane.attached()?,
        connections: plane.connection_buckets(&BTreeSet::new())?,
        rows,
    })
}

fn report(
    host: &str,
    plane: &dyn DataPlane,
    measuring: &mut Measuring,
    request: &ReportRequest,
) -> Input {
    let report = match host_report(host, plane, measuring, request) {
        Ok(report) => report,
        Err(error) => HostReport {
            host: host.to_owned(),
            revision: request.revision,
            problems: vec![ReportedProblem {
                object: "counters".into(),
                reason: error.to_string(),
                code: ReportedProblem::HOST_PROBLEM.into(),
            }],
            ..HostReport::default()
        },
    };
    // A value of plain strings and numbers always has a JSON form.
    let json = serde_json::to_vec(&report).unwrap_or_default();
    Input::Reported {
        request_id: request.request_id,
        json,
    }
}

fn take_over(plane: &mut dyn DataPlane, port: &str, connections: &[Connection], domain: DomainId) {
    let of = connections.len();
    match plane.adopt_connections(connections, domain) {
        Ok(taken) => tracing::info!(port, taken, of, "connections came along"),
        Err(error) => tracing::warn!(port, %error, "no connections came along"),
    }
}

/// What a clock shows. One that cannot be read shows zero: then nothing counts as shut for long.
pub(crate) fn seconds(clock: ClockId) -> u64 {
    let time = clock.now().map_or(0, |time| time.tv_sec());
    u64::try_from(time).unwrap_or(0)
}

fn host_report(
    host: &str,
    plane: &dyn DataPlane,
    measuring: &mut Measuring,
    request: &ReportRequest,
) -> Result<HostReport, DataPlaneError> {
    // A trunk counts in one slot for each of its networks.
    let mut ports: BTreeMap<&str, PortReport> = BTreeMap::new();
    let slots = request.slots.iter();
    let counters = slots.map(|counted| plane.counters(counted.slot));
    let counters: Vec<SlotCounters> = counters.collect::<Result<_, _>>()?;
    for (counted, counters) in request.slots.iter().zip(&counters) {
        let port = &counted.port;
        let report = port_report(port, counters);
        match ports.get_mut(port.as_str()) {
            Some(sum) => *sum += report,
            None => drop(ports.insert(port, report)),
        }
    }
    let tables = plane.usage()?.into_iter().map(|usage| TableUsage {
        name: usage.table.name().to_owned(),
        entries: usage.entries.into(),
        capacity: usage.capacity.into(),
    });
    let problems = request.problems.iter().cloned();
    let problems = problems.map(ReportedProblem::said);
    Ok(HostReport {
        host: host.to_owned(),
        ports: ports.into_values().collect(),
        underlay: port_report("fabric", &plane.counters(FABRIC_SLOT)?),
        tables: tables.collect(),
        revision: request.revision,
        problems: problems.collect(),
        requests: request.requests.clone(),
        rules: rule_hits(plane, request)?,
        measures: measuring.complete(plane, request, &counters)?,
    })
}

fn rule_hits(
    plane: &dyn DataPlane,
    request: &ReportRequest,
) -> Result<Vec<RuleHits>, DataPlaneError> {
    let counters = plane.rule_counters()?;
    let now = seconds(ClockId::CLOCK_MONOTONIC);
    let rules = request.rules.iter().filter_map(|(project, rule, number)| {
        let counters = counters.get(number)?;
        Some(RuleHits {
            project: project.clone(),
            rule: rule.clone(),
            hits: counters.hits,
            idle_seconds: now.saturating_sub(counters.last_hit / 1_000_000_000),
        })
    });
    Ok(rules.collect())
}

fn port_report(port: &str, slot: &SlotCounters) -> PortReport {
    let counters = &slot.counters;
    let drops = slot.drops.iter().map(|(reason, count)| DropCount {
        reason: reason.name().to_owned(),
        count: *count,
    });
    PortReport {
        port: port.to_owned(),
        rx_frames: counters.received_frames,
        rx_bytes: counters.received_bytes,
        tx_frames: counters.sent_frames,
        tx_bytes: counters.sent_bytes,
        answered: counters.answered,
        flooded: counters.flooded,
        copies: counters.copies,
        punted: counters.punted,
        drops: drops.collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

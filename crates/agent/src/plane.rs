//! The thread that owns the data plane. Map updates and counter reads are system calls that would hold up an async worker.

use coax_api::{DropCount, HostReport, PortReport, ReportedProblem, TableUsage};
use coax_tables::FABRIC_SLOT;
use coax_vswitch::{DataPlane, DataPlaneError, SlotCounters};
use tokio::sync::mpsc;

use crate::error::Error;
use crate::execute::execute;
use crate::input::{Batch, Input, ReportRequest};
use crate::tasks::PLANE;

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum PlaneRequest {
    /// Carry out a batch.
    Apply(Batch),
    /// Read the counters.
    Report(ReportRequest),
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
        let work = move || {
            while let Some(request) = receiver.blocking_recv() {
                let answer = match request {
                    PlaneRequest::Apply(batch) => {
                        let failures = execute(plane.as_mut(), &batch);
                        Input::Applied {
                            batch: batch.number,
                            failures,
                        }
                    }
                    PlaneRequest::Report(request) => report(&host, plane.as_ref(), &request),
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

    /// Asks for a report, unless too many are being made already.
    pub(crate) fn report(&self, request: PlaneRequest) -> Result<(), Error> {
        if self.requests.capacity() <= 1 {
            tracing::warn!("too many reports are asked for at once; one is left out");
            return Ok(());
        }
        self.requests
            .try_send(request)
            .map_err(|_| Error::TaskEnded { task: "plane" })
    }
}

fn report(host: &str, plane: &dyn DataPlane, request: &ReportRequest) -> Input {
    let report = match host_report(host, plane, request) {
        Ok(report) => report,
        Err(error) => HostReport {
            host: host.to_owned(),
            revision: request.revision,
            problems: vec![ReportedProblem {
                object: "counters".into(),
                reason: error.to_string(),
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

fn host_report(
    host: &str,
    plane: &dyn DataPlane,
    request: &ReportRequest,
) -> Result<HostReport, DataPlaneError> {
    let mut ports = Vec::new();
    for (slot, port) in &request.slots {
        ports.push(port_report(port, &plane.counters(*slot)?));
    }
    let tables = plane.usage()?.into_iter().map(|usage| TableUsage {
        name: usage.table.name().to_owned(),
        entries: usage.entries.into(),
        capacity: usage.capacity.into(),
    });
    let problems = request.problems.iter().map(|problem| ReportedProblem {
        object: problem.object.clone(),
        reason: problem.reason.clone(),
    });
    Ok(HostReport {
        host: host.to_owned(),
        ports,
        underlay: port_report("fabric", &plane.counters(FABRIC_SLOT)?),
        tables: tables.collect(),
        revision: request.revision,
        problems: problems.collect(),
    })
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

//! What the core is told and what it asks for. Everything that happens to an agent is one of these values, so that a
//! test (or a recording) can play it again.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use coax_api::Finding;
use coax_api::agent::{Connections, ControllerMessage, agent_message};
use coax_api::measure::Measures;
use coax_api::question::HostQuestion;
use coax_tables::{DomainId, DropReason, FlowRecord, ShutRow};
use coax_vswitch::{Attachment, Capacity, Connection, Punt, RowOperation, Table};

use crate::cache::CacheContents;
use crate::handover::Moving;
use crate::trace::Names;

/// What does not change while an agent runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of this host.
    pub host: String,
    /// Where controllers are, as far as the command line says so.
    pub controllers: Vec<String>,
    /// Version of this agent.
    pub version: String,
    /// Tunnel endpoint over IPv4.
    pub vtep_ipv4: Option<Ipv4Addr>,
    /// Tunnel endpoint over IPv6.
    pub vtep_ipv6: Option<Ipv6Addr>,
    /// Devices that lead to the fabric, by name.
    pub uplinks: Vec<String>,
    /// How many rows the tables take.
    pub capacity: Capacity,
    /// Prefer IPv6 between hosts that have both families.
    pub prefer_ipv6: bool,
    /// What marks this host's canaries.
    pub canary: u64,
    /// The secret of the vSwitch's hash tables.
    pub secret: u64,
}

/// A network device as the core sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number in the kernel.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Its alias, which may name a port.
    pub alias: Option<String>,
    /// Largest packet that it carries.
    pub mtu: u32,
    /// One end of a veth pair whose other end is in another network namespace: frames can be handed straight to that end.
    pub veth_into_namespace: bool,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A device appeared, or something about it is different.
    Device(Device),
    /// A device is gone.
    DeviceGone {
        /// Its number in the kernel.
        ifindex: u32,
    },
    /// All devices that exist have been told.
    DevicesListed,
    /// The stream asked for with [`Command::Connect`] is open.
    Connected {
        /// Number of the stream.
        stream: u64,
    },
    /// The stream could not be opened, or ended.
    Disconnected {
        /// Number of the stream.
        stream: u64,
        /// Why, in words for the log.
        reason: String,
    },
    /// The controller said something.
    Received {
        /// Number of the stream.
        stream: u64,
        /// What it said.
        message: ControllerMessage,
    },
    /// A port asked something that the data plane does not answer itself.
    Punted(Punt),
    /// The data plane reports what it decided.
    Flows(FlowRecords),
    /// The answer to [`Command::Apply`].
    Applied {
        /// Number of the batch.
        batch: u64,
        /// The steps that were not done; all others were.
        failures: Vec<Failure>,
    },
    /// The answer to [`Command::Report`].
    Reported {
        /// Number of the question.
        request_id: u64,
        /// The report as JSON.
        json: Vec<u8>,
    },
    /// The answer to [`Command::Answer`].
    Answered {
        /// Number of the question.
        question_id: u64,
        /// A [`coax_api::question::HostAnswer`] as JSON.
        json: Vec<u8>,
    },
    /// The answer to [`Command::LookAtGuards`].
    GuardsSeen(GuardsSeen),
    /// The answer to [`Command::HandOver`].
    HandedOver(Connections),
    /// What the host found wrong with itself; everything else that it had found is mended.
    Examined(Vec<Finding>),
    /// The time that [`crate::Core::deadline`] named has come.
    Tick,
}

/// Decisions of the data plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowRecords {
    /// In the order in which they were read.
    pub records: Vec<FlowRecord>,
    /// Records before these that were read and thrown away, because there were too many.
    pub lost: u64,
    /// What the clock on the wall is ahead of the monotonic clock of the records, in milliseconds.
    pub clock_ahead: u64,
}

impl FlowRecords {
    /// A time of a record, in milliseconds since 1970.
    pub const fn clock_of(&self, nanoseconds: u64) -> u64 {
        self.clock_ahead + nanoseconds / 1_000_000
    }
}

/// Something that the core wants done.
#[derive(Clone, Debug)]
pub enum Command {
    /// Open a stream to a controller.
    Connect {
        /// Number of the stream.
        stream: u64,
        /// Where the controller is.
        address: String,
        /// Whether another controller tells this host what to do.
        standby: bool,
    },
    /// Close a stream.
    Disconnect {
        /// Number of the stream.
        stream: u64,
    },
    /// Send to a controller.
    Send {
        /// Number of the stream.
        stream: u64,
        /// Number of the message in its stream.
        sequence: u64,
        /// What to say.
        body: agent_message::Body,
    },
    /// Change the data plane, and answer with [`Input::Applied`].
    Apply(Batch),
    /// Send a frame to a port. It may be lost: whoever asked asks again.
    SendToPort {
        /// Number of the port's device.
        ifindex: u32,
        /// The frame, from its Ethernet header on, with the tag that it has on the device.
        frame: Vec<u8>,
    },
    /// Write the cache. Of several, only the newest counts.
    Save(CacheContents),
    /// Read counters, and answer with [`Input::Reported`].
    Report(ReportRequest),
    /// Find something out for a trace, and answer with [`Input::Answered`].
    Answer(Inquiry),
    /// Collect the connections of a port that has moved away, and answer with [`Input::HandedOver`].
    HandOver(Moving),
    /// Remember connections of a port that has moved here, as far as there is room.
    TakeOver {
        /// Full name of the port.
        port: String,
        /// What its last host knew of them.
        connections: Vec<Connection>,
        /// By whose policy they are judged here.
        domain: DomainId,
    },
    /// See what guards have done, and answer with [`Input::GuardsSeen`].
    LookAtGuards {
        /// The slots of the ports that are here.
        slots: Vec<u32>,
    },
}

/// What guards have done to ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardsSeen {
    /// The ports that are shut now.
    pub shut: Vec<ShutPort>,
    /// What was dropped of the frames of each port that could be looked at.
    pub drops: Vec<GuardDrops>,
    /// The time by the clock on the wall, in seconds since 1970.
    pub clock: u64,
}

/// What guards have dropped of a port's frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardDrops {
    /// The slot of the port.
    pub slot: u32,
    /// Frames by reason, since the counters of the slot began; reasons without any are absent.
    pub counts: Vec<(DropReason, u64)>,
}

/// A port that a guard has shut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutPort {
    /// The slot of the port.
    pub slot: u32,
    /// Why, and until when by the kernel's monotonic clock.
    pub row: ShutRow,
    /// The same moment by the clock on the wall, in seconds since 1970.
    pub until_clock: u64,
}

/// Steps to be carried out in order, see [`crate::execute`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Number of the batch.
    pub number: u64,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One change of the data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A row.
    Row(RowOperation),
    /// Put the program on a device.
    Attach(u32, Attachment),
    /// Take the program off a device.
    Detach(u32, Attachment),
    /// Set the counters of a slot to zero.
    ResetCounters(u32),
    /// Forget the counters of a rule, by its number.
    ForgetRule(u32),
}

/// A step that was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Index of the step in its batch.
    pub step: usize,
    /// Why it was not done.
    pub error: StepError,
}

/// Why a step was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The table has no room.
    #[error(
        "table `{table}` is full ({capacity} rows): raise it with `--capacity {table}=…` and restart the agent"
    )]
    TableFull {
        /// The table.
        table: Table,
        /// Rows that fit.
        capacity: u32,
    },
    /// The device is gone; netlink will say so, too.
    #[error("device {ifindex} is gone")]
    NoDevice {
        /// Its number in the kernel.
        ifindex: u32,
    },
    /// Anything else that the data plane said.
    #[error("{0}")]
    Refused(String),
    /// A step before it failed, without which this one would break what works.
    #[error("waits for a step before it")]
    Skipped,
}

/// What goes into a report besides counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRequest {
    /// Number of the question.
    pub request_id: u64,
    /// Slots and what they count for.
    pub slots: Vec<Counted>,
    /// The revision in the maps.
    pub revision: u64,
    /// What could not be done.
    pub problems: Vec<coax_api::agent::Problem>,
    /// What ports asked, and what came of it.
    pub requests: Vec<coax_api::RequestCount>,
    /// Rules that have counters: project, name, number.
    pub rules: Vec<(String, String, u32)>,
    /// What the core measured; the data plane adds the rest.
    pub measures: Box<Measures>,
}

/// What a slot counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The slot.
    pub slot: u32,
    /// Full name of the port.
    pub port: String,
    /// Full name of its network, while the port is there.
    pub network: Option<String>,
}

/// A question of the controller, with what the core knows that an answer needs.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// Number of the question.
    pub question_id: u64,
    /// The question.
    pub question: HostQuestion,
    /// What numbers and addresses are called.
    pub names: Names,
    /// The revision in the maps.
    pub revision: u64,
    /// What could not be done: object and reason.
    pub problems: Vec<(String, String)>,
}

/// A moment, as the time since the agent started.
pub type Moment = Duration;

//! What goes into the core and what comes out.

use std::sync::Arc;
use std::time::Duration;

use coax_api as api;
use coax_api::agent::{AgentMessage, ControllerMessage};
use coax_api::question::{HostAnswer, HostQuestion};
use coax_api::{AuditEntry, Host, HostReport, MissingHost, Plan, Port, Problem, Realisation};
use coax_model::{File, HostName, Name, PortName, Quota};
use coax_store::{Range, Revision, Transaction};

use super::events::Noted;
use super::submission::Submission;
use crate::audit::Written;
use crate::records::{Loaded, News};

/// One stream of one agent. Never used again after it closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// One request of a user. Answered once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// An agent said something.
    Message {
        /// Its stream.
        session: SessionId,
        /// What it said.
        message: AgentMessage,
    },
    /// An agent's stream ended.
    Closed {
        /// The stream.
        session: SessionId,
    },
    /// A user wants something.
    Request {
        /// To answer it.
        id: RequestId,
        /// What he wants.
        request: Request,
    },
    /// What became of a [`Command::Commit`].
    Stored {
        /// Which.
        number: u64,
        /// What.
        outcome: Stored,
    },
    /// The store has a new revision, whoever made it.
    News(News),
    /// So much happened in the store that it was read as a whole. What it holds, as it was read and as it
    /// was understood.
    Reread {
        /// As it was read.
        range: Range,
        /// As it was understood.
        loaded: Box<Loaded>,
    },
    /// Time passed; due when [`super::Core::deadline`] says.
    Tick,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// It is on disk, in this revision.
    Done(Revision),
    /// Somebody else was faster: it did not happen and will not. What he stored comes as [`Input::News`].
    Lost,
    /// It did not happen, and would not if it was tried again.
    Failed {
        /// Why, for people.
        reason: String,
    },
    /// Nobody knows. Trying it again is safe: it happens once at most.
    Unknown {
        /// Why, for people.
        reason: String,
    },
}

/// What users ask for, as far as it takes the core to do it. Plain reading does not.
#[derive(Debug, Clone)]
pub enum Request {
    /// Change what is stored.
    Write {
        /// How.
        write: Write,
        /// Who wants it, why, and on which conditions.
        submission: Submission,
    },
    /// Answer when the hosts have a revision.
    Wait {
        /// The revision.
        revision: Revision,
        /// Answer then at the latest.
        timeout: Duration,
    },
    /// Ask every agent for its counters.
    Report,
    /// Ask one agent something.
    Ask {
        /// Its host.
        host: HostName,
        /// What.
        question: HostQuestion,
    },
}

/// A change that a user wants. They are taken one after the other.
#[derive(Debug, Clone)]
pub enum Write {
    /// Make a project, or the operator's rails, what their file says.
    Apply {
        /// The file.
        file: Box<File>,
        /// Only say what would change.
        dry_run: bool,
    },
    /// Delete everything in a project, or all rails.
    Destroy {
        /// The project.
        project: Name,
        /// Only say what would change.
        dry_run: bool,
    },
    /// Prepare a host to take over a port.
    Move {
        /// The port.
        port: PortName,
        /// The host.
        host: HostName,
    },
    /// Forget a host that does not come back.
    RemoveHost {
        /// The host.
        host: HostName,
        /// Also while its agent is attached: its stream ends.
        force: bool,
    },
    /// Make a project what it was right after a revision.
    Rollback {
        /// The revision.
        revision: Revision,
        /// The project, if it is not the one that the revision is about.
        project: Option<Name>,
        /// Only say what would change.
        dry_run: bool,
    },
    /// Say how much a project may have.
    SetQuota {
        /// The project; nothing: all that have no quota of their own.
        project: Option<Name>,
        /// The limits; nothing: as all that have none of their own.
        quota: Option<Quota>,
    },
    /// Let a change hold that would be taken back.
    Confirm {
        /// Its revision.
        revision: Revision,
    },
}

impl Write {
    /// Whether nothing is to be changed.
    pub fn is_dry_run(&self) -> bool {
        match self {
            Self::Apply { dry_run, .. }
            | Self::Destroy { dry_run, .. }
            | Self::Rollback { dry_run, .. } => *dry_run,
            Self::Move { .. }
            | Self::RemoveHost { .. }
            | Self::SetQuota { .. }
            | Self::Confirm { .. } => false,
        }
    }
}

/// The answer to a [`Request`] that was granted.
#[derive(Debug, Clone)]
pub enum Answer {
    /// To `Apply`, `Destroy` and `Rollback`.
    Plan(Plan),
    /// To `Confirm` and `SetQuota`: what the history says of it.
    Record(Box<api::Revision>),
    /// To `Move`.
    Port(Box<Port>),
    /// To `RemoveHost`: what was known of it.
    Host(Box<Host>),
    /// To `Wait`.
    Realisation(Realisation),
    /// To `Report`.
    Reports {
        /// What came in time, by host.
        reports: Vec<HostReport>,
        /// Hosts whose report did not come.
        missing: Vec<MissingHost>,
    },
    /// To `Ask`: what the agent said, or why it said nothing.
    Told(Result<HostAnswer, String>),
}

/// Something to do, in the order given.
#[derive(Debug, Clone)]
pub enum Command {
    /// Store this, all or nothing, and say [`Input::Stored`]. Commits are stored in the order given. The same
    /// number comes again if nobody knew what became of it.
    Commit {
        /// For the answer.
        number: u64,
        /// What to store, and on which condition.
        transaction: Arc<Transaction>,
        /// What the audit log says of it, to be [appended](crate::audit::AuditLog::append) by the same transaction.
        entry: Option<Arc<AuditEntry>>,
    },
    /// The change that a user asked for is stored, and with it its entry of the audit log.
    Recorded(Written),
    /// Tell an agent.
    Send {
        /// Its stream.
        session: SessionId,
        /// What.
        message: ControllerMessage,
    },
    /// End an agent's stream, after everything that was sent before.
    Close {
        /// The stream.
        session: SessionId,
    },
    /// Something happened that people may want to know.
    Note(Noted),
    /// Answer a user.
    Reply {
        /// The request.
        id: RequestId,
        /// The answer.
        answer: Result<Answer, Box<Problem>>,
    },
}

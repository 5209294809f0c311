//! What can go wrong when the kernel is asked to change or tell something.

use std::io;

/// A failed request to the kernel, with what was asked of which object.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a netlink request.
    #[error("{action} {object}: {source}")]
    Request {
        /// What was asked, as a verb: "create link".
        action: &'static str,
        /// The object of the request.
        object: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The netlink connection gave something that is no answer to the request.
    #[error("{action} {object}: unexpected netlink answer: {detail}")]
    Protocol {
        /// What was asked.
        action: &'static str,
        /// The object of the request.
        object: String,
        /// What came instead.
        detail: String,
    },
    /// A netlink socket could not be opened.
    #[error("open a netlink socket: {0}")]
    Connect(#[source] io::Error),
    /// No link of that name exists in the namespace of the connection.
    #[error("no link named {name}")]
    NoSuchLink {
        /// The name that was looked for.
        name: String,
    },
    /// A route or neighbour mixes the two address families in a way the kernel has no notion of.
    #[error("route to {destination} cannot go through {gateway}")]
    MixedFamilies {
        /// Where the route leads to.
        destination: String,
        /// The next hop that does not fit.
        gateway: String,
    },
    /// An operation on a namespace failed.
    #[error("{action} namespace {name}: {source}")]
    Namespace {
        /// What was asked, as a verb.
        action: &'static str,
        /// The namespace's name or path.
        name: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A thread that works inside a namespace panicked.
    #[error("a thread inside namespace {name} panicked")]
    ThreadPanicked {
        /// The namespace's name or path.
        name: String,
    },
    /// A process could not be started inside a namespace.
    #[error("start {program} in namespace {name}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// The namespace's name or path.
        name: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A kernel setting could not be read or written.
    #[error("sysctl {key}: {source}")]
    Sysctl {
        /// The setting.
        key: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// Wraps what rtnetlink reports, so that no type of that crate is part of our interface.
    pub(crate) fn request(
        action: &'static str,
        object: impl Into<String>,
        error: rtnetlink::Error,
    ) -> Self {
        let object = object.into();
        match error {
            rtnetlink::Error::NetlinkError(message) => Self::Request {
                action,
                object,
                source: message.to_io(),
            },
            other => Self::Protocol {
                action,
                object,
                detail: other.to_string(),
            },
        }
    }

    /// The kernel's error number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Request { source, .. }
            | Self::Namespace { source, .. }
            | Self::Spawn { source, .. }
            | Self::Sysctl { source, .. }
            | Self::Connect(source) => source.raw_os_error(),
            _ => None,
        }
    }

    /// True if the object of the request does not exist (any more).
    pub fn is_not_found(&self) -> bool {
        use nix::errno::Errno;
        matches!(self, Self::NoSuchLink { .. })
            || self.errno().is_some_and(|number| {
                [Errno::ENODEV, Errno::ENOENT, Errno::ESRCH, Errno::ENXIO]
                    .contains(&Errno::from_raw(number))
            })
    }

    /// True if the kernel is just at something else for the same connection.
    pub(crate) fn is_busy(&self) -> bool {
        self.errno()
            .is_some_and(|number| number == nix::errno::Errno::EBUSY as i32)
    }

    /// True if no route leads to the destination, or one that says so.
    pub fn is_unreachable(&self) -> bool {
        use nix::errno::Errno;
        self.errno().is_some_and(|number| {
            [Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EACCES]
                .contains(&Errno::from_raw(number))
        })
    }

    /// True if the object of the request existed before.
    pub fn is_already_there(&self) -> bool {
        self.errno()
            .is_some_and(|number| number == nix::errno::Errno::EEXIST as i32)
    }
}

//! Measuring: real traffic between namespaces, and what became of it. Each tool is a plain blocking
//! function that is run on a thread inside a namespace; nothing here knows about Coax, so the same
//! tools measure the baselines.
//!
//! | module | measures |
//! | --- | --- |
//! | [`ping`] | who answers, and how fast |
//! | [`udp`] | a paced stream with sequence numbers: lost, twice, out of order, silences |
//! | [`tcp`] | a session's silences; connections per second |
//! | [`speed`] | throughput, packets per second, round trip |
//! | [`frames`] | raw frames, byte by byte, and what is on a cable |

pub mod frames;
pub mod ping;
pub mod speed;
pub mod tcp;
pub mod udp;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use coax_netlink::Namespace;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::error::Error;

/// Work that goes on inside a namespace.
#[derive(Debug)]
pub struct Running<T> {
    namespace: String,
    thread: JoinHandle<Result<io::Result<T>, coax_netlink::Error>>,
}

/// Starts work on a thread inside a namespace.
pub fn start<T: Send + 'static>(
    namespace: &Namespace,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Running<T> {
    let (name, inside) = (namespace.name().to_owned(), namespace.clone());
    Running {
        namespace: name,
        thread: std::thread::spawn(move || inside.run(work)),
    }
}

/// Does work inside a namespace and waits for it.
pub fn run<T: Send + 'static>(
    namespace: &Namespace,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    start(namespace, work).join()
}

impl<T> Running<T> {
    /// Waits for the end of the work.
    pub fn join(self) -> Result<T, Error> {
        let panicked = coax_netlink::Error::ThreadPanicked {
            name: self.namespace.clone(),
        };
        let done = self.thread.join().map_err(|_| panicked)??;
        done.map_err(Error::io("measure in", self.namespace))
    }
}

/// Tells threads to end: when asked to, and at the latest when whoever started them is gone.
#[derive(Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// What the threads look at.
    fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.set();
    }
}

/// Pins the calling thread to a processor; a machine with fewer uses those that it has.
fn pin(cpu: usize) -> io::Result<()> {
    let count = std::thread::available_parallelism()?.get();
    let mut set = CpuSet::new();
    set.set(cpu % count)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

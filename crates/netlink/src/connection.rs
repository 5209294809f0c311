//! A netlink connection: bound to a namespace when it is opened, cheap to clone, closed when the last clone is gone.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::{TryStream, TryStreamExt};
use rtnetlink::Handle;
use tokio::sync::Mutex;

use crate::{Error, Namespace};

/// How often a list is asked for while the kernel still makes one that nobody waits for any more.
const ATTEMPTS: u32 = 50;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(2);

/// A connection to the kernel's routing tables, links and addresses in one network namespace.
///
/// The socket stays in the namespace in which it was opened, whatever the threads that use it do afterwards.
#[derive(Clone, Debug)]
pub struct Netlink {
    pub(crate) handle: Handle,
    /// The kernel makes one list at a time for a socket, and refuses a second one.
    listing: Arc<Mutex<()>>,
}

impl Netlink {
    /// Opens a connection in the namespace of the calling thread. Needs a running tokio runtime.
    pub fn open() -> Result<Self, Error> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(Error::Connect)?;
        tokio::spawn(connection);
        Ok(Self::of(handle))
    }

    /// What asks through a connection that somebody drives.
    pub(crate) fn of(handle: Handle) -> Self {
        Self {
            handle,
            listing: Arc::default(),
        }
    }

    /// Opens a connection inside `namespace`. Needs a running tokio runtime.
    pub fn open_in(namespace: &Namespace) -> Result<Self, Error> {
        let runtime = tokio::runtime::Handle::current();
        namespace.run(move || {
            let _entered = runtime.enter();
            Self::open()
        })?
    }

    /// All objects that a request lists.
    pub(crate) async fn list<R>(
        &self,
        what: &'static str,
        request: impl Fn(&Handle) -> R,
    ) -> Result<Vec<R::Ok>, Error>
    where
        R: TryStream<Error = rtnetlink::Error>,
        R::Ok: Debug,
    {
        let _only = self.listing.lock().await;
        let mut attempts_left = ATTEMPTS;
        loop {
            attempts_left -= 1;
            let listed = request(&self.handle).try_collect().await;
            match listed.map_err(|error| Error::request("list", what, error)) {
                // Whoever asked before may have stopped waiting in the midst of his list.
                Err(error) if error.is_busy() && attempts_left > 0 => {
                    tokio::time::sleep(BETWEEN_ATTEMPTS).await;
                }
                listed => return listed,
            }
        }
    }
}

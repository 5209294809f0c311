//! A netlink connection: bound to a namespace when it is opened, cheap to clone, closed when the last clone is gone.

use crate::{Error, Namespace};

/// A connection to the kernel's routing tables, links and addresses in one network namespace.
///
/// The socket stays in the namespace in which it was opened, whatever the threads that use it do afterwards.
#[derive(Clone, Debug)]
pub struct Netlink {
    pub(crate) handle: rtnetlink::Handle,
}

impl Netlink {
    /// Opens a connection in the namespace of the calling thread. Needs a running tokio runtime.
    pub fn open() -> Result<Self, Error> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(Error::Connect)?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Opens a connection inside `namespace`. Needs a running tokio runtime.
    pub fn open_in(namespace: &Namespace) -> Result<Self, Error> {
        let runtime = tokio::runtime::Handle::current();
        namespace.run(move || {
            let _entered = runtime.enter();
            Self::open()
        })?
    }
}

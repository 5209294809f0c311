//! Watching links: first every link that exists, then each change.
//!
//! The kernel drops notifications when a reader is slow, and says so. A watcher that only follows messages would then be
//! wrong for ever; this one keeps what it told, lists again, and tells the differences.
//!
//! Linux tells of a new alias at once only if the link is up; else the alias comes with the link's next event, at the
//! latest when it is switched on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures::StreamExt;
use futures::channel::mpsc::UnboundedReceiver;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::proto::sys::SocketAddr;

use crate::{Error, Link, Namespace, Netlink};

/// Something happened to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A link appeared, or something about it is different from what was told before.
    Changed(Link),
    /// A link is gone: deleted or moved to another namespace. Its last state.
    Gone(Link),
    /// Everything that exists has been told (once after the start, and after each time that messages were lost).
    Listed,
}

/// A stream of link events of one namespace.
#[derive(Debug)]
pub struct LinkWatch {
    netlink: Netlink,
    messages: UnboundedReceiver<(NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    told: BTreeMap<u32, Link>,
    ready: VecDeque<LinkEvent>,
    listed: bool,
}

impl LinkWatch {
    /// Watches the links of the calling thread's namespace. Needs a running tokio runtime.
    pub fn open() -> Result<Self, Error> {
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Link]).map_err(Error::Connect)?;
        tokio::spawn(connection);
        let netlink = Netlink::of(handle);
        let (told, ready) = (BTreeMap::new(), VecDeque::new());
        Ok(Self {
            netlink,
            messages,
            told,
            ready,
            listed: false,
        })
    }

    /// Watches the links of `namespace`. Needs a running tokio runtime.
    pub fn open_in(namespace: &Namespace) -> Result<Self, Error> {
        let runtime = tokio::runtime::Handle::current();
        namespace.run(move || {
            let _entered = runtime.enter();
            Self::open()
        })?
    }

    /// The next event; an error ends the watch.
    ///
    /// Safe to cancel: an event is either returned or stays.
    pub async fn next(&mut self) -> Result<LinkEvent, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            if !self.listed {
                let links = self.netlink.links().await?;
                self.compare(links);
                continue;
            }
            match self.messages.next().await {
                Some((message, _)) => self.note(message.payload),
                None => {
                    return Err(Error::Protocol {
                        action: "watch",
                        object: "links".into(),
                        detail: "the netlink socket was closed".into(),
                    });
                }
            }
        }
    }

    fn note(&mut self, payload: NetlinkPayload<RouteNetlinkMessage>) {
        match payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message))
                if is_about_the_link(&message) =>
            {
                self.changed(Link::from_message(message));
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(message))
                if is_about_the_link(&message) =>
            {
                if let Some(link) = self.told.remove(&message.header.index) {
                    self.ready.push_back(LinkEvent::Gone(link));
                }
            }
            NetlinkPayload::Overrun(_) => {
                tracing::warn!("the kernel dropped link notifications; listing links again");
                self.listed = false;
            }
            _ => {}
        }
    }

    fn changed(&mut self, link: Link) {
        if self.told.get(&link.index) == Some(&link) {
            return;
        }
        self.told.insert(link.index, link.clone());
        self.ready.push_back(LinkEvent::Changed(link));
    }

    /// Tells the differences between what was told and a fresh list.
    fn compare(&mut self, links: Vec<Link>) {
        let present: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
        let gone: Vec<u32> = self
            .told
            .keys()
            .copied()
            .filter(|index| !present.contains(index))
            .collect();
        for index in gone {
            self.ready
                .extend(self.told.remove(&index).map(LinkEvent::Gone));
        }
        for link in links {
            self.changed(link);
        }
        self.ready.push_back(LinkEvent::Listed);
        self.listed = true;
    }
}

/// A bridge tells about its ports in link messages of its own family: "gone" then means gone from the bridge.
fn is_about_the_link(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Unspec
}

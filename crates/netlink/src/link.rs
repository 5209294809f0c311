//! Links as the kernel tells them, and changes to links that exist.

use std::os::fd::{AsFd, AsRawFd};

use futures::TryStreamExt;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State};
use rtnetlink::{LinkMessageBuilder, LinkUnspec};

use crate::{Error, Namespace, Netlink};

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Number of the device, unique in its namespace.
    pub index: u32,
    /// Name of the device, unique in its namespace.
    pub name: String,
    /// Free text that an administrator (or a hypervisor) gave the device.
    pub alias: Option<String>,
    /// Kind of a virtual device: "veth", "bridge", "tun", …; none for hardware.
    pub kind: Option<String>,
    /// Largest packet that the device carries, without the Ethernet header.
    pub mtu: u32,
    /// Ethernet address, for devices that have one.
    pub mac: Option<[u8; 6]>,
    /// Switched on by the administrator.
    pub up: bool,
    /// Whether packets can pass, as far as the kernel knows.
    pub state: OperState,
    /// Something is plugged in on the other side.
    pub carrier: bool,
    /// Index of the bridge (or other master) that the device belongs to.
    pub master: Option<u32>,
    /// The other end of a veth pair.
    pub peer: Option<VethPeer>,
}

/// The other end of a veth pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VethPeer {
    /// Its index, in its own namespace.
    pub index: u32,
    /// Number under which this link's namespace knows the peer's; none if both are in the same namespace.
    pub namespace_id: Option<i32>,
}

/// Operational state of a link (RFC 2863).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperState {
    /// The driver does not tell; dummy and TUN/TAP devices stay here.
    Unknown,
    /// Cannot carry packets.
    Down,
    /// The device below cannot carry packets: the other end of a veth pair is down.
    LowerLayerDown,
    /// Carries packets.
    Up,
    /// Any other state.
    Other,
}

impl Link {
    /// Reads a link message; attributes that Coax has no use for are skipped.
    pub(crate) fn from_message(message: LinkMessage) -> Self {
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            alias: None,
            kind: None,
            mtu: 0,
            mac: None,
            up: message.header.flags.contains(LinkFlags::Up),
            state: OperState::Unknown,
            carrier: false,
            master: None,
            peer: None,
        };
        let (mut below, mut below_namespace) = (None, None);
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::IfAlias(alias) if !alias.is_empty() => link.alias = Some(alias),
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::Address(bytes) => link.mac = bytes.try_into().ok(),
                LinkAttribute::OperState(state) => link.state = state.into(),
                LinkAttribute::Carrier(carrier) => link.carrier = carrier != 0,
                LinkAttribute::Controller(index) if index != 0 => link.master = Some(index),
                LinkAttribute::Link(index) if index != 0 => below = Some(index),
                LinkAttribute::LinkNetNsId(id) => below_namespace = Some(id),
                LinkAttribute::LinkInfo(infos) => link.kind = kind_of(infos),
                _ => {}
            }
        }
        if link.kind.as_deref() == Some("veth") {
            link.peer = below.map(|index| VethPeer {
                index,
                namespace_id: below_namespace,
            });
        }
        link
    }
}

impl From<State> for OperState {
    fn from(state: State) -> Self {
        match state {
            State::Unknown => Self::Unknown,
            State::Down => Self::Down,
            State::LowerLayerDown => Self::LowerLayerDown,
            State::Up => Self::Up,
            _ => Self::Other,
        }
    }
}

fn kind_of(infos: Vec<LinkInfo>) -> Option<String> {
    infos.into_iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    })
}

impl Netlink {
    /// All links of the namespace.
    pub async fn links(&self) -> Result<Vec<Link>, Error> {
        let messages = self.list("links", |handle| handle.link().get().execute());
        Ok(messages
            .await?
            .into_iter()
            .map(Link::from_message)
            .collect())
    }

    /// The link of that name.
    pub async fn link(&self, name: &str) -> Result<Link, Error> {
        let request = self.handle.link().get().match_name(name);
        self.one_link(request, name.to_owned()).await
    }

    /// The link of that index.
    pub async fn link_by_index(&self, index: u32) -> Result<Link, Error> {
        let request = self.handle.link().get().match_index(index);
        self.one_link(request, format!("#{index}")).await
    }

    async fn one_link(
        &self,
        request: rtnetlink::LinkGetRequest,
        name: String,
    ) -> Result<Link, Error> {
        let mut messages = Box::pin(request.execute());
        match messages.try_next().await {
            Ok(Some(message)) => Ok(Link::from_message(message)),
            Ok(None) => Err(Error::NoSuchLink { name }),
            Err(error) => match Error::request("find link", name.clone(), error) {
                error if error.is_not_found() => Err(Error::NoSuchLink { name }),
                error => Err(error),
            },
        }
    }

    /// Deletes a link; the other end of a veth pair goes with it.
    pub async fn delete_link(&self, index: u32) -> Result<(), Error> {
        let done = self.handle.link().del(index).execute().await;
        done.map_err(|error| Error::request("delete link", format!("#{index}"), error))
    }

    /// Switches a link on.
    pub async fn set_up(&self, index: u32) -> Result<(), Error> {
        self.change("switch on link", index, |link| link.up()).await
    }

    /// Switches a link off.
    pub async fn set_down(&self, index: u32) -> Result<(), Error> {
        self.change("switch off link", index, |link| link.down())
            .await
    }

    /// Sets the largest packet that a link carries.
    pub async fn set_mtu(&self, index: u32, mtu: u32) -> Result<(), Error> {
        self.change("set the MTU of link", index, |link| link.mtu(mtu))
            .await
    }

    /// Sets a link's Ethernet address.
    pub async fn set_mac(&self, index: u32, mac: [u8; 6]) -> Result<(), Error> {
        self.change("set the MAC of link", index, |link| {
            link.address(mac.to_vec())
        })
        .await
    }

    /// Sets a link's alias; an empty text removes it. Watchers learn it at once only if the link is up.
    pub async fn set_alias(&self, index: u32, alias: &str) -> Result<(), Error> {
        self.change("set the alias of link", index, |link| link.alias(alias))
            .await
    }

    /// Renames a link (which must be down on kernels before 6.2).
    pub async fn set_name(&self, index: u32, name: &str) -> Result<(), Error> {
        self.change("rename link", index, |link| link.name(name))
            .await
    }

    /// Plugs a link into a bridge, or out of it.
    pub async fn set_master(&self, index: u32, master: Option<u32>) -> Result<(), Error> {
        self.change("set the master of link", index, |link| {
            link.controller(master.unwrap_or(0))
        })
        .await
    }

    /// Moves a link into another namespace. Its addresses and routes are lost and its index may change.
    pub async fn set_namespace(&self, index: u32, namespace: &Namespace) -> Result<(), Error> {
        let descriptor = namespace.as_fd().as_raw_fd();
        self.change("move link", index, |link| link.setns_by_fd(descriptor))
            .await
    }

    async fn change(
        &self,
        action: &'static str,
        index: u32,
        edit: impl FnOnce(LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec>,
    ) -> Result<(), Error> {
        let message = edit(LinkUnspec::new_with_index(index)).build();
        let done = self.handle.link().change(message).execute().await;
        done.map_err(|error| Error::request(action, format!("#{index}"), error))
    }
}

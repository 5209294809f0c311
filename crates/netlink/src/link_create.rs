//! Making links: veth pairs, bridges and the kernel's own vxlan device (for comparison and interoperation).

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth, LinkMessage};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, LinkVxlan};

use crate::{Error, Namespace, Netlink};

/// One end of a veth pair to be made.
#[derive(Clone, Debug, Default)]
pub struct VethEnd<'a> {
    /// Name of the device.
    pub name: &'a str,
    /// Where it is born; in the namespace of the connection if not given.
    pub namespace: Option<&'a Namespace>,
    /// Ethernet address; the kernel picks one if not given.
    pub mac: Option<[u8; 6]>,
    /// Largest packet; 1500 if not given.
    pub mtu: Option<u32>,
}

impl<'a> VethEnd<'a> {
    /// An end in the namespace of the connection.
    pub fn new(name: &'a str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Lets the end be born in `namespace`.
    pub fn in_namespace(mut self, namespace: &'a Namespace) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// Gives the end an Ethernet address.
    pub fn with_mac(mut self, mac: [u8; 6]) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Gives the end an MTU.
    pub fn with_mtu(mut self, mtu: u32) -> Self {
        self.mtu = Some(mtu);
        self
    }

    fn describe<T>(&self, mut link: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
        link = link.name(self.name);
        if let Some(mac) = self.mac {
            link = link.address(mac.to_vec());
        }
        if let Some(mtu) = self.mtu {
            link = link.mtu(mtu);
        }
        if let Some(namespace) = self.namespace {
            link = link.setns_by_fd(namespace.as_fd().as_raw_fd());
        }
        link
    }
}

/// The kernel's own vxlan device.
#[derive(Clone, Debug)]
pub struct Vxlan<'a> {
    /// Name of the device.
    pub name: &'a str,
    /// VXLAN network identifier.
    pub vni: u32,
    /// Tunnel endpoint address of this host.
    pub local: IpAddr,
    /// The only other endpoint; none if forwarding entries name them (see [`Netlink::append_fdb`]).
    pub remote: Option<IpAddr>,
    /// UDP port of the tunnels.
    pub port: u16,
    /// Learn which endpoint a MAC address is behind.
    pub learning: bool,
}

impl Netlink {
    /// Makes a veth pair. Both ends are down.
    pub async fn create_veth(&self, one: &VethEnd<'_>, other: &VethEnd<'_>) -> Result<(), Error> {
        let peer = other
            .describe(LinkMessageBuilder::<LinkUnspec>::new())
            .build();
        let link = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)));
        let message = one.describe(link).build();
        self.create(
            "create veth pair",
            &format!("{}, {}", one.name, other.name),
            message,
        )
        .await
    }

    /// Makes a bridge, which is down.
    pub async fn create_bridge(&self, name: &str) -> Result<(), Error> {
        let message = LinkMessageBuilder::<LinkBridge>::new(name).build();
        self.create("create bridge", name, message).await
    }

    /// Makes one of the kernel's vxlan devices, which is down.
    pub async fn create_vxlan(&self, vxlan: &Vxlan<'_>) -> Result<(), Error> {
        let mut link = LinkVxlan::new(vxlan.name, vxlan.vni)
            .port(vxlan.port)
            .learning(vxlan.learning);
        link = match vxlan.local {
            IpAddr::V4(address) => link.local(address),
            // RFC 6935 zero checksums both ways, as Coax sends them.
            IpAddr::V6(address) => link
                .local6(address)
                .udp_zero_csum6_rx(true)
                .udp_zero_csum6_tx(true),
        };
        link = match vxlan.remote {
            Some(IpAddr::V4(address)) => link.remote(address),
            Some(IpAddr::V6(address)) => link.remote6(address),
            None => link,
        };
        self.create("create vxlan device", vxlan.name, link.build())
            .await
    }

    async fn create(
        &self,
        action: &'static str,
        object: &str,
        message: LinkMessage,
    ) -> Result<(), Error> {
        let done = self.handle.link().add(message).execute().await;
        done.map_err(|error| Error::request(action, object, error))
    }
}

//! Neighbours (which MAC address an IP address has on a link) and forwarding entries of bridges and vxlan devices.

use std::net::IpAddr;

use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};

use crate::{Error, Netlink};

/// A neighbour as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the link.
    pub link: u32,
    /// The neighbour's IP address.
    pub address: IpAddr,
    /// Its Ethernet address, once resolved.
    pub mac: Option<[u8; 6]>,
    /// Entered by somebody, not resolved; never ages.
    pub permanent: bool,
}

impl Netlink {
    /// Enters a neighbour that never ages, or replaces what was known about the address.
    pub async fn set_neighbour(
        &self,
        link: u32,
        address: IpAddr,
        mac: [u8; 6],
    ) -> Result<(), Error> {
        let request = self
            .handle
            .neighbours()
            .add(link, address)
            .link_layer_address(&mac);
        let done = request.replace().execute().await;
        done.map_err(|error| {
            Error::request("set neighbour", format!("{address} on #{link}"), error)
        })
    }

    /// All neighbours of the namespace.
    pub async fn neighbours(&self) -> Result<Vec<Neighbour>, Error> {
        let messages = self.list("neighbours", |handle| handle.neighbours().get().execute());
        Ok(messages.await?.iter().filter_map(neighbour_of).collect())
    }

    /// Appends a forwarding entry to a vxlan device: frames to `mac` go to the endpoint `remote`. The zero MAC address stands
    /// for everything that has no entry, and may be given several endpoints, each of which gets a copy.
    pub async fn append_fdb(&self, link: u32, mac: [u8; 6], remote: IpAddr) -> Result<(), Error> {
        let object = || format!("{remote} on #{link}");
        let mut request = self.handle.neighbours().add_bridge(link, &mac);
        let mut message = request.message_mut().clone();
        message.header.flags = NeighbourFlags::Own;
        message.header.state = NeighbourState::Permanent;
        message
            .attributes
            .push(NeighbourAttribute::Destination(match remote {
                IpAddr::V4(address) => NeighbourAddress::Inet(address),
                IpAddr::V6(address) => NeighbourAddress::Inet6(address),
            }));
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewNeighbour(message));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND;
        let mut handle = self.handle.clone();
        let mut answers = handle
            .request(request)
            .map_err(|error| Error::request("append forwarding entry to", object(), error))?;
        while let Some(answer) = futures::StreamExt::next(&mut answers).await {
            if let NetlinkPayload::Error(error) = answer.payload
                && error.code.is_some()
            {
                let error = rtnetlink::Error::NetlinkError(error);
                return Err(Error::request(
                    "append forwarding entry to",
                    object(),
                    error,
                ));
            }
        }
        Ok(())
    }
}

fn neighbour_of(message: &NeighbourMessage) -> Option<Neighbour> {
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(found)) => {
                address = Some(IpAddr::from(*found));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(found)) => {
                address = Some(IpAddr::from(*found));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => {
                mac = bytes.as_slice().try_into().ok();
            }
            _ => {}
        }
    }
    let permanent = message.header.state == NeighbourState::Permanent;
    Some(Neighbour {
        link: message.header.ifindex,
        address: address?,
        mac,
        permanent,
    })
}

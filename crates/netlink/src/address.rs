//! Addresses of links.

use ipnet::IpNet;
use rtnetlink::Handle;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};

use crate::{Error, Netlink};

impl Netlink {
    /// Gives a link an address with its prefix. IPv6 addresses are usable at once: the namespaces and point-to-point
    /// links that Coax sets up have nobody to detect duplicates with.
    pub async fn add_address(&self, index: u32, address: IpNet) -> Result<(), Error> {
        let mut request = self
            .handle
            .address()
            .add(index, address.addr(), address.prefix_len());
        if matches!(address, IpNet::V6(_)) {
            let message = request.message_mut();
            message.header.flags |= AddressHeaderFlags::Nodad;
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let done = request.execute().await;
        done.map_err(|error| Error::request("add address", format!("{address} on #{index}"), error))
    }

    /// Takes an address from a link.
    pub async fn delete_address(&self, index: u32, address: IpNet) -> Result<(), Error> {
        let request = self
            .handle
            .address()
            .add(index, address.addr(), address.prefix_len());
        let message = { request }.message_mut().clone();
        let done = self.handle.address().del(message).execute().await;
        done.map_err(|error| {
            Error::request("delete address", format!("{address} on #{index}"), error)
        })
    }

    /// All addresses of the namespace with the index of their link, or those of one link.
    pub async fn addresses(&self, index: Option<u32>) -> Result<Vec<(u32, IpNet)>, Error> {
        let request = |handle: &Handle| {
            let request = handle.address().get();
            match index {
                Some(index) => request.set_link_index_filter(index).execute(),
                None => request.execute(),
            }
        };
        let messages = self.list("addresses", request).await?;
        Ok(messages.iter().filter_map(address_of).collect())
    }
}

/// The address of a message. On links with a peer address, `Local` is the own one and `Address` the peer's.
fn address_of(message: &AddressMessage) -> Option<(u32, IpNet)> {
    let mut found = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => found = Some(*address),
            AddressAttribute::Address(address) if found.is_none() => found = Some(*address),
            _ => {}
        }
    }
    let prefix = IpNet::new(found?, message.header.prefix_len).ok()?;
    Some((message.header.index, prefix))
}

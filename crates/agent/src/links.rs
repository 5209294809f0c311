//! The task that tells the core about devices.

use coax_netlink::{Link, LinkEvent, LinkWatch};
use tokio::sync::mpsc;

use crate::input::{Device, Input};

/// Tells every event of `watch` until nobody listens or the watch fails.
pub(crate) async fn tell_links(
    mut watch: LinkWatch,
    inputs: mpsc::Sender<Result<Input, coax_netlink::Error>>,
) {
    loop {
        let event = watch.next().await.map(|event| match event {
            LinkEvent::Changed(link) => Input::Device(device(link)),
            LinkEvent::Gone(link) => Input::DeviceGone {
                ifindex: link.index,
            },
            LinkEvent::Listed => Input::DevicesListed,
        });
        let failed = event.is_err();
        if inputs.send(event).await.is_err() || failed {
            return;
        }
    }
}

fn device(link: Link) -> Device {
    // `bpf_redirect_peer` exists for veth pairs that lead into another namespace.
    let peer_elsewhere = link.peer.is_some_and(|peer| peer.namespace_id.is_some());
    Device {
        ifindex: link.index,
        name: link.name,
        alias: link.alias,
        mtu: link.mtu,
        veth_into_namespace: peer_elsewhere,
    }
}

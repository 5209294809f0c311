//! What is wrong before any packet: a port without host or device, an agent that is away, networks that
//! nothing joins.

use coax_api::PortState;

use super::facts::{End, EndPort, Facts};
use super::{Cause, Ending};

/// Whether anything can be said by packets at all.
pub(super) fn before(facts: &Facts) -> Result<(), Ending> {
    let ends = [&facts.source, &facts.destination];
    let ports = ends.map(|end| end.port.as_ref());
    for port in ports.into_iter().flatten() {
        is_plugged(port)?;
    }
    if let Some(port) = &facts.source.port {
        joined(port, &facts.destination)?;
        is_attached(facts, port)?;
    }
    Ok(())
}

fn is_plugged(port: &EndPort) -> Result<(), Ending> {
    let (name, view) = (&port.view.id, &port.view);
    let refused = view.status.conditions.iter();
    let refused = refused.filter(|condition| condition.code == "claim-refused");
    if let Some(condition) = refused.into_iter().next()
        && view.state != PortState::Active
    {
        let host = condition.host.as_deref().unwrap_or("another host");
        let summary = format!(
            "{name} has its device on {host}, where it must not be: {}",
            condition.message
        );
        let hint = format!("plug it in on its host, or `coax port move {name} {host}`");
        return Err(Ending::lost(Cause::ClaimRefused, summary, hint));
    }
    let plug = format!("give the VM's device on a host the alias `coax:{name}`");
    match (&view.host, view.state) {
        (None, _) => Err(Ending::lost(
            Cause::PortUnbound,
            format!("{name} is on no host: its device is plugged in nowhere"),
            plug,
        )),
        (Some(host), PortState::Down | PortState::Unbound) => Err(Ending::lost(
            Cause::PortDown,
            format!(
                "{name} has no device on {host}, its host: the VM is off or its device is gone"
            ),
            plug,
        )),
        (Some(_), PortState::Active | PortState::Moving) => Ok(()),
    }
}

/// Whether anything leads from the port's network to the other end.
fn joined(port: &EndPort, destination: &End) -> Result<(), Ending> {
    let network = &port.network;
    if let Some(other) = &destination.port {
        if other.network == *network || port.gateway.is_some() && port.router_knows_peer {
            return Ok(());
        }
        let summary = format!(
            "{} is in {}, {} in {network}, and no router joins these networks",
            other.view.id, other.network, port.view.id
        );
        let hint = match other.network.project == network.project {
            true => format!(
                "join both to one router, like by `coax router create {}/NAME 'networks=[{}, {}]'`",
                network.project, network.name, other.network.name,
            ),
            false => "a router joins networks of one project only".to_owned(),
        };
        return Err(Ending::lost(Cause::NoRouter, summary, hint));
    }
    if port.peer_on_link || port.gateway.is_some() {
        return Ok(());
    }
    let address = destination.address;
    let summary =
        format!("{address} is in no subnet of {network}, and no router leads out of {network}");
    let hint = "join the network to a router in the stack file";
    Err(Ending::lost(Cause::NoGateway, summary, hint))
}

/// Whether the sender's host can be asked.
fn is_attached(facts: &Facts, port: &EndPort) -> Result<(), Ending> {
    let Some(host) = &port.view.host else {
        return Ok(());
    };
    let known = facts.hosts.get(host);
    if known.is_some_and(|host| host.connected) {
        return Ok(());
    }
    let summary = format!(
        "the agent of {host} is not attached to the controller, so nobody can tell what becomes of packets \
         of {}; {host} forwards by what it had",
        port.view.id
    );
    let hint = format!("see whether {host} is up and its agent runs: `coax host show {host}`");
    Err(Ending::unknown(Cause::HostAway, summary, hint))
}

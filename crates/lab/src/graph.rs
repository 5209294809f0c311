//! `coax graph`: the lab as it is now, drawn by `coax-fabric`.

use coax_api::PortState;
use coax_fabric::LinkState;
use coax_fabric::draw::{Drawing, Vm};

use crate::error::Error;
use crate::name::LabName;
use crate::site::Site;
use crate::state::Record;

/// How to draw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum GraphFormat {
    /// Boxes in the terminal.
    #[default]
    Text,
    /// A picture for a browser.
    Svg,
}

/// Draws a lab: cabling, which cables are dead, VMs where they are.
pub async fn graph(lab: &LabName, format: GraphFormat) -> Result<String, Error> {
    let record = Record::load(lab)?;
    let site = Site::open(lab, record.file.plan()?).await?;
    let state = link_state(&site).await?;
    let vms = vms(&site).await?;
    let title = format!("lab {lab}");
    let drawing = Drawing {
        title: &title,
        topology: &site.plan.topology,
        state: &state,
        vms: &vms,
    };
    Ok(match format {
        GraphFormat::Text => drawing.text(),
        GraphFormat::Svg => drawing.svg(),
    })
}

/// Which cables carry packets, as the kernel sees them at their upper ends.
pub async fn link_state(site: &Site) -> Result<LinkState, Error> {
    let mut state = LinkState::all_up();
    for (id, link) in site.plan.topology.links() {
        let node = site.node(link.upper);
        let device = node
            .netlink
            .link_by_index(node.device(&link.upper_device)?)
            .await?;
        state.set(id, device.up && device.carrier);
    }
    Ok(state)
}

async fn vms(site: &Site) -> Result<Vec<Vm>, Error> {
    let ports = match crate::client(&site.lab).ports(None).await {
        Ok(ports) => ports,
        // A lab without a controller still has a fabric to draw.
        Err(coax_api::ClientError::Unreachable { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let drawn = ports.into_iter().filter_map(|port| {
        let host = port.host.as_deref().or(port.host_wanted.as_deref())?;
        Some(Vm {
            network: format!("{}/{}", port.project, port.network),
            host: site.host(host).ok()?.0,
            active: port.state == PortState::Active,
            name: port.id,
        })
    });
    Ok(drawn.collect())
}

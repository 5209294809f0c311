//! How far one misbehaving member of a network gets.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use coax_api as api;
use coax_api::{Problem, ReachedGateway, ReachedHost, ReachedRouter};
use coax_model::name::RouterName;
use coax_model::{BlastRadius, HostName, HostReach, NetworkName};

use super::App;
use super::failure::Failure;
use super::input::full_name;

/// What one misbehaving member of a network reaches
#[utoipa::path(
    get, path = "/v1/networks/{project}/{name}/blast-radius", tag = "networks",
    params(("project" = String, Path, description = "The project"), ("name" = String, Path, description = "Its name in the project")),
    responses((status = 200, body = api::BlastRadius), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn blast_radius(
    State(app): State<App>,
    Path((project, network)): Path<(String, String)>,
) -> Result<Json<api::BlastRadius>, Failure> {
    let name = full_name(&project, &network)?;
    let radius = BlastRadius::of(app.handle.read().intent(), &name);
    let radius = radius.ok_or_else(|| Failure::no_such("network", &name.to_string()))?;
    Ok(Json(view(&radius)))
}

fn view(radius: &BlastRadius) -> api::BlastRadius {
    let reached = |(host, reach): (&HostName, &HostReach)| ReachedHost {
        host: host.to_string(),
        ports: reach.ports.iter().map(ToString::to_string).collect(),
        endpoints: reach.endpoints.iter().map(ToString::to_string).collect(),
    };
    let gateways = radius
        .foreign
        .iter()
        .map(|(name, endpoint)| ReachedGateway {
            name: name.to_string(),
            endpoint: endpoint.to_string(),
        });
    let network = &radius.network;
    let (ports, hosts, tunnels) = (radius.ports(), radius.hosts.len(), radius.tunnels());
    let ways_out = radius.foreign.len();
    api::BlastRadius {
        network: network.to_string(),
        servers: format!(
            "{network} is one virtual cable: a VM that floods, loops or lies on it is felt by {ports} virtual \
             network cards on {hosts} hosts and behind {ways_out} foreign endpoints"
        ),
        networking: format!(
            "{network} is one broadcast domain, and with that one failure domain: {ports} access ports on {hosts} \
             switches, {ways_out} gateways, {tunnels} tunnels through the fabric"
        ),
        hosts: radius.hosts.iter().map(reached).collect(),
        unplugged: radius.unplugged.iter().map(ToString::to_string).collect(),
        gateways: gateways.collect(),
        routers: radius.router.iter().map(router).collect(),
        ports,
        tunnels,
    }
}

fn router((name, others): &(RouterName, BTreeMap<NetworkName, usize>)) -> ReachedRouter {
    ReachedRouter {
        name: name.to_string(),
        networks: others.keys().map(ToString::to_string).collect(),
        ports: others.values().sum(),
    }
}

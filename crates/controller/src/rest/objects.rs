//! What there is: lists and single objects, read from the core's state.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use coax_api::{
    AddressGroup, Firewall, FirewallRule, Group, Host, Network, Port, Problem, Project, Router,
    Status, Subnet, Vtep,
};
use coax_model::{HostName, Name};

use super::App;
use super::failure::Failure;
use super::input::{ListParams, Params, full_name, name};
use super::submission::Tagged;
use crate::core::Listing;
use crate::identity::Caller;

/// Projects that own something
#[utoipa::path(get, path = "/v1/projects", tag = "projects", responses((status = 200, body = Vec<Project>), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn projects(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Json<Vec<Project>> {
    Json(caller.own_projects(Listing::single(&app.handle.read()).projects()))
}

macro_rules! list {
    ($handler:ident, $type:ty, $path:literal, $tag:literal, $summary:literal) => {
        #[doc = $summary]
        #[utoipa::path(
            get, path = $path, tag = $tag, params(ListParams),
            responses((status = 200, body = Vec<$type>), (status = "4XX", body = Problem, content_type = "application/problem+json"))
        )]
        pub async fn $handler(
            State(app): State<App>,
            Params(params): Params<ListParams>,
        ) -> Result<Json<Vec<$type>>, Failure> {
            let project = params.project()?;
            let all = Listing::new(&app.handle.read()).$handler(project.as_ref());
            Ok(Json(params.page(all, |it| it.id.clone())))
        }
    };
}

macro_rules! single {
    ($handler:ident, $type:ty, $read:ident, $kind:literal, $path:literal, $tag:literal, $summary:literal) => {
        #[doc = $summary]
        #[utoipa::path(
            get, path = $path, tag = $tag,
            params(("project" = String, Path, description = "The project"), ("name" = String, Path, description = "Its name in the project")),
            responses((status = 200, body = $type), (status = "4XX", body = Problem, content_type = "application/problem+json"))
        )]
        pub async fn $handler(
            State(app): State<App>,
            Path((project, object)): Path<(String, String)>,
        ) -> Result<Tagged<$type>, Failure> {
            let name = full_name(&project, &object)?;
            let found = Listing::single(&app.handle.read()).$read(&name);
            let tagged = found.map(|it| Tagged(it.revision, it));
            tagged.ok_or_else(|| Failure::no_such($kind, &name.to_string()))
        }
    };
}

list!(networks, Network, "/v1/networks", "networks", "Networks");
list!(
    subnets,
    Subnet,
    "/v1/subnets",
    "subnets",
    "Subnets of networks"
);
list!(ports, Port, "/v1/ports", "ports", "Ports");
list!(
    vteps,
    Vtep,
    "/v1/vteps",
    "vteps",
    "Foreign tunnel endpoints"
);

list!(routers, Router, "/v1/routers", "routers", "Routers");
list!(groups, Group, "/v1/groups", "firewall", "Groups of ports");
list!(
    address_groups,
    AddressGroup,
    "/v1/address-groups",
    "firewall",
    "Groups of addresses, the operator's (project `rails`) among them"
);
list!(
    firewall_rules,
    FirewallRule,
    "/v1/firewall-rules",
    "firewall",
    "Firewall rules in written order: the operator's rails, then those of the project, or of all projects"
);

single!(
    router,
    Router,
    router_named,
    "router",
    "/v1/routers/{project}/{name}",
    "routers",
    "One router"
);
single!(
    group,
    Group,
    group_named,
    "group",
    "/v1/groups/{project}/{name}",
    "firewall",
    "One group of ports"
);
single!(
    address_group,
    AddressGroup,
    address_group_named,
    "address-group",
    "/v1/address-groups/{project}/{name}",
    "firewall",
    "One group of addresses"
);
single!(
    firewall_rule,
    FirewallRule,
    firewall_rule_named,
    "firewall-rule",
    "/v1/firewall-rules/{project}/{name}",
    "firewall",
    "One firewall rule"
);
single!(
    network,
    Network,
    network_named,
    "network",
    "/v1/networks/{project}/{name}",
    "networks",
    "One network"
);
single!(
    port,
    Port,
    port_named,
    "port",
    "/v1/ports/{project}/{name}",
    "ports",
    "One port"
);
single!(
    vtep,
    Vtep,
    vtep_named,
    "vtep",
    "/v1/vteps/{project}/{name}",
    "vteps",
    "One foreign tunnel endpoint"
);

/// What judges the connections of each project that is judged at all
#[utoipa::path(get, path = "/v1/firewalls", tag = "firewall", responses((status = 200, body = Vec<Firewall>), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn firewalls(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Json<Vec<Firewall>> {
    Json(caller.own_firewalls(Listing::single(&app.handle.read()).firewalls()))
}

/// What judges the connections of one project
#[utoipa::path(
    get, path = "/v1/firewalls/{project}", tag = "firewall",
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, body = Firewall), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn firewall(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<Json<Firewall>, Failure> {
    let project: Name = name("project", &project)?;
    let found = Listing::single(&app.handle.read()).firewall_named(&project);
    found
        .map(Json)
        .ok_or_else(|| Failure::no_such("firewall", project.as_str()))
}

/// Hosts
#[utoipa::path(get, path = "/v1/hosts", tag = "hosts", responses((status = 200, body = Vec<Host>), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn hosts(State(app): State<App>) -> Json<Vec<Host>> {
    Json(app.handle.read().host_views())
}

/// One host
#[utoipa::path(
    get, path = "/v1/hosts/{name}", tag = "hosts",
    params(("name" = String, Path, description = "The host")),
    responses((status = 200, body = Host), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn host(
    State(app): State<App>,
    Path(host): Path<String>,
) -> Result<Tagged<Host>, Failure> {
    let host: HostName = name("name", &host)?;
    let found = app.handle.read().host_named(&host);
    found
        .map(|it| Tagged(it.revision, it))
        .ok_or_else(|| Failure::no_such("host", host.as_str()))
}

/// The whole system at a glance
#[utoipa::path(get, path = "/v1/status", tag = "system", responses((status = 200, body = Status), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn status(State(app): State<App>, Extension(caller): Extension<Caller>) -> Json<Status> {
    Json(caller.own_status(&app.handle.read()))
}

//! What each route is about and what is done there: one table.

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Look at it.
    See,
    /// Do something with it that its file does not say.
    Operate,
    /// Change what it should be.
    Edit,
    /// Say who else may.
    Administer,
}

/// What a route is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Nobody's secret.
    Public,
    /// The caller's own project, or all: the answer holds no other.
    Own,
    /// The project in the path. The operator's rails are the network team's.
    Project,
    /// Hosts: the network team's.
    Network,
    /// The deployment as a whole.
    Deployment,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// GET, PUT, …
    pub method: &'static str,
    /// As in the OpenAPI document.
    pub path: &'static str,
    /// What it is about.
    pub scope: Scope,
    /// What is done to it.
    pub right: Right,
}

const fn rule(method: &'static str, path: &'static str, scope: Scope, right: Right) -> Rule {
    Rule {
        method,
        path,
        scope,
        right,
    }
}

use Right::{Administer, Edit, Operate, See};
use Scope::{Deployment, Network, Own, Project, Public};

/// The table.
pub const TABLE: &[Rule] = &[
    rule("GET", "/healthz", Public, See),
    rule("GET", "/readyz", Public, See),
    rule("GET", "/openapi.json", Public, See),
    rule("GET", "/docs", Public, See),
    rule("GET", "/metrics", Deployment, See),
    rule("GET", "/v1/status", Own, See),
    rule("GET", "/v1/projects", Own, See),
    rule("GET", "/v1/projects/{project}", Project, See),
    rule(
        "PUT",
        "/v1/projects/{project}/quota",
        Deployment,
        Administer,
    ),
    rule(
        "DELETE",
        "/v1/projects/{project}/quota",
        Deployment,
        Administer,
    ),
    rule("GET", "/v1/default-quota", Own, See),
    rule("PUT", "/v1/default-quota", Deployment, Administer),
    rule("GET", "/v1/networks", Own, See),
    rule("GET", "/v1/networks/{project}/{name}", Project, See),
    rule(
        "GET",
        "/v1/networks/{project}/{name}/blast-radius",
        Project,
        See,
    ),
    rule("GET", "/v1/subnets", Own, See),
    rule("GET", "/v1/ports", Own, See),
    rule("GET", "/v1/ports/{project}/{name}", Project, See),
    rule("POST", "/v1/ports/{project}/{name}/move", Project, Operate),
    rule("GET", "/v1/vteps", Own, See),
    rule("GET", "/v1/vteps/{project}/{name}", Project, See),
    rule("GET", "/v1/routers", Own, See),
    rule("GET", "/v1/routers/{project}/{name}", Project, See),
    rule("GET", "/v1/groups", Own, See),
    rule("GET", "/v1/groups/{project}/{name}", Project, See),
    rule("GET", "/v1/address-groups", Own, See),
    rule("GET", "/v1/address-groups/{project}/{name}", Project, See),
    rule("GET", "/v1/firewalls", Own, See),
    rule("GET", "/v1/firewalls/{project}", Project, See),
    rule("GET", "/v1/firewalls/{project}/audit", Project, See),
    rule(
        "GET",
        "/v1/firewalls/{project}/suggestions",
        Project,
        Operate,
    ),
    rule("GET", "/v1/firewall-rules", Own, See),
    rule("GET", "/v1/firewall-rules/{project}/{name}", Project, See),
    rule("GET", "/v1/stacks/{project}", Project, See),
    rule("PUT", "/v1/stacks/{project}", Project, Edit),
    rule("DELETE", "/v1/stacks/{project}", Project, Edit),
    rule("GET", "/v1/hosts", Network, See),
    rule("GET", "/v1/hosts/{name}", Network, See),
    rule("DELETE", "/v1/hosts/{name}", Network, Edit),
    rule("GET", "/v1/findings", Network, See),
    rule("GET", "/v1/invitations", Network, Edit),
    rule("POST", "/v1/invitations", Network, Edit),
    rule("DELETE", "/v1/invitations/{name}", Network, Edit),
    rule("GET", "/v1/controller-invitations", Deployment, Administer),
    rule("POST", "/v1/controller-invitations", Deployment, Administer),
    rule(
        "DELETE",
        "/v1/controller-invitations/{name}",
        Deployment,
        Administer,
    ),
    rule("GET", "/v1/drops", Own, See),
    rule("GET", "/v1/counters", Own, See),
    rule("GET", "/v1/revisions", Own, See),
    rule("GET", "/v1/revisions/{revision}", Own, See),
    rule("GET", "/v1/revisions/{revision}/wait", Own, See),
    rule("POST", "/v1/revisions/{revision}/rollback", Own, Edit),
    rule("POST", "/v1/revisions/{revision}/confirm", Own, Edit),
    rule("POST", "/v1/traces", Own, Operate),
    rule("GET", "/v1/checks", Own, See),
    rule("POST", "/v1/checks", Own, Operate),
    rule("GET", "/v1/captures", Own, Operate),
    rule("GET", "/v1/events", Own, See),
    rule("GET", "/v1/flows", Own, Operate),
    rule("GET", "/v1/connections", Own, Operate),
    rule("DELETE", "/v1/connections", Own, Operate),
    rule("GET", "/v1/tokens", Own, Administer),
    rule("POST", "/v1/tokens", Own, Administer),
    rule("DELETE", "/v1/tokens/{name}", Own, Administer),
    rule("GET", "/v1/authorities", Deployment, Administer),
    rule("POST", "/v1/authorities/renew", Deployment, Administer),
    rule("POST", "/v1/authorities/finish", Deployment, Administer),
    rule("GET", "/v1/audit-log", Deployment, Administer),
    rule("GET", "/v1/audit-log/verify", Deployment, Administer),
    rule("POST", "/v1/backups", Deployment, Administer),
];

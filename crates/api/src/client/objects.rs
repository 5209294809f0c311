//! The part of the client that reads foreign tunnel endpoints, routers, groups and firewalls.

use hyper::Method;

use super::{Answer, Client, list};
use crate::connections::{ConnectionFilter, Connections, Flushed};
use crate::object::Vtep;
use crate::policy::{AddressGroup, Firewall, FirewallRule, Group, Router};

impl Client {
    /// `GET /v1/vteps`, of one project or of all.
    pub async fn vteps(&self, project: Option<&str>) -> Answer<Vec<Vtep>> {
        self.get(&list("vteps", project)).await
    }

    /// `GET /v1/vteps/{project}/{name}`.
    pub async fn vtep(&self, project: &str, name: &str) -> Answer<Vtep> {
        self.get(&format!("/v1/vteps/{project}/{name}")).await
    }

    /// `GET /v1/groups`, of one project or of all.
    pub async fn groups(&self, project: Option<&str>) -> Answer<Vec<Group>> {
        self.get(&list("groups", project)).await
    }

    /// `GET /v1/groups/{project}/{name}`.
    pub async fn group(&self, project: &str, name: &str) -> Answer<Group> {
        self.get(&format!("/v1/groups/{project}/{name}")).await
    }

    /// `GET /v1/address-groups`, of one project or of all.
    pub async fn address_groups(&self, project: Option<&str>) -> Answer<Vec<AddressGroup>> {
        self.get(&list("address-groups", project)).await
    }

    /// `GET /v1/address-groups/{project}/{name}`.
    pub async fn address_group(&self, project: &str, name: &str) -> Answer<AddressGroup> {
        self.get(&format!("/v1/address-groups/{project}/{name}"))
            .await
    }

    /// `GET /v1/routers`, of one project or of all.
    pub async fn routers(&self, project: Option<&str>) -> Answer<Vec<Router>> {
        self.get(&list("routers", project)).await
    }

    /// `GET /v1/routers/{project}/{name}`.
    pub async fn router(&self, project: &str, name: &str) -> Answer<Router> {
        self.get(&format!("/v1/routers/{project}/{name}")).await
    }

    /// `GET /v1/firewall-rules`, in written order: all, or those that connections of one project meet,
    /// which are the operator's rails and then the project's own.
    pub async fn firewall_rules(&self, project: Option<&str>) -> Answer<Vec<FirewallRule>> {
        self.get(&list("firewall-rules", project)).await
    }

    /// `GET /v1/firewall-rules/{project}/{name}`.
    pub async fn firewall_rule(&self, project: &str, name: &str) -> Answer<FirewallRule> {
        self.get(&format!("/v1/firewall-rules/{project}/{name}"))
            .await
    }

    /// `GET /v1/connections`: asks every host, or one.
    pub async fn connections(&self, filter: &ConnectionFilter) -> Answer<Connections> {
        self.get(&filtered(filter)).await
    }

    /// `DELETE /v1/connections`: ends them on every host, or on one.
    pub async fn end_connections(&self, filter: &ConnectionFilter) -> Answer<Flushed> {
        self.send(Method::DELETE, &filtered(filter), None::<&()>)
            .await
    }

    /// `GET /v1/firewalls`: of every project whose connections are judged.
    pub async fn firewalls(&self) -> Answer<Vec<Firewall>> {
        self.get("/v1/firewalls").await
    }

    /// `GET /v1/firewalls/{project}`.
    pub async fn firewall(&self, project: &str) -> Answer<Firewall> {
        self.get(&format!("/v1/firewalls/{project}")).await
    }
}

/// The path of connections. Names and addresses hold nothing that a query would have to hide.
fn filtered(filter: &ConnectionFilter) -> String {
    let ConnectionFilter {
        host,
        project,
        address,
        port,
    } = filter;
    let parts = [
        host.as_ref().map(|host| format!("host={host}")),
        project.as_ref().map(|project| format!("project={project}")),
        address.map(|address| format!("address={address}")),
        port.map(|port| format!("port={port}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    format!("/v1/connections?{}", parts.join("&"))
}

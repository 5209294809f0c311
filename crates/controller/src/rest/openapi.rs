//! The router and its OpenAPI document, both made from the handlers.

use axum::Router;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    App, audit, authorities, backups, blast_radius, captures, checks, connections, events, failure,
    findings, firewall_reports, flows, invitations, objects, page, quotas, removal, reports,
    revisions, service, stacks, tokens, traces,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Coax",
        description = "Virtual coaxial cables over any IP network: the controller's interface. \
                       Names are all there is: an object's id is `project/name`. Errors are problem \
                       details (RFC 9457) with a code, a message and a hint.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "stacks", description = "Whole projects as files"),
        (name = "revisions", description = "Who changed what, and the way back"),
        (name = "projects", description = "Who owns objects"),
        (name = "networks", description = "Virtual layer-2 networks"),
        (name = "subnets", description = "IP prefixes of networks"),
        (name = "ports", description = "Virtual network interface cards"),
        (name = "vteps", description = "Tunnel endpoints that are not Coax hosts"),
        (name = "routers", description = "What joins networks"),
        (name = "firewall", description = "Who may open which connections to whom"),
        (name = "checks", description = "Who must and who must not reach whom"),
        (name = "hosts", description = "Machines that run the vSwitch"),
        (name = "users", description = "Who may use this interface"),
        (name = "traces", description = "Why can't A reach B; what passes by a port"),
        (name = "system", description = "The controller and the system as a whole")
    )
)]
struct Document;

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(
            stacks::put_stack,
            stacks::get_stack,
            stacks::delete_stack
        ))
        .routes(routes!(objects::projects))
        .routes(routes!(quotas::project))
        .routes(routes!(quotas::put_quota, quotas::delete_quota))
        .routes(routes!(quotas::default_quota, quotas::put_default_quota))
        .routes(routes!(objects::networks))
        .routes(routes!(objects::network))
        .routes(routes!(blast_radius::blast_radius))
        .routes(routes!(objects::subnets))
        .routes(routes!(objects::ports))
        .routes(routes!(objects::port))
        .routes(routes!(stacks::move_port))
        .routes(routes!(objects::vteps))
        .routes(routes!(objects::vtep))
        .routes(routes!(objects::routers))
        .routes(routes!(objects::router))
        .routes(routes!(objects::groups))
        .routes(routes!(objects::group))
        .routes(routes!(objects::address_groups))
        .routes(routes!(objects::address_group))
        .routes(routes!(objects::firewalls))
        .routes(routes!(objects::firewall))
        .routes(routes!(objects::firewall_rules))
        .routes(routes!(objects::firewall_rule))
        .routes(routes!(objects::hosts))
        .routes(routes!(objects::host, removal::remove_host))
        .routes(routes!(findings::findings))
        .routes(routes!(invitations::invitations, invitations::invite))
        .routes(routes!(invitations::withdraw))
        .routes(routes!(
            invitations::controller_invitations,
            invitations::invite_controller
        ))
        .routes(routes!(invitations::withdraw_controller))
        .routes(routes!(tokens::tokens, tokens::create_token))
        .routes(routes!(tokens::delete_token))
        .routes(routes!(authorities::authorities))
        .routes(routes!(authorities::renew))
        .routes(routes!(authorities::finish))
        .routes(routes!(audit::audit_log))
        .routes(routes!(audit::verify_audit_log))
        .routes(routes!(backups::create_backup))
        .routes(routes!(objects::status))
        .routes(routes!(reports::drops))
        .routes(routes!(reports::counters))
        .routes(routes!(stacks::wait))
        .routes(routes!(revisions::revisions))
        .routes(routes!(revisions::revision))
        .routes(routes!(revisions::rollback))
        .routes(routes!(revisions::confirm))
        .routes(routes!(traces::trace_packet))
        .routes(routes!(captures::capture))
        .routes(routes!(checks::checks, checks::probe_checks))
        .routes(routes!(connections::connections, connections::flush))
        .routes(routes!(events::events))
        .routes(routes!(flows::flows))
        .routes(routes!(firewall_reports::audit))
        .routes(routes!(firewall_reports::suggestions))
        .routes(routes!(service::healthz))
        .routes(routes!(service::readyz))
        .routes(routes!(service::metrics))
        .routes(routes!(service::openapi))
        .routes(routes!(page::docs))
}

/// What serves requests.
pub fn router(app: App) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .fallback(failure::no_such_path)
        .method_not_allowed_fallback(failure::no_such_method)
        .with_state(app)
}

/// The OpenAPI 3.1 document.
pub fn document() -> utoipa::openapi::OpenApi {
    routes().split_for_parts().1
}

//! Who may take part: hosts that come and go.

use hyper::Method;

use super::{Answer, Client};
use crate::invitation::{Invitation, InvitationRequest};
use crate::object::Host;

impl Client {
    /// `POST /v1/invitations`: makes a token with which one machine may become a host.
    pub async fn invite(&self, request: &InvitationRequest) -> Answer<Invitation> {
        self.send(Method::POST, "/v1/invitations", Some(request))
            .await
    }

    /// `DELETE /v1/hosts/{name}`: forgets a host, revokes its certificates, and tells what was known of it. A host whose agent is
    /// attached goes only by `force`.
    pub async fn remove_host(&self, name: &str, force: bool) -> Answer<Host> {
        let path = format!("/v1/hosts/{name}?force={force}");
        self.send(Method::DELETE, &path, None::<&()>).await
    }
}

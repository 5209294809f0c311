//! Who may take part: hosts that come and go, users with tokens; and backups of all that.

use hyper::Method;

use super::{Answer, Client, ClientError};
use crate::audit::{AuditEntry, AuditVerdict};
use crate::authority::{AuthorityStatus, FinishAuthorityRequest, RenewAuthorityRequest};
use crate::backup::BackupRequest;
use crate::invitation::{
    ControllerInvitation, ControllerInvitationRequest, Invitation, InvitationKind,
    InvitationRequest, ListedInvitation,
};
use crate::object::Host;
use crate::token::{IssuedToken, Token, TokenRequest};

impl Client {
    /// `GET /v1/audit-log`: the last entries, oldest first.
    pub async fn audit_log(&self, last: usize) -> Answer<Vec<AuditEntry>> {
        self.get(&format!("/v1/audit-log?last={last}")).await
    }

    /// `GET /v1/audit-log/verify`.
    pub async fn verify_audit_log(&self) -> Answer<AuditVerdict> {
        self.get("/v1/audit-log/verify").await
    }

    /// `POST /v1/backups`: everything, encrypted under a passphrase.
    pub async fn backup(&self, request: &BackupRequest) -> Answer<Vec<u8>> {
        let path = "/v1/backups";
        let unexpected = |source| ClientError::Unexpected {
            endpoint: self.endpoint.clone(),
            path: path.to_owned(),
            source,
        };
        let body = serde_json::to_vec(request).map_err(unexpected)?;
        let (status, file) = self.exchange(Method::POST, path, &[], Some(body)).await?;
        match status.is_success() {
            true => Ok(file.into()),
            false => Err(self.refusal(path, status, &file)),
        }
    }

    /// `GET /v1/tokens`.
    pub async fn tokens(&self) -> Answer<Vec<Token>> {
        self.get("/v1/tokens").await
    }

    /// `POST /v1/tokens`: makes a token, whose secret is in the answer and nowhere else.
    pub async fn create_token(&self, request: &TokenRequest) -> Answer<IssuedToken> {
        self.send(Method::POST, "/v1/tokens", Some(request)).await
    }

    /// `DELETE /v1/tokens/{name}`.
    pub async fn delete_token(&self, name: &str) -> Answer<Token> {
        let path = format!("/v1/tokens/{name}");
        self.send(Method::DELETE, &path, None::<&()>).await
    }

    /// `POST /v1/invitations`: makes a token with which one machine may become a host.
    pub async fn invite(&self, request: &InvitationRequest) -> Answer<Invitation> {
        let path = invitations(InvitationKind::Host);
        self.send(Method::POST, path, Some(request)).await
    }

    /// `POST /v1/controller-invitations`: makes a token with which one machine may become a controller.
    pub async fn invite_controller(
        &self,
        request: &ControllerInvitationRequest,
    ) -> Answer<ControllerInvitation> {
        let path = invitations(InvitationKind::Controller);
        self.send(Method::POST, path, Some(request)).await
    }

    /// `GET /v1/invitations`, or `/v1/controller-invitations`: those that are remembered, without their secrets.
    pub async fn invitations(&self, kind: InvitationKind) -> Answer<Vec<ListedInvitation>> {
        self.get(invitations(kind)).await
    }

    /// `DELETE /v1/invitations/{name}`, or `/v1/controller-invitations/{name}`: its token counts no more.
    pub async fn withdraw_invitation(
        &self,
        kind: InvitationKind,
        name: &str,
    ) -> Answer<ListedInvitation> {
        let path = format!("{}/{name}", invitations(kind));
        self.send(Method::DELETE, &path, None::<&()>).await
    }

    /// `GET /v1/authorities`: which count, and who has moved to the newest.
    pub async fn authorities(&self) -> Answer<AuthorityStatus> {
        self.get("/v1/authorities").await
    }

    /// `POST /v1/authorities/renew`: another authority counts beside the present one.
    pub async fn renew_authority(
        &self,
        request: &RenewAuthorityRequest,
    ) -> Answer<AuthorityStatus> {
        let path = "/v1/authorities/renew";
        self.send(Method::POST, path, Some(request)).await
    }

    /// `POST /v1/authorities/finish`: only the newest authority counts from then on.
    pub async fn finish_authority(
        &self,
        request: &FinishAuthorityRequest,
    ) -> Answer<AuthorityStatus> {
        let path = "/v1/authorities/finish";
        self.send(Method::POST, path, Some(request)).await
    }

    /// `DELETE /v1/hosts/{name}`: forgets a host, revokes its certificates, and tells what was known of it. A host whose agent is
    /// attached goes only by `force`.
    pub async fn remove_host(&self, name: &str, force: bool) -> Answer<Host> {
        let path = format!("/v1/hosts/{name}?force={force}");
        self.send(Method::DELETE, &path, None::<&()>).await
    }
}

/// Where invitations of a kind are.
fn invitations(kind: InvitationKind) -> &'static str {
    match kind {
        InvitationKind::Host => "/v1/invitations",
        InvitationKind::Controller => "/v1/controller-invitations",
    }
}

//! A backup of a running controller, and what becomes of a deployment that is restored from it.

use std::fs;
use std::time::SystemTime;

use coax_api::{AuditEntry, BackupRequest, Client, Role, StackOptions, TokenRequest};
use coax_controller::backup::{Backup, BackupError, restore};
use serde_json::json;

use super::agent::Agent;
use super::controller::Controller;
use super::{shop, with_wait};

const PASSPHRASE: &str = "correct horse battery staple";

async fn backup(controller: &Controller) -> Vec<u8> {
    let passphrase = PASSPHRASE.to_owned();
    let request = BackupRequest { passphrase };
    controller.client.backup(&request).await.unwrap()
}

async fn create_token(client: &Client) {
    let token = TokenRequest {
        name: "ci".into(),
        role: Role::Viewer,
        project: None,
        expires_in: None,
    };
    client.create_token(&token).await.unwrap();
}

async fn history_and_log_go_on(client: &Client, log: &[AuditEntry]) {
    let revisions = client.revisions(&Default::default()).await.unwrap();
    assert_eq!(revisions.len(), 1);
    let after = client.audit_log(100).await.unwrap();
    assert_eq!(after[..log.len()], log[..]);
    assert_eq!(after[log.len()].method, "RESTORE");
    assert!(client.verify_audit_log().await.unwrap().broken_at.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_deployment_is_what_it_was_in_a_new_generation() {
    let mut controller = Controller::start().await;
    let client = controller.client.clone();
    let credentials = controller.join("hv1").await;
    let hv1 = Agent::attach_with(&controller, &credentials, "hv1", 1, &["shop/web-1"]).await;
    let hv1 = hv1.unwrap();
    let kept = tokio::spawn(hv1.keep_up());
    client
        .put_stack("shop", &shop(), &with_wait())
        .await
        .unwrap();
    create_token(&client).await;
    let open = controller.invite(Some("hv9")).await;
    let before = (
        client.ports(None).await.unwrap(),
        client.stack("shop").await.unwrap(),
        client.status().await.unwrap(),
    );
    let log = client.audit_log(100).await.unwrap();

    let file = backup(&controller).await;
    let contents = Backup::look_at(&file).unwrap();
    assert_eq!(
        (contents.projects, contents.ports, contents.hosts),
        (1, 2, 1)
    );
    // What happens after the backup is not in it.
    let more = json!({ "version": 1, "project": "later", "networks": { "net": {} } });
    let options = StackOptions::default();
    client.put_stack("later", &more, &options).await.unwrap();
    kept.abort();
    controller.stop().await;

    let (content, _) = Backup::read(&file, PASSPHRASE.as_bytes()).unwrap();
    let state = controller.state();
    let refused = restore(content.clone(), &contents, &state, None, SystemTime::now()).unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty { .. }), "{refused}");
    fs::remove_dir_all(&state).unwrap();
    restore(content, &contents, &state, None, SystemTime::now()).unwrap();
    controller.launch().await;

    let client = controller.client.clone();
    let ports = client.ports(None).await.unwrap();
    let known = |ports: &[coax_api::Port]| {
        let ports = ports.iter();
        let facts = ports.map(|it| (it.mac.clone(), it.host.clone(), it.revision));
        facts.collect::<Vec<_>>()
    };
    assert_eq!(known(&ports), known(&before.0));
    assert_eq!(client.stack("shop").await.unwrap(), before.1);
    let status = client.status().await.unwrap();
    assert!(
        status.generation > before.2.generation + 1_000_000,
        "{status:?}"
    );
    assert_eq!(client.projects().await.unwrap().len(), 1);
    assert_eq!(client.tokens().await.unwrap()[0].name, "ci");
    history_and_log_go_on(&client, &log).await;
    // A join token may have been used since: it is not good any more.
    let name = "hv9".parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let old = coax_agent::join(&open, &name, folder.path()).await;
    assert!(old.is_err());
    // Hosts are who they were.
    let hv1 = Agent::attach_with(&controller, &credentials, "hv1", 1, &["shop/web-1"]).await;
    hv1.unwrap().until_current().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_made_for_admins_with_a_good_passphrase() {
    let controller = Controller::start().await;
    let passphrase = "short".to_owned();
    let request = BackupRequest { passphrase };
    let refused = controller.client.backup(&request).await.unwrap_err();
    assert_eq!(refused.problem().unwrap().code, "short-passphrase");
    let entries = controller.client.audit_log(10).await.unwrap();
    assert_eq!(entries[0].path, "/v1/backups");
    assert!(!format!("{entries:?}").contains("short"), "{entries:?}");
}

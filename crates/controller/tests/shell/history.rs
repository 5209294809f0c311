//! Revisions over REST: who, conditions, repetitions, pages.

use coax_api::{Client, ClientError, HistoryOptions, RollbackOptions, StackOptions};

use super::controller::Controller;
use super::shop;

fn code<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> (u16, String) {
    match answer.unwrap_err() {
        ClientError::Refused(problem) => (problem.status, problem.code),
        other => panic!("{other}"),
    }
}

async fn put(client: &Client, options: StackOptions) -> Result<coax_api::Plan, ClientError> {
    client.put_stack("shop", &shop(), &options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_have_authors_conditions_and_pages() {
    let mut controller = Controller::start().await;
    let client = controller.client.clone();
    let keyed = StackOptions {
        reason: Some("the shop opens & closes".into()),
        idempotency_key: Some("k1".into()),
        ..StackOptions::default()
    };
    let first = put(&client, keyed.clone()).await.unwrap();
    client
        .delete_stack("shop", &StackOptions::default())
        .await
        .unwrap();

    // Sent again, perhaps because the answer got lost: it is not done again.
    assert_eq!(put(&client, keyed.clone()).await.unwrap(), first);
    assert!(client.projects().await.unwrap().is_empty());
    let other = StackOptions {
        reason: None,
        ..keyed
    };
    let reused = code(put(&client, other).await);
    assert_eq!(reused, (422, "idempotency-key-reused".into()));

    let stale = StackOptions {
        if_match: Some(first.revision),
        ..StackOptions::default()
    };
    assert_eq!(
        code(put(&client, stale).await),
        (412, "revision-mismatch".into())
    );

    let options = RollbackOptions::default();
    let back = client.rollback(first.revision, &options).await.unwrap();
    assert_eq!(back.changes.len(), first.changes.len());
    let all = client.revisions(&HistoryOptions::default()).await.unwrap();
    let actions: Vec<&str> = all.iter().map(|it| it.action.as_str()).collect();
    assert_eq!(actions, ["rollback", "destroy", "apply"]);
    let page = |before| HistoryOptions {
        before,
        limit: Some(2),
        project: Some("shop".into()),
    };
    let newest = client.revisions(&page(None)).await.unwrap();
    let rest = client
        .revisions(&page(Some(newest[1].revision)))
        .await
        .unwrap();
    assert_eq!([newest, rest].concat(), all);
    let oldest = client.revision(first.revision).await.unwrap();
    // Tests run as whoever starts them.
    assert!(oldest.author == "root" || oldest.author.starts_with("uid "));
    assert_eq!(oldest.reason, "the shop opens & closes");
    assert_eq!(oldest.changes, first.changes);
    assert_eq!(
        code(client.revision(1).await),
        (404, "not-in-history".into())
    );

    controller.restart().await;
    let client = controller.client.clone();
    let again = client.revisions(&HistoryOptions::default()).await.unwrap();
    assert_eq!(again, all);
}

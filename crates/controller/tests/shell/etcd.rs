//! A controller that stores in etcd.

use coax_api::{HistoryOptions, StackOptions};
use coax_controller::EtcdAddresses;

use super::controller::Controller;
use super::server::Server;
use super::shop;

#[tokio::test(flavor = "multi_thread")]
async fn etcd_dies_and_comes_back_and_everything_is_there() {
    let mut server = Server::start();
    let address = server.address();
    let mut controller = Controller::start_with(|options| {
        options.store = Some(EtcdAddresses(vec![address]));
    })
    .await;
    let client = controller.client.clone();
    let options = StackOptions::default();
    let plan = client.put_stack("shop", &shop(), &options).await.unwrap();

    server.kill();
    // Reading does not need it; writing waits until it is back.
    assert_eq!(client.ports(Some("shop")).await.unwrap().len(), 2);
    let writer = client.clone();
    let write = tokio::spawn(async move { writer.delete_stack("shop", &options).await });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    server.run();
    let gone = write.await.unwrap().unwrap();
    assert!(gone.revision > plan.revision);

    controller.restart().await;
    let client = controller.client.clone();
    let history = client.revisions(&HistoryOptions::default()).await.unwrap();
    let revisions: Vec<u64> = history.iter().map(|it| it.revision).collect();
    assert_eq!(revisions, [gone.revision, plan.revision]);
    let options = StackOptions::default();
    let again = client.put_stack("shop", &shop(), &options).await.unwrap();
    assert!(again.revision > gone.revision);
}

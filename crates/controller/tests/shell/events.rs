//! Events over REST: a list, a stream that goes on where it was, and nobody else's.

use coax_api::{
    Client, Endpoint, Event, EventKind, EventNews, EventParams, Role, StackOptions, TokenRequest,
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::agent::Agent;
use super::controller::Controller;
use super::{PATIENCE, shop};

/// What a client is told from now on.
fn follow(client: &Client, params: EventParams) -> mpsc::UnboundedReceiver<EventNews> {
    let (told, news) = mpsc::unbounded_channel();
    let client = client.clone();
    tokio::spawn(async move {
        let take = |news| told.send(news).is_ok();
        let _ = client.follow_events(&params, take).await;
    });
    news
}

async fn until(
    news: &mut mpsc::UnboundedReceiver<EventNews>,
    wanted: impl Fn(&Event) -> bool,
) -> Event {
    let found = async {
        loop {
            match news.recv().await.expect("the stream goes on") {
                EventNews::Event(event) if wanted(&event) => return *event,
                _ => {}
            }
        }
    };
    timeout(PATIENCE, found).await.expect("it is told in time")
}

/// The answer's text until something comes in it.
async fn raw(controller: &Controller, path: &str, headers: &str, end: &str) -> String {
    let Endpoint::Unix(socket) = controller.client.endpoint() else {
        panic!("the tests' controllers listen on Unix sockets");
    };
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: coax\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&text).contains(end) {
            assert!(stream.read_buf(&mut text).await.unwrap() > 0, "it ended");
        }
    };
    let read = timeout(PATIENCE, read).await;
    let text = String::from_utf8_lossy(&text).into_owned();
    read.unwrap_or_else(|_| panic!("no `{end}` in {text}"));
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_to_those_who_follow_and_to_those_who_come_back() {
    let mut controller = Controller::start().await;
    let client = controller.client.clone();
    // The first one says what there was already: after it nothing is missed.
    client
        .put_stack("shop", &shop(), &StackOptions::default())
        .await
        .unwrap();
    let params = EventParams {
        last: Some(1),
        ..EventParams::default()
    };
    let mut news = follow(&client, params);
    let first = until(&mut news, |it| it.kind == EventKind::RevisionStored).await;
    let mut hv1 = Agent::attach(&controller, "hv1", 1, &["shop/web-1"]).await;
    hv1.until_current().await;
    let plugged = until(&mut news, |it| it.kind == EventKind::PortPlugged).await;
    assert_eq!(
        (plugged.object.as_str(), plugged.host.as_str()),
        ("shop/web-1", "hv1")
    );
    drop(hv1);
    until(&mut news, |it| it.kind == EventKind::HostAway).await;

    let all = client.events(&EventParams::default()).await.unwrap();
    assert!(!all.incomplete);
    let kinds: Vec<EventKind> = all.events.iter().map(|it| it.kind).collect();
    assert_eq!(
        kinds,
        [
            EventKind::RevisionStored,
            EventKind::HostAttached,
            EventKind::PortPlugged,
            EventKind::HostAway
        ]
    );
    // A browser that was away says what it saw last.
    let header = format!("last-event-id: {}\r\n", all.events[1].id);
    let path = "/v1/events?follow=true";
    let text = raw(&controller, path, &header, "host-away").await;
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    assert!(text.contains(&format!("id: {}\n", plugged.id)), "{text}");
    assert!(
        !text.contains(&format!("id: {}\n", all.events[1].id)),
        "{text}"
    );

    controller.restart().await;
    let header = format!("last-event-id: {}\r\n", first.id);
    raw(&controller, path, &header, "event: lost").await;
    let bad = raw(&controller, path, "last-event-id: 7\r\n", "bad-parameter").await;
    assert!(bad.starts_with("HTTP/1.1 400"), "{bad}");
    let bad = raw(&controller, "/v1/events?kind=x", "", "port-moved").await;
    assert!(bad.starts_with("HTTP/1.1 400"), "{bad}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_told_of_nobody_else() {
    let controller = Controller::start().await;
    let client = &controller.client;
    let request = TokenRequest {
        name: "watcher".into(),
        role: Role::Viewer,
        project: Some("shop".into()),
        expires_in: None,
    };
    let token = client.create_token(&request).await.unwrap().token;
    let mut lab = shop();
    lab["project"] = json!("lab");
    for (project, file) in [("lab", lab), ("shop", shop())] {
        let options = StackOptions::default();
        client.put_stack(project, &file, &options).await.unwrap();
    }
    let mut news = follow(client, EventParams::default());
    let _hv1 = Agent::attach(&controller, "hv1", 1, &["lab/web-1", "shop/web-1"]).await;
    for project in ["lab", "shop"] {
        let plugged = |it: &Event| it.kind == EventKind::PortPlugged && it.project == project;
        until(&mut news, plugged).await;
    }
    let all = client.events(&EventParams::default()).await.unwrap();
    assert_eq!(all.events.len(), 5, "{all:?}");

    let headers = format!("authorization: Bearer {token}\r\n");
    let text = raw(&controller, "/v1/events", &headers, "incomplete").await;
    assert!(text.contains("shop/web-1"), "{text}");
    assert!(!text.contains("lab"), "{text}");
    assert!(!text.contains("host-attached"), "{text}");
    let path = "/v1/events?project=lab";
    let refused = raw(&controller, path, &headers, "\r\n\r\n").await;
    assert!(!refused.starts_with("HTTP/1.1 200"), "{refused}");
}

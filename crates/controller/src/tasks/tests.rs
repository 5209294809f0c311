//! A stream that nobody reads.

use std::time::SystemTime;

use coax_api::agent::agent_message::Body as FromAgent;
use coax_api::agent::{Claims, Hello};
use coax_store::Memory;

use super::*;
use crate::core::submission::Clock;
use crate::records;

async fn attach(handle: &Handle, number: u8, room: usize) -> mpsc::Receiver<ControllerMessage> {
    let session = SessionId(number.into());
    let (messages, inbox) = mpsc::channel(room);
    handle.tell(Event::Opened { session, messages }).await;
    let hello = Hello {
        host: format!("hv{number}"),
        vtep_ipv4: vec![192, 0, 2, number].into(),
        underlay_mtu: 1600,
        ..Hello::default()
    };
    let claims = Claims {
        full: true,
        ..Claims::default()
    };
    for (sequence, body) in [(1, FromAgent::Hello(hello)), (2, FromAgent::Claims(claims))] {
        let message = AgentMessage {
            sequence,
            body: Some(body),
        };
        handle.tell(Event::Said { session, message }).await;
    }
    inbox
}

#[tokio::test]
async fn an_agent_that_does_not_read_loses_its_stream_and_nobody_else_does() {
    let store = Arc::new(Memory::new());
    let generation = records::generation(&*store).unwrap();
    let loaded = records::load(&*store, 1600).unwrap();
    let clock = Clock::new(SystemTime::now(), Instant::now());
    let core = Core::new(generation, 1, loaded, clock);
    let (handle, ended) =
        spawn(core, store, Arc::default(), None, Arc::new(Metrics::new())).unwrap();

    let mut slow = attach(&handle, 1, 1).await;
    let mut quick = attach(&handle, 2, 10).await;
    // The answer comes when everything before it is done.
    let timeout = Duration::ZERO;
    handle
        .ask(Request::Wait {
            revision: 0,
            timeout,
        })
        .await
        .unwrap()
        .unwrap();
    let totals = handle.read().status().hosts;
    assert_eq!((totals.total, totals.connected), (2, 1));
    assert!(matches!(
        slow.recv().await.unwrap().body,
        Some(Body::Welcome(_))
    ));
    assert!(
        slow.recv().await.is_none(),
        "the stream ends after what fitted"
    );
    assert!(matches!(
        quick.recv().await.unwrap().body,
        Some(Body::Welcome(_))
    ));
    assert!(matches!(
        quick.recv().await.unwrap().body,
        Some(Body::Current(_))
    ));

    handle.tell(Event::Stop).await;
    ended.await.unwrap();
    assert!(quick.recv().await.is_none());
    assert!(handle.ask(Request::Report).await.is_none());
}

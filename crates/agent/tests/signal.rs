//! Stopping an agent with SIGTERM. Alone in its file: the signal reaches every agent of the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use coax_vswitch::DataPlane;
use nix::sys::signal::{Signal, raise};
use support::{Controller, inside, slice};

#[test]
fn sigterm_stops_the_agent_keeps_the_cache_and_touches_nothing() {
    inside(async |place| {
        let netlink = place.prepare().await;
        place.plug(&netlink, "tap0", "p/a").await;
        let mut controller = Controller::start(None).await;
        let agent = place.start(&controller);
        controller.teach(&slice()).await;
        let plane = place.plane();
        let (rows, attached) = (plane.rows().unwrap(), plane.attached().unwrap());
        assert_eq!((rows.ports.len(), attached.len()), (1, 2));

        raise(Signal::SIGTERM).unwrap();
        agent.await.unwrap().unwrap();
        assert_eq!(plane.rows().unwrap(), rows);
        assert_eq!(plane.attached().unwrap(), attached);
        let cache = coax_agent::Cache::new(&place.state.path().join("not/yet/there"));
        let contents = cache.load().unwrap().expect("a cache");
        assert_eq!((contents.revision, contents.slices.len()), (5, 1));
        assert_eq!(contents.slots.len(), 1);
    });
}

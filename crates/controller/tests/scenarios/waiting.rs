//! Waiting until hosts have a revision.

use super::*;

#[test]
fn waiting_ends_when_hosts_have_it_or_are_named() {
    let mut world = world();
    world.plug(HV1, "shop/web-1");
    world.plug(HV2, "shop/web-2");
    world.settle();
    let revision = world
        .apply(&STACK.replace("db-1:", "web-3: { network: web }\n  db-1:"))
        .revision;
    let timeout = Duration::from_secs(30);
    let wait = world.request(Request::Wait { revision, timeout });
    assert!(!world.replies.contains_key(&wait), "nobody has it yet");
    world.settle();
    let Some(Ok(Answer::Realisation(realisation))) = world.replies.remove(&wait) else {
        panic!("everybody has it");
    };
    assert!(realisation.done && realisation.realized.len() == 3);

    world.detach(HV2);
    let revision = world.apply(STACK).revision;
    let wait = world.request(Request::Wait { revision, timeout });
    world.settle();
    assert!(
        !world.replies.contains_key(&wait),
        "hv2 may be back at once"
    );
    world.pass(Duration::from_secs(6));
    let Some(Ok(Answer::Realisation(realisation))) = world.replies.remove(&wait) else {
        panic!("hv2 is named, not waited for");
    };
    assert!(!realisation.done);
    assert_eq!(
        (
            realisation.missing[0].host.as_str(),
            realisation.missing[0].connected
        ),
        ("hv2", false)
    );
}

//! The self-test on the kernel that runs the tests.
#![allow(clippy::unwrap_used, missing_docs)]

use coax_bench::filter::Filter;
use coax_bench::measure;
use coax_bench::pair::{Datapath, Pair};
use coax_bench::plan::Plan;
use coax_bench::vm::Vm;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

#[tokio::test]
async fn this_kernel_forwards() {
    coax_bench::selftest::kernel().await.unwrap();
}

/// What the benchmarks of firewalls and routers measure is what its name says: the traffic is let through, and by the
/// last of the rules only.
#[tokio::test]
async fn what_is_measured_filters_and_routes() {
    let filter = Filter {
        rules: 100,
        state_first: false,
    };
    let filtered = |datapath, label| Plan::of(datapath, label).guarded().filtered(filter);
    let routed = Plan::of(Datapath::Coax, "selfrouted")
        .guarded()
        .between_networks();
    for (plan, hops) in [
        (filtered(Datapath::Coax, "selffw"), 64),
        (filtered(Datapath::BridgeVxlan, "selfnft"), 64),
        (routed, 63),
    ] {
        let pair = Pair::build_plan(&plan).await.unwrap();
        let addresses = [Vm::number(1).ipv4, Vm::number(2).ipv4];
        let time = Duration::from_millis(50);
        measure::datagrams(&pair.vms, addresses, time, 10).unwrap();
        measure::new_flows(&pair.vms, addresses, 10, 6000).unwrap();
        assert!(measure::stream(&pair.vms, addresses, time).unwrap() > 1e6);
        let said = ping(&pair, addresses[1].into());
        assert!(
            said.contains(&format!("ttl={hops}")),
            "{}: {said}",
            plan.label
        );
        if plan.filter.is_some() {
            let said = ping(&pair, Vm::number(2).ipv6.into());
            assert!(
                said.contains("100% packet loss"),
                "no rule is about IPv6: {said}"
            );
        }
    }
}

fn ping(pair: &Pair, to: IpAddr) -> String {
    let mut command = Command::new("ping");
    command
        .args(["-n", "-c1", "-W1", &to.to_string()])
        .stdout(Stdio::piped());
    let child = pair.vms[0].spawn(&mut command).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn the_verifier_counts() {
    for (program, instructions) in coax_bench::selftest::budget().unwrap() {
        assert!(
            (2..500_000).contains(&instructions),
            "{program}: {instructions}"
        );
    }
}

//! How long a new port takes: from the call of the API to the first packet of its VM that is answered
//! by a VM on another host. The devices are there before, as a hypervisor has them when it starts a VM,
//! so what is measured is Coax and not how fast a machine makes namespaces.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use coax_api::StackOptions;
use coax_model::StackFile;
use coax_netlink::{Namespace, VethEnd};

use super::report::Checks;
use super::world::{World, address, example, mac};
use crate::error::Error;
use crate::measure::{self, ping};
use crate::name::alias;
use crate::vm::{self, CARD, VmSpec};

/// Ports that are made, one after the other.
const PORTS: u8 = 50;
const HOST: &str = "hv1";
const TARGET: &str = "shop/web-2";
/// Between two tries of a VM that has no answer yet.
const INTERVAL: Duration = Duration::from_micros(500);
const LIMIT: Duration = Duration::from_secs(5);

/// Makes ports and takes them away again. The result is in milliseconds, sorted.
pub(super) fn run(world: &World, checks: &mut Checks) -> Result<Vec<f64>, Error> {
    let measured = (1..=PORTS).try_for_each(|number| prepare(world, number));
    let measured = measured.and_then(|()| measure_all(world));
    for number in 1..=PORTS {
        remove(world, number)?;
    }
    put(world, 0)?;
    let mut times = measured?;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get(((times.len() - 1) as f64 * share) as usize);
    if let (Some(median), Some(late), Some(most)) = (at(0.5), at(0.99), times.last()) {
        checks.tell(
            "API call to the first answered packet of a new port",
            format!("p50 {median:.1} ms, p99 {late:.1} ms, at most {most:.1} ms of {PORTS}"),
        );
    }
    Ok(times)
}

fn id(number: u8) -> String {
    format!("shop/new-{number}")
}

fn own_address(number: u8) -> [u8; 4] {
    [10, 10, 1, 200 + number]
}

fn own_mac(number: u8) -> [u8; 6] {
    [0x02, 0, 0, 0, 0xee, number]
}

/// A VM whose port nobody has made yet, in a namespace that the lab does not take for one of its VMs.
/// It knows the target's MAC address, because a guest asks for it once a second only, and that is not
/// what is measured.
fn prepare(world: &World, number: u8) -> Result<(), Error> {
    let target = world.port(TARGET)?;
    let to = address(&target, false).ok_or_else(|| Error::NotPlugged(TARGET.into()))?;
    let own = ipnet::Ipv4Net::new_assert(own_address(number).into(), 24);
    let spec = VmSpec {
        port: id(number),
        mac: own_mac(number),
        mtu: target.mtu,
        prefixes: vec![own.into()],
        gateways: Vec::new(),
    };
    let namespace = Namespace::create(&name(world, number))?;
    vm::prepare(&namespace)?;
    let hypervisor = &world.site.node(world.site.host(HOST)?.0).netlink;
    let device = format!("new{number}");
    let card = VethEnd::new(CARD)
        .in_namespace(&namespace)
        .with_mac(spec.mac)
        .with_mtu(spec.mtu);
    world.wait(async {
        let outside = VethEnd::new(&device).with_mtu(spec.mtu);
        hypervisor.create_veth(&outside, &card).await?;
        let inside = namespace.netlink()?;
        vm::configure(&inside, &spec).await?;
        let card = inside.link(CARD).await?.index;
        inside.set_neighbour(card, to, mac(&target)).await?;
        let device = hypervisor.link(&device).await?.index;
        hypervisor.set_alias(device, &alias(&spec.port)).await?;
        Ok(hypervisor.set_up(device).await?)
    })
}

fn name(world: &World, number: u8) -> String {
    world.lab.namespace(&format!("new-{number}"))
}

/// Takes a VM away; its card and the card's other end go with the namespace.
fn remove(world: &World, number: u8) -> Result<(), Error> {
    match Namespace::delete(&name(world, number)) {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

fn measure_all(world: &World) -> Result<Vec<f64>, Error> {
    let target = address(&world.port(TARGET)?, false);
    let target = target.ok_or_else(|| Error::NotPlugged(TARGET.into()))?;
    (1..=PORTS)
        .map(|number| first_answer(world, number, target))
        .collect()
}

fn first_answer(world: &World, number: u8, target: IpAddr) -> Result<f64, Error> {
    let options = ping::Options {
        limit: LIMIT,
        tries: u32::MAX,
        interval: INTERVAL,
        ..ping::Options::default()
    };
    let pinging = measure::start(&Namespace::open(&name(world, number))?, move || {
        let answers = ping::ping(&[target], options)?;
        let answered = answers.iter().all(|answer| answer.answered.is_some());
        Ok(answered.then(Instant::now))
    });
    // The VM tries for a while without a port: the first answer is due to the call and nothing else.
    std::thread::sleep(20 * INTERVAL);
    let start = Instant::now();
    put(world, number)?;
    let end = pinging.join()?.ok_or_else(|| Error::TimedOut {
        what: "a packet of a new port".into(),
        limit: LIMIT,
        detail: id(number),
    })?;
    Ok(end.saturating_duration_since(start).as_secs_f64() * 1e3)
}

/// The shop with the first `count` new ports.
fn put(world: &World, count: u8) -> Result<(), Error> {
    let mut text = example("shop").1.to_owned();
    for number in 1..=count {
        let [a, b, c, d] = own_address(number);
        let mac = own_mac(number).map(|byte| format!("{byte:02x}")).join(":");
        text.push_str(&format!(
            "  new-{number}: {{ network: web, mac: \"{mac}\", addresses: [{a}.{b}.{c}.{d}] }}\n"
        ));
    }
    let file = StackFile::parse(&text).map_err(|problem| Error::Output(problem.to_string()))?;
    let options = StackOptions {
        dry_run: false,
        wait: None,
        ..StackOptions::default()
    };
    world.wait(
        world
            .client
            .put_stack(file.project.as_str(), &file, &options),
    )?;
    Ok(())
}

//! Faults of firewalls and routers: a rule, a group, a rail or a route that is not what somebody thinks it is.

use std::net::Ipv6Addr;

use coax_tables::{AddressKey, ClassKey, DropReason, NetworkId, RouteKey};
use coax_wire::ip;

use crate::site::Site;
use crate::table::{Fault, count, fault};

/// Two tiers behind a router, as they should be: web-1 on hv1, web-2 and db-1 on hv2, web-4 on hv3.
pub const ZONES: &str = "
version: 1
project: shop
networks:
  web: { subnets: [10.10.1.0/24, 'fd00:1::/64'], vni: 100, mtu: 1500 }
  db: { subnets: [10.10.3.0/24, 'fd00:3::/64'], vni: 300, mtu: 1500 }
routers:
  gw: { networks: [web, db] }
ports:
  web-1: { network: web, addresses: [10.10.1.11, 'fd00:1::11'], mac: '02:00:00:00:01:01' }
  web-2: { network: web, addresses: [10.10.1.12, 'fd00:1::12'], mac: '02:00:00:00:01:02' }
  web-3: { network: web, addresses: [10.10.1.13], mac: '02:00:00:00:01:03' }
  web-4: { network: web, addresses: [10.10.1.14], mac: '02:00:00:00:01:04', labels: { tier: front } }
  db-1: { network: db, addresses: [10.10.3.11, 'fd00:3::11'], mac: '02:00:00:00:03:01' }
groups:
  front: { match: { vm: 'web-*' } }
  back: { ports: [db-1] }
address_groups:
  clients: [10.10.1.0/24, 'fd00:1::/64']
firewall:
  default: deny
  rules:
    - { name: web, from: address-group/clients, to: group/front, allow: [tcp/443] }
    - { name: ping, from: any, to: any, allow: [icmp/8, icmpv6/128] }
    - { name: front-to-back, from: group/front, to: group/back, allow: [tcp/5432] }
    - { name: no-telnet, from: any, to: any, reject: [tcp/23] }
";

/// The project as it should be, but for `from`, which is `to`.
fn zones(site: &Site, from: &str, to: &str) {
    assert!(ZONES.contains(from), "{from}");
    site.apply(&ZONES.replace(from, to));
}

fn intact(site: &Site) {
    site.apply(ZONES);
}

const RULE: &str = "{ name: front-to-back, from: group/front, to: group/back, allow: [tcp/5432] }";
const THERE: (&str, &str, &str) = ("web-1", "db-1", "tcp/5432");
const THERE6: (&str, &str, &str) = ("fd00:1::11", "fd00:3::11", "tcp/5432");

/// A host has lost the classes of a port's addresses, which end alike in both families.
pub fn lose_class(site: &Site, host: u8, [.., network, port]: [u8; 4]) {
    site.host(host, move |host| {
        let is_of = move |key: &ClassKey| {
            let address = key.address;
            let plain = address == ip::mapped([10, 10, network, port]);
            plain
                || address[..4] == [0xfd, 0, 0, network]
                    && address[15] == u8::from_str_radix(&port.to_string(), 16).unwrap()
        };
        host.corrupt(move |rows| rows.classes.retain(|key, _| !is_of(key)));
    });
}

/// Pairs that the project as it should be lets through.
pub const ALLOWED: [(&str, &str, &str); 6] = [
    THERE,
    THERE6,
    ("web-4", "db-1", "tcp/5432"),
    ("web-1", "web-2", "tcp/443"),
    ("web-1", "db-1", "icmp"),
    ("db-1", "fd00:1::11", "icmp"),
];

/// The project as it should be.
pub fn seed(site: &Site) {
    intact(site);
}

/// All faults of this kind.
pub const FAULTS: &[Fault] = &[
    fault(
        "a service that no rule allows",
        |site| intact(site),
        ("web-1", "db-1", "tcp/3306"),
        "denied",
        &[
            "dropped on hv1, because no rule allows it",
            "rule `shop/front-to-back` allows only tcp/5432",
        ],
    ),
    fault(
        "the rule is for the other direction",
        |site| intact(site),
        ("db-1", "web-1", "tcp/5432"),
        "denied",
        &[
            "dropped on hv2, because no rule allows it",
            "rule `shop/front-to-back` allows it in the other direction only",
        ],
    ),
    fault(
        "the rule has the wrong port",
        |site| zones(site, "tcp/5432", "tcp/5433"),
        THERE,
        "denied",
        &[
            "dropped on hv1, because no rule allows it",
            "rule `shop/front-to-back` allows only tcp/5433",
        ],
    ),
    fault(
        "the rule has the wrong protocol",
        |site| zones(site, "tcp/5432", "udp/5432"),
        THERE,
        "denied",
        &[
            "dropped on hv1, because no rule allows it",
            "rule `shop/front-to-back` allows only udp/5432",
        ],
    ),
    fault(
        "the rule names the wrong group",
        |site| zones(site, "to: group/back", "to: group/front"),
        THERE,
        "denied",
        &[
            "dropped on hv1, because no rule allows it",
            "rule `shop/front-to-back` would, but shop/db-1 is not in group/front",
        ],
    ),
    fault(
        "the pattern of the group does not match the VM",
        |site| zones(site, "'web-*'", "'www-*'"),
        THERE,
        "denied",
        &[
            "dropped on hv1, because no rule allows it",
            "rule `shop/front-to-back` would, but shop/web-1 is not in group/front",
        ],
    ),
    fault(
        "the group wants a label that the port lacks",
        |site| {
            zones(
                site,
                "match: { vm: 'web-*' }",
                "match: { labels: { tier: front } }",
            )
        },
        THERE,
        "denied",
        &[
            "dropped on hv1, because no rule allows it",
            "rule `shop/front-to-back` would, but shop/web-1 is not in group/front",
        ],
    ),
    fault(
        "the group of the servers has lost its member",
        |site| zones(site, "back: { ports: [db-1] }", "back: { ports: [web-3] }"),
        THERE,
        "denied",
        &[
            "dropped on hv1, because no rule allows it",
            "rule `shop/front-to-back` would, but shop/db-1 is not in group/back",
        ],
    ),
    fault(
        "the address group has the wrong prefix",
        |site| {
            zones(
                site,
                "[10.10.1.0/24, 'fd00:1::/64']\nfirewall",
                "[10.10.2.0/24, 'fd00:1::/64']\nfirewall",
            )
        },
        ("web-1", "web-2", "tcp/443"),
        "denied",
        &[
            "dropped on hv1, because no rule allows it",
            "would, but",
            "is not in address-group/",
        ],
    ),
    fault(
        "the address group forgets IPv6",
        |site| {
            zones(
                site,
                "[10.10.1.0/24, 'fd00:1::/64']\nfirewall",
                "[10.10.1.0/24]\nfirewall",
            )
        },
        ("fd00:1::11", "fd00:1::12", "tcp/443"),
        "denied",
        &[
            "dropped on hv1, because no rule allows it",
            "would, but",
            "is not in address-group/",
        ],
    ),
    fault(
        "a rule that denies stands before the one that allows",
        |site| {
            let denies = "{ name: back-is-closed, from: any, to: group/back, deny: [tcp] }\n    - ";
            zones(site, RULE, &format!("{denies}{RULE}"));
        },
        THERE,
        "denied",
        &["dropped on hv1", "rule `shop/back-is-closed`"],
    ),
    fault(
        "a rule that rejects",
        |site| intact(site),
        ("web-1", "db-1", "tcp/23"),
        "rejected",
        &["rejected on hv1", "rule `shop/no-telnet`"],
    ),
    fault(
        "echoes are allowed over IPv4 only",
        |site| zones(site, "[icmp/8, icmpv6/128]", "[icmp/8]"),
        ("fd00:1::11", "fd00:3::11", "icmp"),
        "denied",
        &[
            "dropped on hv1, because no rule allows it",
            "allows only icmp/8 between them",
        ],
    ),
    fault(
        "a rail closes what the project allows",
        |site| {
            intact(site);
            site.apply(
                "version: 1\nrails:\n  rules:\n    - { name: no-databases, from: any, to: any, deny: [tcp/5432] }\n",
            );
        },
        THERE,
        "denied",
        &["dropped on hv1", "rails", "no-databases"],
    ),
    fault(
        "a rail names an address group that holds the server",
        |site| {
            intact(site);
            site.apply(
                "version: 1\nrails:\n  address_groups: { secret: [10.10.3.0/28] }\n  rules:\n    - { name: hidden, from: any, to: address-group/secret, reject: [any] }\n",
            );
        },
        THERE,
        "rejected",
        &["rejected on hv1", "rails", "hidden"],
    ),
    fault(
        "a rail closes what audit mode would let pass",
        |site| {
            zones(site, "default: deny", "default: deny\n  mode: audit");
            site.apply(
                "version: 1\nrails:\n  rules:\n    - { name: no-databases, from: any, to: any, deny: [tcp/5432] }\n",
            );
        },
        THERE,
        "denied",
        &["dropped on hv1", "rails", "no-databases"],
    ),
    fault(
        "the sender's host has lost the class of the server",
        |site| {
            intact(site);
            lose_class(site, 1, [10, 10, 3, 11]);
        },
        THERE,
        "policy-differs",
        &["dropped on hv1, although rule `shop/front-to-back` allows it"],
    ),
    fault(
        "the receiver's host has lost the class of the client",
        |site| {
            intact(site);
            lose_class(site, 2, [10, 10, 1, 11]);
        },
        THERE,
        "policy-differs",
        &["dropped on hv2, although rule `shop/front-to-back` allows it"],
    ),
    fault(
        "the sender's host lacks the receiver's IPv6 address",
        |site| {
            intact(site);
            site.host(1, |host| {
                let last = AddressKey {
                    address: "fd00:1::12".parse::<Ipv6Addr>().unwrap().octets(),
                    network: NetworkId(100),
                };
                host.corrupt(move |rows| {
                    rows.addresses.remove(&last);
                });
            });
        },
        ("fd00:1::11", "fd00:1::12", "tcp/443"),
        "unknown-address",
        &["hv1", "fd00:1::12", "shop/web-2", "missing"],
    ),
    fault(
        "the sender's host has no policy",
        |site| {
            intact(site);
            site.host(1, |host| host.corrupt(|rows| rows.domains.clear()));
        },
        THERE,
        "policy-differs",
        &["dropped on hv1, although rule `shop/front-to-back` allows it"],
    ),
    fault(
        "the receiver's project has no router to the sender",
        |site| zones(site, "networks: [web, db]", "networks: [web]"),
        THERE,
        "no-router",
        &["shop/db-1", "shop/web", "no router"],
    ),
    fault(
        "a destination that no route leads to",
        |site| intact(site),
        ("web-1", "203.0.113.5", "icmp"),
        "no-route",
        &["hv1", "203.0.113.5"],
    ),
    fault(
        "a route by way of an address that nobody has",
        |site| {
            let routes = "networks: [web, db], routes: [{ to: 0.0.0.0/0, via: 10.10.1.200 }]";
            zones(site, "networks: [web, db]", routes);
        },
        ("web-1", "203.0.113.5", "icmp"),
        "no-neighbour",
        &["hv1", "10.10.1.200"],
    ),
    fault(
        "nobody has the address behind the router",
        |site| intact(site),
        ("web-1", "10.10.3.200", "icmp"),
        "no-neighbour",
        &["hv1", "10.10.3.200"],
    ),
    fault(
        "the sender's host has lost the route to the server's network",
        |site| {
            intact(site);
            site.host(1, |host| {
                host.corrupt(|rows| {
                    rows.routes
                        .retain(|key, _| !is_route_to(key, [10, 10, 3, 0]))
                });
            });
        },
        THERE,
        "no-route",
        &["hv1", "10.10.3.11"],
    ),
    fault(
        "both ports are isolated",
        |site| {
            zones(
                site,
                "vni: 100, mtu: 1500 }",
                "vni: 100, mtu: 1500, isolated: true }",
            )
        },
        ("web-1", "web-2", "tcp/443"),
        "isolated",
        &["hv1", "isolated"],
    ),
    fault(
        "guards drop what the VM sends from another address",
        |site| {
            intact(site);
            site.host(1, |host| {
                count(host, "shop/web-1", DropReason::ForgedAddress, 12)
            });
        },
        THERE,
        "sender-drops",
        &["shop/web-1", "12 frames", "forged-address"],
    ),
];

fn is_route_to(key: &RouteKey, network: [u8; 4]) -> bool {
    key.address == ip::mapped(network)
}

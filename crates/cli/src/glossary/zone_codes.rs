//! The codes of errors about zones: routers, groups, firewalls, and what ports may do.

use super::Entry;
use super::codes::{code, code_with};

/// All codes.
pub(super) const CODES: &[Entry] = &[
    // Naming what is not there.
    code(
        "unknown-member",
        "A group or a check names a port that is not in the file.",
    ),
    code(
        "unknown-group",
        "A firewall rule or a check names a group that is not in the file.",
    ),
    code(
        "unknown-address-group",
        "A firewall rule names an address group that is not in the file.",
    ),
    code(
        "unknown-object",
        "Something is named that is not in the file.",
    ),
    // Groups, rules, rails.
    code(
        "rule-name-taken",
        "Two rules of a firewall have the same name. Drops, flows and traces call a rule by its \
         name, so it must be unique.",
    ),
    code(
        "rule-action",
        "A rule says exactly one of `allow`, `deny` and `reject`, each with a list of services.",
    ),
    code(
        "rule-empty",
        "A rule with an empty list would match nothing. If everything is meant, write `any`.",
    ),
    code(
        "rule-families",
        "A rule from IPv4 to IPv6 addresses matches no packet, because a packet is of one family.",
    ),
    code(
        "rail-selector",
        "The operator's rails hold for projects, so they cannot depend on objects that projects \
         change: a project could open what a rail closes by taking a port out of a group.",
    ),
    code(
        "check-empty",
        "A check with an empty list is about nobody or nothing. If everybody is meant, write `any`.",
    ),
    code_with(
        "quota-exceeded",
        "The file would give the project more of something than its quota allows, so nothing was changed. \
         What the project has already it keeps, also where a quota became smaller. An admin of the deployment \
         sets quotas.",
        "coax project show NAME",
    ),
    code_with(
        "checks-fail",
        "After the change, checks of the project would fail, so nothing was changed. Each one is named \
         with the rule that decides otherwise.",
        "coax diff -f FILE",
    ),
    code_with(
        "check-fails",
        "A check of the project says who must or must not reach whom, and rules, routers or members \
         say otherwise. `--ignore-checks` applies the file all the same.",
        "coax diff -f FILE",
    ),
    code(
        "group-empty",
        "A group without `match` and `ports` never has a member.",
    ),
    code(
        "project-reserved",
        "`rails` is the name under which the operator's rules are listed.",
    ),
    // Routers.
    code(
        "gateway-outside",
        "The gateway of a subnet is an address of that subnet.",
    ),
    code(
        "address-is-gateway",
        "The gateway address of a network that is joined to a router belongs to the router.",
    ),
    code(
        "mac-is-gateway",
        "All routers answer with one MAC address, which no port can have.",
    ),
    code(
        "network-joined",
        "A network is joined to at most one router: its subnets have one gateway each.",
    ),
    code(
        "network-without-subnets",
        "A router joins subnets, and the network has none.",
    ),
    code(
        "router-overlap",
        "Networks of one router share one plan of addresses, so their subnets must not overlap.",
    ),
    code("route-twice", "A router has one route to each destination."),
    code(
        "route-family",
        "The destination and the next hop of a route are of the same IP family.",
    ),
    code(
        "next-hop-outside",
        "The next hop of a route is an address in a subnet that the router joins.",
    ),
    code(
        "next-hop-is-gateway",
        "The next hop of a route is another station, not the router itself.",
    ),
    code(
        "route-to-joined",
        "The router delivers to the subnets that it joins; a route there would contradict it.",
    ),
    // Settings.
    code(
        "routed-cannot",
        "A routed network carries IP packets to addresses that somebody has, and nothing else. Tags \
         and flooding belong to bridged networks.",
    ),
    code(
        "routed-foreign",
        "Foreign tunnel endpoints learn from flooded frames, which routed networks do not have.",
    ),
    code(
        "nothing-to-offer",
        "DHCP and router advertisements offer addresses of subnets, and the network has none.",
    ),
    code(
        "two-servers",
        "Either Coax answers DHCP and router solicitations on a network, or its own servers do.",
    ),
    code_with(
        "endpoints-exceeded",
        "The network has as many ports as its `max_endpoints` allows. One broken member of a network \
         can disturb all others; the limit is how many that may be.",
        "coax network show NETWORK",
    ),
    code(
        "allowed-taken",
        "An address that is one port's own is safe from all others. Shared addresses are nobody's \
         own: they are listed under `allowed_addresses` of everyone who may use them.",
    ),
    code(
        "network-twice",
        "A port is in each network once, by its untagged frames or by one VLAN of its trunk.",
    ),
    code(
        "trunk-transparent",
        "A trunk's tags say which network a frame is for. On a network that carries its guests' own \
         tags they would be ambiguous.",
    ),
    // Objects that are not there.
    code_with(
        "no-such-router",
        "No router has that name.",
        "coax router list",
    ),
    code_with(
        "no-such-group",
        "No group has that name.",
        "coax group list",
    ),
    code_with(
        "no-such-address-group",
        "No address group has that name.",
        "coax address-group list",
    ),
    code_with(
        "no-such-firewall",
        "The project has no firewall, and there are no rails.",
        "coax firewall list",
    ),
    code_with(
        "no-such-firewall-rule",
        "No firewall rule has that name.",
        "coax firewall rules",
    ),
];

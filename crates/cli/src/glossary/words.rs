//! The words of Coax. `meaning` is for those who run servers, `networking` for those who run networks.

use super::{Entry, Subject};

const fn word(
    name: &'static str,
    meaning: &'static str,
    networking: &'static str,
    next: Option<&'static str>,
) -> Entry {
    Entry {
        name,
        subject: Subject::Word,
        meaning,
        networking: Some(networking),
        next,
    }
}

/// All words, by the alphabet.
pub(super) const WORDS: &[Entry] = &[
    word(
        "address group",
        "Addresses that firewall rules call by one name, like those of an office. They need not belong to \
         any port.",
        "A prefix list, an object group of networks.",
        Some("coax address-group list"),
    ),
    word(
        "agent",
        "The process on every host that tells the kernel what to do with the host's virtual network \
         cards. Packets do not pass through it: it can be restarted at any time.",
        "The local control plane. It programs tables that are pinned in the kernel; forwarding goes \
         on without it.",
        Some("coax host list"),
    ),
    word(
        "allowed address",
        "An address that a port may use besides its own and may share with others: that of a cluster, of \
         VRRP or keepalived. Whoever announces it last has it.",
        "Allowed address pairs: an exception from source guard and dynamic ARP inspection.",
        Some("coax port show PORT"),
    ),
    word(
        "binding",
        "Which host a port is on right now. It follows the virtual machine's device: where that is \
         plugged in, there the port is.",
        "The location of a MAC address: which VTEP it is behind.",
        Some("coax port list"),
    ),
    word(
        "check",
        "A sentence in a project's file about who must or must not reach whom. It changes nothing; it is \
         proved before every change, and probed by `coax check`.",
        "An assertion of reachability, verified on the compiled policy and topology.",
        Some("coax check"),
    ),
    word(
        "controller",
        "The process that knows what everybody asked for, and tells each agent what it needs to \
         know. Packets do not pass through it.",
        "The management and control plane in one: intent in, per-network state out, over one stream \
         to each host.",
        Some("coax status"),
    ),
    word(
        "device",
        "The network interface on the host that a virtual machine or container is attached to: a TAP \
         or a veth. The alias `coax:PROJECT/PORT` says which port it is.",
        "The access port's physical side; only that there is no wire.",
        Some("coax port list -o wide"),
    ),
    word(
        "drop reason",
        "Why a frame went nowhere. Every frame that comes in goes out or is counted under exactly \
         one of these reasons.",
        "Discard counters, but with a closed list of causes, per port.",
        Some("coax drops"),
    ),
    word(
        "edge",
        "The host that a virtual machine runs on. Questions like \"who has this address?\" are \
         answered there and never leave it.",
        "ARP and ND suppression at the ingress VTEP; no flooding through the core.",
        None,
    ),
    word(
        "fabric",
        "The physical network between the hosts. It carries IP packets from any host to any other \
         and knows nothing of virtual networks.",
        "The leaf-and-spine underlay: routed links, equal-cost multipath, no VLANs, no spanning tree.",
        Some("coax graph"),
    ),
    word(
        "firewall",
        "Who may open which connections to whom in a project: rules in the order in which they are \
         written, the first that matches decides, and a default. Replies are always allowed.",
        "A stateful, distributed firewall at both ends of every connection; no traffic takes a detour.",
        Some("coax firewall show PROJECT"),
    ),
    word(
        "flooding",
        "Sending a frame to everybody because nobody knows where its receiver is. Coax knows where \
         every port is, so it does not do that unless a network has `flood_unknown: true`.",
        "Unknown-unicast flooding. Off by default; broadcast and multicast are replicated to the \
         members' hosts only.",
        Some("coax drops --reason unknown-unicast"),
    ),
    word(
        "foreign vtep",
        "A machine or switch that speaks VXLAN without running Coax, listed under `vteps` so that it \
         may take part in a network.",
        "A statically configured remote VTEP: unicast, head-end replication, no control plane.",
        Some("coax vtep list"),
    ),
    word(
        "generation",
        "Which history of the stored state revisions count: a new one begins when a backup is restored. An agent \
         refuses an older generation, and an older revision of the same one, whichever controller tells it.",
        "A fencing epoch of the store; revisions are compared within it.",
        Some("coax status"),
    ),
    word(
        "group",
        "Ports that firewall rules call by one name. Who is in follows from their names and labels, now and \
         later.",
        "A security group's members; matched by address class, so rules do not multiply.",
        Some("coax group list"),
    ),
    word(
        "host",
        "A machine that runs the vSwitch: a hypervisor, a container host.",
        "A VTEP with its access ports.",
        Some("coax host list"),
    ),
    word(
        "intent",
        "What you asked for, as opposed to what the hosts do already.",
        "The candidate-free configuration: every accepted write is a numbered revision.",
        Some("coax export"),
    ),
    word(
        "isolated port",
        "A port that reaches the router and ordinary ports of its network, but no other isolated one, \
         wherever the two run.",
        "Private VLAN: isolated ports beside promiscuous ones, across hosts.",
        Some("coax port show PORT"),
    ),
    word(
        "lab",
        "A whole data centre in network namespaces of one machine, for learning and testing.",
        "Spines, leaves and hypervisors with real kernel routing; the data plane is the product's own.",
        Some("coax lab list"),
    ),
    word(
        "mtu",
        "The largest packet that a network takes. Set the network card in the virtual machine to it; \
         `coax network show` prints it.",
        "Underlay MTU minus 70 bytes of IPv6, UDP, VXLAN and Ethernet headers. Larger packets are \
         answered with ICMP \"too big\", never fragmented.",
        Some("coax network list"),
    ),
    word(
        "network",
        "A virtual cable: everybody plugged into it reaches everybody else on it, wherever they run.",
        "One layer-2 broadcast domain (a segment), with a VNI of its own.",
        Some("coax network list"),
    ),
    word(
        "port",
        "One virtual network card: a MAC address, its IP addresses, and the network it is plugged into.",
        "An access port of the distributed switch; its MAC and IP bindings are known, not learned.",
        Some("coax port list"),
    ),
    word(
        "project",
        "Who owns networks and ports; usually a team, a customer or an application. Names and \
         addresses of different projects may be the same and never meet.",
        "A tenant.",
        Some("coax project list"),
    ),
    word(
        "quota",
        "How many networks, ports, rules and so on a project may have. An admin of the deployment sets it; a \
         project cannot raise its own.",
        "A limit on the objects of a tenant, checked when a change is made.",
        Some("coax project list"),
    ),
    word(
        "rail",
        "A firewall rule of the operator. It comes before the rules of every project, and no project can \
         open what it closes.",
        "A provider's first-tier policy, like an admin network policy.",
        Some("coax firewall rules --project rails"),
    ),
    word(
        "realised",
        "Confirmed by the hosts: it is in their kernels, not only on its way there.",
        "Programmed into the forwarding tables and acknowledged.",
        Some("coax status"),
    ),
    word(
        "replication",
        "How one broadcast becomes many copies: the sender's host sends one to each host that has a \
         member of the network.",
        "Head-end (ingress) replication over unicast tunnels.",
        Some("coax counters"),
    ),
    word(
        "revision",
        "The number of a change. Every change gets the next one, and every host says which it has.",
        "A configuration version; realised revisions lag by milliseconds.",
        Some("coax status"),
    ),
    word(
        "routed network",
        "A network that carries IP packets and nothing else, and floods nothing: every packet goes to the \
         one port that has its address.",
        "Host routes instead of a broadcast domain, as in Hyper-V Network Virtualization.",
        Some("coax network show NETWORK"),
    ),
    word(
        "router",
        "What joins networks, so that machines on one reach those on another. It exists on every host that \
         needs it: packets take no detour.",
        "A distributed router with anycast gateway MAC and addresses; one hop between any two hosts.",
        Some("coax router list"),
    ),
    word(
        "row",
        "One entry of the tables in which the kernel looks up what to do with a packet.",
        "A FIB, FDB or neighbour entry.",
        Some("coax counters"),
    ),
    word(
        "slice",
        "All that a host must know about one network. Hosts get the slices of the networks that \
         their ports are in, and nothing else.",
        "The per-VNI state: members, their VTEPs, parameters. The same bytes for every subscriber.",
        None,
    ),
    word(
        "stack",
        "One project as a file: its networks, ports, routers, groups and firewall.",
        "The declarative configuration of a tenant.",
        Some("coax export"),
    ),
    word(
        "storm control",
        "How many broadcasts, multicasts and frames to unknown addresses a port may send in a second. What \
         is over the limit is dropped where it is sent.",
        "Per-port policers at the ingress access port.",
        Some("coax network show NETWORK"),
    ),
    word(
        "subnet",
        "A range of IP addresses on a network, like 10.10.1.0/24. Ports get their addresses from it.",
        "An IP prefix; its first address, unless it says another, is kept for a gateway.",
        Some("coax subnet list"),
    ),
    word(
        "trunk",
        "A port whose tagged frames belong to further networks, one for each VLAN number.",
        "An 802.1Q trunk with an allowed list, each VLAN mapped to a VNI.",
        Some("coax port show PORT"),
    ),
    word(
        "underlay",
        "The IP network that the hosts are connected by. A virtual network's packets travel through \
         it inside other packets.",
        "The transport network between VTEPs; the virtual networks are the overlay.",
        None,
    ),
    word(
        "uplink",
        "A network interface that connects a host to the fabric. With two, both are used.",
        "A routed link to a leaf; flows spread by ECMP over the tunnel's UDP source port.",
        None,
    ),
    word(
        "vni",
        "The number that tells networks apart on the wire. You never need to choose one.",
        "VXLAN network identifier, 24 bits.",
        Some("coax network list -o wide"),
    ),
    word(
        "vswitch",
        "The switch inside every host that the virtual network cards are plugged into. It is an eBPF \
         program in the kernel.",
        "A distributed virtual switch: tcx programs on every access port and uplink.",
        Some("coax counters"),
    ),
    word(
        "vtep",
        "A host's address in the fabric, to which others send the packets for its virtual machines.",
        "Virtual tunnel endpoint: where VXLAN begins and ends.",
        Some("coax host list"),
    ),
    word(
        "vxlan",
        "The envelope in which a virtual network's frames travel between hosts: UDP port 4789.",
        "RFC 7348, unicast, with source ports from the flow's hash.",
        None,
    ),
];

#[cfg(test)]
mod tests {
    use super::WORDS;

    #[test]
    fn words_are_in_the_order_of_the_alphabet() {
        assert!(WORDS.is_sorted_by_key(|word| word.name));
    }
}

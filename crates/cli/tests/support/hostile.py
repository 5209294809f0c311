"""A hostile VM: builds attacks with scapy, writes them to a capture file for tshark to read, and sends them.

Arguments: own and the neighbour's MAC, IPv4 and IPv6 address, the file, the VTEPs of the own host and of another one over IPv4 and over
IPv6, and VNI and MAC address of a port of another project. Prints one line for each attack: name, the
reason for which it must be dropped ("-": it must arrive), and the protocols that tshark must see, between tabs.
"""

import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.all import (  # noqa: E402
    ARP, BOOTP, DHCP, Dot1AD, Dot1Q, Dot3, Ether, ICMP, IP, LLC, SNAP, STP, TCP, UDP, DNS, DNSRR, Raw,
    ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_Redirect, ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo, ICMPv6NDOptSrcLLAddr, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
    DHCP6_Advertise, GRE, VXLAN, conf, wrpcap,
)
from scapy.contrib.geneve import GENEVE  # noqa: E402
from scapy.utils6 import in6_mactoifaceid  # noqa: E402

TIMES = 2
STRANGER = "02:bb:bb:bb:bb:bb"
ALL_NODES = "33:33:00:00:00:01"

own, own4, own6, near, near4, near6, path, vtep, far_vtep, vtep6, far_vtep6, vni, bait = sys.argv[1:]
link = "fe80::" + in6_mactoifaceid(own).lower()
ether = Ether(src=own, dst=near)
everybody = Ether(src=own, dst="ff:ff:ff:ff:ff:ff")
group = Ether(src=own, dst=ALL_NODES)
ours4 = ether / IP(src=own4, dst=near4)
ours6 = ether / IPv6(src=own6, dst=near6)
said = IPv6(src=link, dst="ff02::1", hlim=255)

poison = ARP(op=2, hwsrc=own, psrc=near4, hwdst=near, pdst=own4)
advertised = ICMPv6ND_NA(tgt=near6, R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=own)
router = ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::", prefixlen=64) / ICMPv6NDOptSrcLLAddr(lladdr=own)
offer = BOOTP(op=2, yiaddr="10.66.0.66", siaddr=own4) / DHCP(options=[("message-type", "offer"), "end"])
answer = DNS(qr=1, an=DNSRR(rrname="printer.local", rdata=own4))
options = [IPv6ExtHdrDestOpt() for _ in range(9)]
chain = IPv6(src=own6, dst=near6)
for header in options:
    chain = chain / header
hidden = IPv6(src=own6, dst="ff02::1:2")
for header in options:
    hidden = hidden / header
noise = Ether(src=own, dst="33:33:00:01:00:02")
mdns = Ether(src=own, dst="33:33:00:00:00:fb")
spanning = Dot3(src=own, dst="01:80:c2:00:00:00") / LLC(dsap=0x42, ssap=0x42, ctrl=3)

inner = Ether(src=own, dst=bait) / IP(src=own4, dst="10.66.0.9") / UDP(dport=9) / Raw(b"out of a tunnel")
vxlan = VXLAN(vni=int(vni), flags=8) / inner
to_host = IP(src=own4, dst=vtep)
to_host6 = IPv6(src=own6, dst=vtep6)
gateway = Ether(src=own, dst="02:c0:a0:00:00:01")

ATTACKS = [
    ("control", "-", everybody / Raw(b"as it should be"), "eth:ethertype"),
    ("another MAC address", "forged-source", Ether(src=STRANGER, dst=near) / IP(src=own4, dst=near4) / UDP(), "ip:udp"),
    ("a neighbour's MAC address", "forged-source", Ether(src=near, dst=near) / IP(src=own4, dst=near4) / UDP(), "ip:udp"),
    ("another IPv4 address", "forged-address", ether / IP(src=near4, dst=near4) / UDP(dport=9), "ip:udp"),
    ("another IPv6 address", "forged-address", ether / IPv6(src=near6, dst=near6) / UDP(dport=9), "ipv6:udp"),
    ("ARP in a neighbour's name", "forged-arp", ether / poison, "arp"),
    ("gratuitous ARP in a neighbour's name", "forged-arp", everybody / ARP(op=1, hwsrc=own, psrc=near4, pdst=near4), "arp"),
    ("ARP with another MAC address", "forged-arp", ether / ARP(op=2, hwsrc=STRANGER, psrc=own4, pdst=near4), "arp"),
    ("ARP behind a priority tag", "tagged-frame", ether / Dot1Q(vlan=0) / poison, "vlan:ethertype:arp"),
    ("ARP behind three priority tags", "tagged-frame", ether / Dot1Q() / Dot1Q() / Dot1Q(vlan=0) / poison, "vlan:ethertype:arp"),
    ("two tags", "tagged-frame", ether / Dot1AD(vlan=5) / Dot1Q(vlan=7) / IP(src=own4, dst=near4) / UDP(), "vlan:ethertype:ip:udp"),
    ("a tag", "tagged-frame", ether / Dot1Q(vlan=7) / IP(src=own4, dst=near4) / UDP(), "vlan:ethertype:ip:udp"),
    ("ARP in SNAP", "header-chain", Dot3(src=own, dst=near) / LLC() / SNAP(code=0x0806) / poison, "llc:arp"),
    ("an advertisement in SNAP", "header-chain", Dot3(src=own, dst=ALL_NODES) / LLC() / SNAP(code=0x86DD) / said / router, "llc:ipv6:icmpv6"),
    ("a neighbour advertisement", "forged-neighbour", group / said / advertised, "icmpv6"),
    ("an advertisement behind hop-by-hop options", "header-chain", group / said / IPv6ExtHdrHopByHop() / advertised, "ipv6.hopopts:icmpv6"),
    ("an advertisement behind a fragment header", "header-chain", group / said / IPv6ExtHdrFragment() / advertised, "ipv6.fraghdr:icmpv6"),
    ("a solicitation with another MAC address", "forged-neighbour",
     ether / IPv6(src=link, dst=near6, hlim=255) / ICMPv6ND_NS(tgt=near6) / ICMPv6NDOptSrcLLAddr(lladdr=near), "icmpv6"),
    ("a router advertisement", "rogue-server", group / said / router, "icmpv6"),
    ("one behind hop-by-hop options", "rogue-server", group / said / IPv6ExtHdrHopByHop() / router, "ipv6.hopopts:icmpv6"),
    ("one behind two destination options", "rogue-server", group / said / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt() / router, "ipv6.dstopts:icmpv6"),
    ("one behind a fragment header", "rogue-server", group / said / IPv6ExtHdrFragment() / router, "ipv6.fraghdr:icmpv6"),
    ("a redirect", "rogue-server", ether / IPv6(src=link, dst=near6, hlim=255) / ICMPv6ND_Redirect(tgt=link, dst="2001:db8::1"), "icmpv6"),
    ("a redirect over IPv4", "rogue-server", ours4 / ICMP(type=5, code=1, gw=own4) / IP(src=near4, dst="192.0.2.1") / UDP(), "icmp"),
    ("a DHCP offer", "rogue-server", ours4 / UDP(sport=67, dport=68) / offer, "udp:dhcp"),
    ("a DHCPv6 advertisement", "rogue-server", ours6 / UDP(sport=547, dport=546) / DHCP6_Advertise(), "udp:dhcpv6"),
    ("one behind destination options", "rogue-server", ours6 / IPv6ExtHdrDestOpt() / UDP(sport=547, dport=546) / DHCP6_Advertise(), "ipv6.dstopts:udp:dhcpv6"),
    ("a multicast DNS answer", "rogue-server", ours4 / UDP(sport=5353, dport=5353) / answer, "udp:mdns"),
    ("more headers than anybody reads", "header-chain", ether / chain / UDP(dport=9), "ipv6.dstopts:udp"),
    ("LLDP", "reserved-group", Ether(src=own, dst="01:80:c2:00:00:0e", type=0x88CC) / Raw(bytes.fromhex("0207040200000000010403020161060200780000")), "lldp"),
    ("pause", "reserved-group", Ether(src=own, dst="01:80:c2:00:00:01", type=0x8808) / Raw(b"\x00\x01\xff\xff" + bytes(42)), "macc"),
    ("LACP", "reserved-group", Ether(src=own, dst="01:80:c2:00:00:02", type=0x8809) / Raw(b"\x01\x01" + bytes(108)), "slow"),
    ("a first fragment", "-", ether / IP(src=own4, dst=near4, flags="MF", id=77) / UDP(dport=9, len=80) / Raw(bytes(32)), "ip"),
    ("one that overlaps it", "fragment", ether / IP(src=own4, dst=near4, id=77, frag=3, proto=17) / Raw(bytes(40)), "ip"),
    ("one without a first", "fragment", ether / IP(src=own4, dst=near4, id=78, frag=5, proto=17) / Raw(bytes(40)), "ip"),
    ("a tiny first one", "fragment", ether / IP(src=own4, dst=near4, flags="MF", id=79, proto=6) / Raw(bytes(TCP(dport=22))[:8]), "ip"),
    ("one of IPv6 without a first", "fragment", ours6 / IPv6ExtHdrFragment(id=80, offset=5, nh=17) / Raw(bytes(40)), "ipv6.fraghdr"),
    ("a first fragment of IPv6", "-", ours6 / IPv6ExtHdrFragment(id=81, m=1, nh=17) / UDP(dport=9, len=80) / Raw(bytes(32)), "ipv6.fraghdr"),
    ("one of IPv6 that overlaps it", "fragment", ours6 / IPv6ExtHdrFragment(id=81, offset=3, nh=17) / Raw(bytes(40)), "ipv6.fraghdr"),
    ("one of IPv6 in its place", "fragment", ours6 / IPv6ExtHdrFragment(id=81, offset=1, m=1, nh=17) / Raw(bytes(8)), "ipv6.fraghdr"),
    ("a tiny first one of IPv6", "fragment", ours6 / IPv6ExtHdrFragment(id=82, m=1, nh=6) / Raw(bytes(TCP(dport=22))[:8]), "ipv6.fraghdr"),
    ("a multicast DNS answer over IPv6", "rogue-server", mdns / IPv6(src=own6, dst="ff02::fb") / UDP(sport=5353, dport=5353) / answer, "udp:mdns"),
    ("noise to a group in a neighbour's name", "forged-address", noise / IPv6(src=near6, dst="ff02::1:2") / UDP(dport=9), "ipv6:udp"),
    ("noise to a group in nobody's name", "forged-address", noise / IPv6(src="::", dst="ff02::1:2") / UDP(dport=9), "ipv6:udp"),
    ("noise to a group in a group's name", "forged-address", noise / IPv6(src="ff02::1:2", dst="ff02::1:2") / UDP(dport=9), "ipv6:udp"),
    ("noise to a group behind too many headers", "header-chain", noise / hidden / UDP(dport=9), "ipv6.dstopts:udp"),
    # A VM's own tunnels are its business, and its network's: they lead nowhere else.
    ("VXLAN to the host", "-", ether / to_host / UDP(sport=4440, dport=4789) / vxlan, "udp:vxlan"),
    ("VXLAN to the host, for everybody", "-", everybody / to_host / UDP(sport=4440, dport=4789) / vxlan, "udp:vxlan"),
    ("Geneve to the host", "-", ether / to_host / UDP(sport=4440, dport=6081) / GENEVE(vni=int(vni), proto=0x6558) / inner, "udp:geneve"),
    ("GRE to the host", "-", ether / to_host / GRE(proto=0x6558, key_present=1, key=int(vni) << 8) / inner, "ip:gre"),
    ("VXLAN over IPv6 to the host", "-", ether / to_host6 / UDP(sport=4440, dport=4789) / vxlan, "ipv6:udp:vxlan"),
    ("Geneve over IPv6 to the host", "-", ether / to_host6 / UDP(sport=4440, dport=6081) / GENEVE(vni=int(vni), proto=0x6558) / inner, "ipv6:udp:geneve"),
    ("VXLAN to the host by the gateway", "-", gateway / to_host / UDP(sport=4441, dport=4789) / vxlan, "udp:vxlan"),
    ("VXLAN to another host by the gateway", "-", gateway / IP(src=own4, dst=far_vtep) / UDP(sport=4441, dport=4789) / vxlan, "udp:vxlan"),
    ("Geneve to the host by the gateway", "-", gateway / to_host / UDP(sport=4441, dport=6081) / GENEVE(vni=int(vni), proto=0x6558) / inner, "udp:geneve"),
    ("GRE to the host by the gateway", "-", gateway / to_host / GRE(proto=0x6558, key_present=1, key=int(vni) << 8) / inner, "ip:gre"),
    ("VXLAN over IPv6 to the host by the gateway", "-", gateway / to_host6 / UDP(sport=4441, dport=4789) / vxlan, "ipv6:udp:vxlan"),
    ("VXLAN over IPv6 to another host by the gateway", "-", gateway / IPv6(src=own6, dst=far_vtep6) / UDP(sport=4441, dport=4789) / vxlan, "ipv6:udp:vxlan"),
    ("VXLAN over IPv6 in another host's name by the gateway's MAC address", "forged-address",
     gateway / IPv6(src=far_vtep6, dst=vtep6) / UDP(sport=4444, dport=4789) / vxlan, "ipv6:udp:vxlan"),
    ("VXLAN over IPv6 in another host's name", "forged-address", ether / IPv6(src=far_vtep6, dst=vtep6) / UDP(sport=4444, dport=4789) / vxlan, "ipv6:udp:vxlan"),
    ("VXLAN in another host's name", "forged-address", ether / IP(src=far_vtep, dst=vtep) / UDP(sport=4444, dport=4789) / vxlan, "udp:vxlan"),
    ("VXLAN to nobody's MAC address", "unknown-unicast", Ether(src=own, dst=STRANGER) / to_host / UDP(sport=4444, dport=4789) / vxlan, "udp:vxlan"),
    ("control", "-", everybody / Raw(b"as it should be"), "eth:ethertype"),
    ("multiple spanning tree", "bpdu port-shut", spanning / STP(version=3, bpdutype=2) / Raw(bytes(3)), "llc:stp"),
    ("spanning tree", "port-shut", spanning / STP(), "llc:stp"),
    ("rapid spanning tree", "port-shut", spanning / STP(version=2, bpdutype=2) / Raw(b"\x00"), "llc:stp"),
    ("spanning tree per VLAN", "port-shut", Dot3(src=own, dst="01:00:0c:cc:cc:cd") / LLC() / SNAP(OUI=0x00000C, code=0x010B) / STP(), "llc:stp"),
    ("control of a port that is shut", "port-shut", everybody / Raw(b"as it should be"), "eth:ethertype"),
]

CONTROL = 0x88B5
frames = []
for name, reason, frame, protocols in ATTACKS:
    if name.startswith("control"):
        frame[Ether].type = CONTROL
    frames.append(Ether(bytes(frame)) if Ether in frame else frame)
    print(name, reason, protocols, sep="\t")
wrpcap(path, [bytes(frame) for frame in frames], linktype=1)
socket = conf.L2socket(iface="eth0")
for frame in frames:
    for _ in range(TIMES):
        socket.send(frame)

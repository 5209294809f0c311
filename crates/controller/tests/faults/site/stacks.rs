//! The projects of a site.

/// Every port with its address, so that faults can be written down.
pub const STACK: &str = "
version: 1
project: shop
networks:
  web: { subnets: [10.10.1.0/24, 'fd00:1::/64'], vni: 100, mtu: 1500 }
  db: { subnets: [10.10.3.0/24], vni: 300, mtu: 1500 }
ports:
  web-1: { network: web, addresses: [10.10.1.11, 'fd00:1::11'], mac: '02:00:00:00:01:01' }
  web-2: { network: web, addresses: [10.10.1.12, 'fd00:1::12'], mac: '02:00:00:00:01:02' }
  web-3: { network: web, addresses: [10.10.1.13], mac: '02:00:00:00:01:03' }
  web-4: { network: web, addresses: [10.10.1.14], mac: '02:00:00:00:01:04' }
  db-1: { network: db, addresses: [10.10.3.11], mac: '02:00:00:00:03:01' }
vteps:
  legacy: { address: 192.0.2.99, networks: [web], macs: ['02:00:00:00:99:01'] }
";

/// Another project with the same addresses.
pub const OTHER_STACK: &str = "
version: 1
project: bank
networks:
  vault: { subnets: [10.10.1.0/24], vni: 900, mtu: 1500 }
ports:
  safe: { network: vault, addresses: [10.10.1.77] }
";

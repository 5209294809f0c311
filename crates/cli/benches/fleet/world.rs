//! What there is: projects, networks, ports, and which port is plugged in where.

use coax_api::agent::Plugged;
use coax_model::StackFile;

const NETWORKS_OF_PROJECT: usize = 10;
const PORTS_OF_NETWORK: usize = 100;
const PORTS_OF_PROJECT: usize = NETWORKS_OF_PROJECT * PORTS_OF_NETWORK;

/// The size of what is built: projects of ten networks with a hundred ports each, spread over the hosts.
#[derive(Clone, Copy, Debug)]
pub struct World {
    pub hosts: usize,
    pub projects: usize,
}

impl World {
    pub fn ports(&self) -> usize {
        self.projects * PORTS_OF_PROJECT
    }

    pub fn host_name(host: usize) -> String {
        format!("hv{host}")
    }

    /// The file of a project; its port `isolated` is isolated, which its neighbours' hosts must know.
    pub fn stack(project: usize, isolated: Option<usize>) -> StackFile {
        let mut yaml = format!("version: 1\nproject: p{project}\nnetworks:\n");
        for network in 0..NETWORKS_OF_PROJECT {
            yaml += &format!(
                "  n{network}: {{ subnets: [10.{network}.0.0/22, \"fd00:{network}::/64\"] }}\n"
            );
        }
        yaml += "ports:\n";
        for port in 0..PORTS_OF_PROJECT {
            let network = port / PORTS_OF_NETWORK;
            let flag = if isolated == Some(port) {
                ", isolated: true"
            } else {
                ""
            };
            yaml += &format!("  vm-{port}: {{ network: n{network}{flag} }}\n");
        }
        StackFile::parse(&yaml).unwrap()
    }

    /// A port of a project, another one for each `number`.
    pub fn some_port(number: usize) -> usize {
        number * 7 % PORTS_OF_PROJECT
    }

    /// What each host has plugged in: the ports of a network are on different hosts.
    pub fn plugged(&self) -> Vec<Vec<Plugged>> {
        let mut hosts = vec![Vec::new(); self.hosts];
        for project in 0..self.projects {
            for port in 0..PORTS_OF_PROJECT {
                hosts[(port + project * 37) % self.hosts].push(Plugged {
                    port: format!("p{project}/vm-{port}"),
                    device: format!("tap{project}-{port}"),
                    ifindex: 1,
                });
            }
        }
        hosts
    }
}

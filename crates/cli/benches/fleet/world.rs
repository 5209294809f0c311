//! What there is: projects, networks, ports, and which port is plugged in where.

use coax_api::agent::Plugged;
use coax_model::StackFile;

const PORTS_OF_HOST: usize = 50;
const PORTS_OF_NETWORK: usize = 100;

/// The size of what is built: networks with a hundred ports each, spread over the hosts.
#[derive(Clone, Copy, Debug)]
pub struct World {
    pub hosts: usize,
    pub projects: usize,
    /// Ports of each project.
    pub project: usize,
}

impl World {
    /// Projects of so many ports, fifty ports for each host.
    pub fn new(hosts: usize, project: usize) -> Self {
        Self {
            hosts,
            projects: (hosts * PORTS_OF_HOST).div_ceil(project),
            project,
        }
    }

    pub fn ports(&self) -> usize {
        self.projects * self.project
    }

    pub fn host_name(host: usize) -> String {
        format!("hv{host}")
    }

    /// The file of a project; its port `isolated` is isolated, which its neighbours' hosts must know.
    pub fn stack(&self, project: usize, isolated: Option<usize>) -> StackFile {
        let mut yaml = format!("version: 1\nproject: p{project}\nnetworks:\n");
        for network in 0..self.project.div_ceil(PORTS_OF_NETWORK) {
            yaml += &format!(
                "  n{network}: {{ subnets: [10.{network}.0.0/22, \"fd00:{network}::/64\"] }}\n"
            );
        }
        yaml += "ports:\n";
        for port in 0..self.project {
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

    /// The project of change `number`, and its port that is isolated then: another one than before.
    pub fn change(&self, number: usize) -> (usize, usize) {
        (
            number % self.projects,
            number / self.projects * 7 % self.project,
        )
    }

    /// What each host has plugged in: the ports of a network are on different hosts.
    pub fn plugged(&self) -> Vec<Vec<Plugged>> {
        let mut hosts = vec![Vec::new(); self.hosts];
        for project in 0..self.projects {
            for port in 0..self.project {
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

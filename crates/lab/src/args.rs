//! `coax lab …`: the command line of the lab. What the commands do is in [`crate::commands`].

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use crate::fault::Target;
use crate::graph::GraphFormat;
use crate::name::LabName;

/// What a command prints its data as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Names only, one per line.
    Name,
}

/// Leaf-and-spine labs in network namespaces
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Build a lab: fabric, controller, agents
    Up {
        /// The lab file
        file: PathBuf,
        /// Another name than the file's
        #[arg(long)]
        name: Option<LabName>,
        /// How long controller and agents may take to find each other
        #[arg(long, default_value = "30s", value_parser = parse_duration)]
        limit: Duration,
    },
    /// Remove a lab with all it is made of, also after a crash
    Down {
        /// The lab; not needed if there is only one
        name: Option<LabName>,
        /// Remove all labs
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// List labs
    List,
    /// Show whether a lab works
    Status {
        /// The lab; not needed if there is only one
        #[arg(env = "COAX_LAB", hide_env = true)]
        name: Option<LabName>,
        /// Wait until all agents are attached and all VMs run
        #[arg(long, value_name = "TIME", value_parser = parse_duration)]
        wait: Option<Duration>,
    },
    /// Open a shell in a node or VM
    Shell {
        /// A node (`hv1`, `leaf1`, `manager`) or a VM (`shop/web-1`, `web-1`)
        node: String,
        /// The lab; not needed if there is only one
        #[arg(long, env = "COAX_LAB", hide_env = true)]
        lab: Option<LabName>,
    },
    /// Run a program in a node or VM; its exit code is the command's
    Exec {
        /// A node (`hv1`, `leaf1`, `manager`) or a VM (`shop/web-1`, `web-1`)
        node: String,
        /// The program and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
        /// The lab; not needed if there is only one
        #[arg(long, env = "COAX_LAB", hide_env = true)]
        lab: Option<LabName>,
    },
    /// Move a running VM to another hypervisor
    Migrate {
        /// The VM's port: `shop/web-1`
        port: String,
        /// The hypervisor to move it to
        host: String,
        /// The lab; not needed if there is only one
        #[arg(long, env = "COAX_LAB", hide_env = true)]
        lab: Option<LabName>,
        /// How long each step may take
        #[arg(long, default_value = "10s", value_parser = parse_duration)]
        limit: Duration,
    },
    /// Send a stream from one VM to another, and tell what was lost and how long it was silent
    Measure {
        /// The VM that sends: `shop/web-1`
        from: String,
        /// The VM that receives
        to: String,
        /// Datagrams per second
        #[arg(long, default_value_t = 1000)]
        rate: u32,
        /// How long
        #[arg(long, default_value = "10s", value_parser = parse_duration)]
        time: Duration,
        /// Over IPv6
        #[arg(long)]
        ipv6: bool,
        /// The lab; not needed if there is only one
        #[arg(long, env = "COAX_LAB", hide_env = true)]
        lab: Option<LabName>,
    },
    /// Break something
    Break {
        #[command(subcommand)]
        what: What,
        /// The lab; not needed if there is only one
        #[arg(long, global = true, env = "COAX_LAB", hide_env = true)]
        lab: Option<LabName>,
    },
    /// Heal what was broken
    Heal {
        #[command(subcommand)]
        what: What,
        /// The lab; not needed if there is only one
        #[arg(long, global = true, env = "COAX_LAB", hide_env = true)]
        lab: Option<LabName>,
    },
    /// Route the lab's fabric and run its VMs (started by `up`)
    #[command(hide = true)]
    Supervise {
        /// The lab
        name: LabName,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum What {
    /// The cable between two nodes
    Link {
        /// One end
        a: String,
        /// The other end
        b: String,
    },
    /// A spine, leaf or hypervisor with all its cables
    Node {
        /// The node
        node: String,
    },
    /// A hypervisor's uplink
    Uplink {
        /// The hypervisor
        host: String,
        /// Which of its uplinks
        #[arg(default_value_t = 1)]
        number: usize,
    },
    /// A hypervisor's agent process (broken with SIGKILL)
    Agent {
        /// The hypervisor
        host: String,
    },
    /// The controller process (broken with SIGKILL)
    Controller,
    /// The lab's own supervisor process
    #[command(hide = true)]
    Supervisor,
}

impl From<What> for Target {
    fn from(what: What) -> Self {
        match what {
            What::Link { a, b } => Self::Link(a, b),
            What::Node { node } => Self::Node(node),
            What::Uplink { host, number } => Self::Uplink(host, number),
            What::Agent { host } => Self::Agent(host),
            What::Controller => Self::Controller,
            What::Supervisor => Self::Supervisor,
        }
    }
}

/// Draw a lab
#[derive(Debug, Clone, clap::Args)]
pub struct GraphArgs {
    /// The lab; not needed if there is only one
    #[arg(value_name = "LAB", env = "COAX_LAB", hide_env = true)]
    pub(crate) name: Option<LabName>,
    /// How to draw
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: GraphFormat,
}

/// Reads `30s`, `500ms` or `2m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number
        .parse()
        .map_err(|_| format!("`{text}` is no time like 30s"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" | "" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        _ => Err(format!(
            "`{unit}` is no unit of time; there are ms, s and m"
        )),
    }
}

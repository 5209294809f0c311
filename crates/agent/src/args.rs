//! The command line of `coax agent`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use coax_vswitch::Capacity;

/// Where pins live if nothing else is said: one folder for each host name.
const PINS: &str = "/sys/fs/bpf/coax";

/// Runs the vSwitch of this host: keeps its tables as the controller wants them.
///
/// A device becomes a port by its alias: `ip link set tap0 alias coax:PROJECT/PORT`.
/// Stopping the agent leaves forwarding as it is; `coax agent detach` ends it.
#[derive(Clone, Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    /// Something else than running.
    #[command(subcommand)]
    pub command: Option<AgentCommand>,
    /// How to run. Always there unless `command` is.
    #[command(flatten)]
    pub run: Option<RunArgs>,
}

/// What else an agent can do.
#[derive(Clone, Debug, Subcommand)]
pub enum AgentCommand {
    /// Take all programs off their devices and remove tables and pins: this host stops forwarding.
    Detach {
        /// Folder of the pins in bpffs.
        #[arg(long, value_name = "DIR")]
        pins: PathBuf,
    },
}

/// How to run.
#[derive(Clone, Debug, ClapArgs)]
pub struct RunArgs {
    /// Name of this host, as the controller and the users know it.
    #[arg(long, value_name = "NAME")]
    pub host: String,
    /// Where a controller takes agents. Give every one of them.
    #[arg(
        long = "controller",
        value_name = "ADDRESS:PORT",
        required = true,
        value_delimiter = ','
    )]
    pub controllers: Vec<String>,
    /// A device that leads to the IP fabric. Give every one of them.
    #[arg(
        long = "uplink",
        value_name = "DEVICE",
        required = true,
        value_delimiter = ','
    )]
    pub uplinks: Vec<String>,
    /// Tunnel endpoint over IPv4. If neither family is given: the first global addresses on `lo`, else on the uplinks.
    #[arg(long, value_name = "ADDRESS")]
    pub vtep_ipv4: Option<Ipv4Addr>,
    /// Tunnel endpoint over IPv6.
    #[arg(long, value_name = "ADDRESS")]
    pub vtep_ipv6: Option<Ipv6Addr>,
    /// Folder for what the agent remembers across a reboot.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/coax/agent")]
    pub state: PathBuf,
    /// Folder in bpffs for tables and programs [default: /sys/fs/bpf/coax/NAME].
    #[arg(long, value_name = "DIR")]
    pub pins: Option<PathBuf>,
    /// Which family carries tunnels between hosts that have both.
    #[arg(long, value_enum, default_value_t = Underlay::Ipv4)]
    pub underlay: Underlay,
    /// Table sizes, as in `macs=500000,ports=200`.
    #[arg(long, value_name = "TABLE=ROWS,…", default_value_t)]
    pub capacity: Capacity,
    /// Replace tables of another layout or size by new ones, without a gap.
    #[arg(long)]
    pub take_over_layout: bool,
    /// File with any of these flags [default: /etc/coax/agent.yaml, if nothing else is said].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// A family of the underlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Underlay {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl RunArgs {
    /// The folder of the pins.
    pub fn pins_folder(&self) -> PathBuf {
        match &self.pins {
            Some(pins) => pins.clone(),
            None => PathBuf::from(PINS).join(&self.host),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Program::try_parse_from(line.split_whitespace()).map(|program| program.args)
    }

    #[test]
    fn the_line_of_a_running_agent() {
        let args = parse(
            "agent --host hv1 --controller 10.0.0.1:7450 --uplink eth0 --uplink eth1 \
             --underlay ipv6 --capacity ports=10",
        );
        let run = args.unwrap().run.unwrap();
        assert_eq!(run.controllers, ["10.0.0.1:7450"]);
        assert_eq!(run.uplinks, ["eth0", "eth1"]);
        assert_eq!(run.pins_folder(), PathBuf::from("/sys/fs/bpf/coax/hv1"));
        assert_eq!(run.capacity.ports, 10);
        assert_eq!(run.underlay, Underlay::Ipv6);
    }

    #[test]
    fn detaching_needs_nothing_but_the_pins() {
        let args = parse("agent detach --pins /sys/fs/bpf/coax/hv1").unwrap();
        assert!(args.run.is_none());
        let Some(AgentCommand::Detach { pins }) = args.command else {
            panic!()
        };
        assert_eq!(pins, PathBuf::from("/sys/fs/bpf/coax/hv1"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = parse("agent --host hv1 --uplink eth0")
            .unwrap_err()
            .to_string();
        assert!(error.contains("--controller"), "{error}");
        let error = parse("agent --host hv1 --controller x:1")
            .unwrap_err()
            .to_string();
        assert!(error.contains("--uplink"), "{error}");
        let error = parse("agent detach").unwrap_err().to_string();
        assert!(error.contains("--pins"), "{error}");
    }
}

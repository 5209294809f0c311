//! `coax lab …`: the command line of the lab, and what each command prints. Data goes to stdout,
//! progress to stderr.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;

use crate::error::Error;
use crate::fault::{self, Target};
use crate::file::LabFile;
use crate::graph::{self, GraphFormat};
use crate::name::LabName;
use crate::site::Site;
use crate::state::{self, Record};
use crate::{daemon, down, enter, migrate, status, supervise, up};

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
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
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
enum What {
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
    name: Option<LabName>,
    /// How to draw
    #[arg(long, value_enum, default_value_t)]
    format: GraphFormat,
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

/// Runs a lab command. The result is the exit code: 0, or 1 for a lab that is not as it should be.
/// Needs a running tokio runtime.
pub async fn run(args: Args, format: Format, quiet: bool) -> Result<u8, Error> {
    let tell = |text: &str| {
        if !quiet {
            eprintln!("{text}");
        }
    };
    match args.command {
        Command::Up { file, name, limit } => start(file, name, limit, &tell).await,
        Command::Down { name, all } => stop(name, all, &tell).await,
        Command::List => list(format).await,
        Command::Status { name, wait } => show_status(name, wait, format).await,
        Command::Shell { node, lab } => {
            enter::shell(&state::choose(lab.as_ref())?, &node).map(|()| 0)
        }
        Command::Exec { node, command, lab } => {
            let (program, arguments) = command.split_first().unwrap_or((&node, &[]));
            enter::exec(&state::choose(lab.as_ref())?, &node, program, arguments).map(|()| 0)
        }
        Command::Migrate {
            port,
            host,
            lab,
            limit,
        } => {
            let lab = state::choose(lab.as_ref())?;
            let site = open(&lab).await?;
            let done = migrate::migrate(&site, &crate::client(&lab), &port, &host, limit).await?;
            let text = format!(
                "{} moved from {} to {}: prepared in {:.1} ms, switched in {:.1} ms, known in {:.1} ms\n",
                done.port, done.from, done.to, done.prepare_ms, done.switch_ms, done.settle_ms
            );
            print(format, &done, &text, std::slice::from_ref(&done.port))?;
            Ok(0)
        }
        Command::Break { what, lab } => {
            let lab = state::choose(lab.as_ref())?;
            let fault = fault::inflict(&open(&lab).await?, &what.into()).await?;
            tell(&format!("broken: {fault}"));
            Ok(0)
        }
        Command::Heal { what, lab } => {
            let lab = state::choose(lab.as_ref())?;
            let fault = fault::heal(&open(&lab).await?, &what.into()).await?;
            tell(&format!("healed: {fault}"));
            Ok(0)
        }
        Command::Supervise { name } => supervise::run(&name).await.map(|()| 0),
    }
}

/// Runs `coax graph`. Needs a running tokio runtime.
pub async fn run_graph(args: GraphArgs) -> Result<u8, Error> {
    let lab = state::choose(args.name.as_ref())?;
    write_out(&graph::graph(&lab, args.format).await?)?;
    Ok(0)
}

/// Opens the namespaces of a lab that is up.
pub async fn open(lab: &LabName) -> Result<Site, Error> {
    Site::open(lab, Record::load(lab)?.file.plan()?).await
}

async fn start(
    path: PathBuf,
    name: Option<LabName>,
    limit: Duration,
    tell: &dyn Fn(&str),
) -> Result<u8, Error> {
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let file = LabFile::parse(&path, &text)?;
    let options = up::Options {
        name: name.unwrap_or_else(|| file.name.clone()),
        file,
        binary: Some(daemon::own_binary()?),
        limit,
    };
    up::up(&options, tell).await?;
    tell(&format!(
        "lab {} is up; `coax apply -f examples/shop.yaml` puts VMs on it",
        options.name
    ));
    Ok(0)
}

async fn stop(name: Option<LabName>, all: bool, tell: &dyn Fn(&str)) -> Result<u8, Error> {
    let names = match (name, all) {
        (Some(name), _) => vec![name],
        (None, true) => state::list(),
        // Nothing to remove is what was asked for.
        (None, false) => match state::choose(None) {
            Err(Error::NoLab) => Vec::new(),
            other => vec![other?],
        },
    };
    if names.is_empty() {
        tell("no lab is up");
    }
    for name in names {
        let there = down::down(&name).await?;
        tell(&format!(
            "lab {name} {}",
            if there { "is gone" } else { "is not up" }
        ));
    }
    Ok(0)
}

#[derive(Serialize)]
struct Listed {
    name: LabName,
    phase: state::Phase,
    spines: usize,
    leaves: usize,
    hosts: usize,
    api: PathBuf,
}

async fn list(format: Format) -> Result<u8, Error> {
    let mut labs = Vec::new();
    for name in state::list() {
        // A lab that goes down at this moment is no longer one.
        if let Ok(record) = Record::load(&name) {
            labs.push(Listed {
                api: name.api_socket(),
                name,
                phase: record.phase,
                spines: record.file.spines,
                leaves: record.file.leaves,
                hosts: record.file.hosts.len(),
            });
        }
    }
    let mut text = String::new();
    for lab in &labs {
        let phase = format!("{:?}", lab.phase).to_lowercase();
        let (name, spines, leaves, hosts) = (&lab.name, lab.spines, lab.leaves, lab.hosts);
        text.push_str(&format!(
            "{name:<12} {phase:<8} {spines} spines, {leaves} leaves, {hosts} hypervisors\n"
        ));
    }
    let names: Vec<String> = labs.iter().map(|lab| lab.name.to_string()).collect();
    print(format, &labs, &text, &names)?;
    Ok(0)
}

async fn show_status(
    name: Option<LabName>,
    wait: Option<Duration>,
    format: Format,
) -> Result<u8, Error> {
    let lab = state::choose(name.as_ref())?;
    let status = match wait {
        Some(limit) => status::wait(&lab, limit).await?,
        None => status::status(&lab).await?,
    };
    let mut text = format!(
        "lab {}: {}\n",
        status.name,
        if status.ready { "ready" } else { "not ready" }
    );
    let running = status
        .processes
        .iter()
        .filter(|process| process.running)
        .count();
    text.push_str(&format!(
        "  processes: {running} of {} running\n",
        status.processes.len()
    ));
    text.push_str(&format!("  hypervisors: {}\n", status.hosts.join(", ")));
    text.push_str(&format!("  VMs: {}\n", status.vms.len()));
    for broken in &status.broken {
        text.push_str(&format!("  broken: {broken}\n"));
    }
    for missing in &status.missing {
        text.push_str(&format!("  missing: {missing}\n"));
    }
    print(
        format,
        &status,
        &text,
        std::slice::from_ref(&status.name.to_string()),
    )?;
    Ok(u8::from(!status.ready))
}

pub(crate) fn print(
    format: Format,
    value: &impl Serialize,
    text: &str,
    names: &[String],
) -> Result<(), Error> {
    let out = match format {
        Format::Table => text.to_owned(),
        Format::Json => {
            let json = serde_json::to_string_pretty(value);
            json.map_err(|error| Error::Output(error.to_string()))? + "\n"
        }
        Format::Yaml => {
            serde_saphyr::to_string(value).map_err(|error| Error::Output(error.to_string()))?
        }
        Format::Name => names.iter().map(|name| format!("{name}\n")).collect(),
    };
    write_out(&out)
}

fn write_out(text: &str) -> Result<(), Error> {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Output(error.to_string()))
        }
        _ => Ok(()),
    }
}

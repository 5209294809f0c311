//! The tree of commands.
//!
//! Invariant: every flag can also be given as an environment variable `COAX_<COMMAND>_<FLAG>`
//! (`COAX_APPLY_TIMEOUT`, `COAX_PORT_LIST_PROJECT`), because [`command`] gives one to each.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, ColorChoice, CommandFactory, Parser, Subcommand};

use crate::commands;
use crate::output::Format;

const EVERYWHERE: &str = "Options of every command";

const AFTER_HELP: &str = "\
Every flag is also an environment variable COAX_<COMMAND>_<FLAG>, like COAX_APPLY_TIMEOUT.
Exit codes: 0 done, 1 error, 2 differences, 3 warnings, 4 partly applied, 5 denied.";

/// Virtual coaxial cables over any IP network
#[derive(Debug, Parser)]
#[command(name = "coax", version, after_help = AFTER_HELP, term_width = 80)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// Format of the data on stdout
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        env = "COAX_OUTPUT",
        hide_env = true
    )]
    #[arg(help_heading = EVERYWHERE)]
    pub output: Format,
    /// Say nothing beside data and errors
    #[arg(short, long, global = true, env = "COAX_QUIET", hide_env = true)]
    #[arg(help_heading = EVERYWHERE)]
    pub quiet: bool,
    /// No colours (also: the variable NO_COLOR)
    #[arg(long, global = true, env = "COAX_NO_COLOR", hide_env = true)]
    #[arg(help_heading = EVERYWHERE)]
    pub no_color: bool,
    /// Answer from a file of `bugreport`, without a controller
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "COAX_FROM_BUNDLE",
        hide_env = true
    )]
    #[arg(help_heading = EVERYWHERE)]
    pub from_bundle: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Verbs for the work, nouns for the objects.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make this machine the first controller of a deployment, and its first host; or another controller of one
    Init(commands::init::InitArgs),
    /// Make this machine a host, with a token of `host invite`
    Join(commands::join::JoinArgs),
    /// Make a project what its file says, and wait until the hosts have it
    Apply(commands::apply::ApplyArgs),
    /// Show what `apply` would change; exit code 2 if anything, 1 if checks fail after it
    Diff(commands::diff::DiffArgs),
    /// Check files without a controller
    Validate(commands::validate::ValidateArgs),
    /// Print a project as a file that `apply` takes
    Export(commands::export::ExportArgs),
    /// Who changed what, when and why
    History(commands::history::HistoryArgs),
    /// Show one revision: all that it changed
    Show(commands::history::ShowArgs),
    /// Make a project what it was at a revision
    Rollback(commands::rollback::RollbackArgs),
    /// Let a change hold that `apply --confirm` would take back
    Confirm(commands::confirm::ConfirmArgs),
    /// The whole system at a glance
    Status(commands::status::StatusArgs),
    /// What keeps hosts from carrying packets, and the command that mends it
    Doctor(commands::doctor::DoctorArgs),
    /// Why can't A reach B? Follow a packet from host to host
    Trace(commands::trace::TraceArgs),
    /// Who must and who must not reach whom, put to the proof with packets on the real hosts
    Check(commands::check::CheckArgs),
    /// What firewalls decided lately, or decide from now on
    Flows(commands::flows::FlowsArgs),
    /// What happened lately, or happens from now on: changes, hosts, ports, problems
    Events(commands::events::EventsArgs),
    /// Frames of a port, both ways, with what the vSwitch does with each
    Capture(commands::capture::CaptureArgs),
    /// Frames that went nowhere: which port, why, how many
    Drops(commands::drops::DropsArgs),
    /// Frames and bytes of every port, and how full the tables are
    Counters(commands::counters::CountersArgs),
    /// What hosts and ports do now, looked at again and again
    Top(commands::top::TopArgs),
    /// Everything that is needed to understand a system from afar, without its secrets, in one file
    Bugreport(commands::bugreport::BugreportArgs),
    /// Draw a lab: cabling, VMs, what is broken
    Graph(coax_lab::args::GraphArgs),
    /// JSON Schemas of files, for editors
    #[command(subcommand)]
    Schema(commands::schema::SchemaCommand),
    /// What a word, a drop reason or an error code means
    Explain(commands::explain::ExplainArgs),
    /// Projects: who owns objects
    #[command(subcommand)]
    Project(commands::project::ProjectCommand),
    /// Networks: virtual cables
    #[command(subcommand)]
    Network(commands::network::NetworkCommand),
    /// Subnets: IP prefixes on networks
    #[command(subcommand)]
    Subnet(commands::subnet::SubnetCommand),
    /// Ports: virtual network cards
    #[command(subcommand)]
    Port(commands::port::PortCommand),
    /// Routers: what joins networks
    #[command(subcommand)]
    Router(commands::router::RouterCommand),
    /// Groups: ports that firewall rules call by one name
    #[command(subcommand)]
    Group(commands::group::GroupCommand),
    /// Address groups: prefixes that firewall rules call by one name
    #[command(subcommand)]
    AddressGroup(commands::address_group::AddressGroupCommand),
    /// Firewalls: who may open which connections to whom
    #[command(subcommand)]
    Firewall(commands::firewall::FirewallCommand),
    /// Connections that firewalls follow
    #[command(subcommand)]
    Conntrack(commands::conntrack::ConntrackCommand),
    /// Hosts: machines that run the vSwitch
    #[command(subcommand)]
    Host(commands::host::HostCommand),
    /// Invitations: tokens that wait for a machine to become a host or a controller
    #[command(subcommand)]
    Invitation(commands::invitation::InvitationCommand),
    /// Tokens: who may use the API, and for what
    #[command(subcommand)]
    Token(commands::token::TokenCommand),
    /// Authorities: whom everybody in the deployment trusts; `renew` also takes a controller's part away
    #[command(subcommand)]
    Authority(commands::authority::AuthorityCommand),
    /// The audit log: who changed what, from where
    #[command(subcommand)]
    Audit(commands::audit::AuditCommand),
    /// Backups: the whole deployment in one encrypted file
    #[command(subcommand)]
    Backup(commands::backup::BackupCommand),
    /// VTEPs: tunnel endpoints that are not Coax hosts
    #[command(subcommand)]
    Vtep(commands::vtep::VtepCommand),
    /// A whole data centre in network namespaces of this machine
    Lab(coax_lab::Args),
    /// Do the main job with real traffic in a lab, measure it and report
    Demo(coax_lab::demo::Args),
    /// Run the controller, or let another one in
    Controller(commands::controller::ControllerArgs),
    /// Run the vSwitch of this host
    Agent(coax_agent::Args),
    /// Prove that this machine's kernel takes the programs and forwards through them
    #[command(subcommand)]
    Selftest(commands::bench::SelftestCommand),
    /// Measure the data plane beside veth, bridges and the kernel's vxlan device
    Bench(coax_bench::bench::Args),
    /// Print the version
    Version(commands::version::VersionArgs),
    /// Print a completion script for a shell
    Completion(commands::completion::CompletionArgs),
    /// Write a manual page for every command into a folder
    Man(commands::man::ManArgs),
}

/// The whole command, with an environment variable for every flag.
pub fn command(no_color: bool) -> clap::Command {
    let colour = if no_color {
        ColorChoice::Never
    } else {
        ColorChoice::Auto
    };
    with_environment(Cli::command().color(colour), "COAX")
}

/// Gives every flag of the command and of those below it the variable `PREFIX_FLAG`, unless it has
/// one. Switches take `1`, `true`, `yes` there.
fn with_environment(command: clap::Command, prefix: &str) -> clap::Command {
    let command = command.mut_args(|argument| {
        let switch = matches!(argument.get_action(), ArgAction::SetTrue);
        let argument = if switch {
            argument.value_parser(FalseyValueParser::new())
        } else {
            argument
        };
        match argument.get_long() {
            Some(long) if argument.get_env().is_none() => {
                // One lab is meant by all commands of a shell, so one variable names it.
                let variable = match long {
                    "lab" => "COAX_LAB".to_owned(),
                    _ => format!("{prefix}_{}", upper(long)),
                };
                argument.env(variable).hide_env(true)
            }
            _ => argument,
        }
    });
    command.mut_subcommands(|below| {
        let prefix = format!("{prefix}_{}", upper(below.get_name()));
        with_environment(below, &prefix)
    })
}

fn upper(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_well_formed() {
        command(true).debug_assert();
    }

    #[test]
    fn flags_have_variables() {
        let root = command(true);
        let apply = root.find_subcommand("apply").unwrap();
        let timeout = apply
            .get_arguments()
            .find(|it| it.get_id() == "timeout")
            .unwrap();
        assert_eq!(timeout.get_env().unwrap(), "COAX_APPLY_TIMEOUT");
        let api = apply
            .get_arguments()
            .find(|it| it.get_id() == "api")
            .unwrap();
        assert_eq!(api.get_env().unwrap(), "COAX_API");
    }

    #[test]
    fn a_mistyped_command_is_suggested() {
        let error = command(true)
            .try_get_matches_from(["coax", "prot", "list"])
            .unwrap_err();
        assert!(error.to_string().contains("'port'"), "{error}");
    }
}

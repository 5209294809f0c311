//! One module per verb and noun: its flags, and what it does with them.

pub mod address_group;
pub mod agent;
pub mod apply;
pub mod audit;
pub mod authority;
pub mod backup;
pub mod bench;
pub mod bugreport;
pub mod capture;
pub mod check;
pub mod completion;
pub mod confirm;
pub mod conntrack;
pub mod controller;
pub mod counters;
pub mod diff;
pub mod doctor;
pub mod drops;
pub mod edit;
pub mod events;
pub mod explain;
pub mod export;
pub mod firewall;
pub mod flows;
pub mod group;
pub mod history;
pub mod host;
pub mod init;
pub mod invitation;
pub mod join;
pub mod lab;
pub mod man;
pub mod network;
pub mod noun;
pub mod port;
pub mod project;
pub mod rollback;
pub mod router;
pub mod schema;
pub mod start;
pub mod status;
pub mod subnet;
pub mod token;
pub mod top;
pub mod trace;
pub mod validate;
pub mod version;
pub mod vtep;

use std::future::Future;

use crate::args::Command;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;

/// What every command returns.
pub type Outcome = Result<Exit, CliError>;

/// Runs one command.
pub fn run(command: Command, output: &Output) -> Outcome {
    match command {
        Command::Init(args) => serve(init::run(&args, output)),
        Command::Join(args) => serve(join::run(&args, output)),
        Command::Apply(args) => wait_for(apply::run(&args, output)),
        Command::Diff(args) => wait_for(diff::run(&args, output)),
        Command::Validate(args) => validate::run(&args, output),
        Command::Export(args) => wait_for(export::run(&args, output)),
        Command::History(args) => wait_for(history::run(&args, output)),
        Command::Show(args) => wait_for(history::show(&args, output)),
        Command::Rollback(args) => wait_for(rollback::run(&args, output)),
        Command::Confirm(args) => wait_for(confirm::run(&args, output)),
        Command::Status(args) => wait_for(status::run(&args, output)),
        Command::Doctor(args) => wait_for(doctor::run(&args, output)),
        Command::Trace(args) => wait_for(trace::run(&args, output)),
        Command::Check(args) => wait_for(check::run(&args, output)),
        Command::Events(args) => wait_for(events::run(&args, output)),
        Command::Flows(args) => wait_for(flows::run(&args, output)),
        Command::Capture(args) => wait_for(capture::run(&args, output)),
        Command::Drops(args) => wait_for(drops::run(&args, output)),
        Command::Conntrack(command) => wait_for(conntrack::run(&command, output)),
        Command::Counters(args) => wait_for(counters::run(&args, output)),
        Command::Top(args) => wait_for(top::run(&args, output)),
        Command::Bugreport(args) => wait_for(bugreport::run(&args, output)),
        Command::Graph(args) => serve(lab::graph(args)),
        Command::Lab(args) => serve(lab::run(args, output)),
        Command::Demo(args) => serve(lab::demo(args, output)),
        Command::Controller(args) => serve(controller::run(args, output)),
        Command::Agent(args) => serve(agent::run(args)),
        Command::Selftest(command) => serve(bench::selftest(command)),
        Command::Bench(args) => serve(bench::bench(args)),
        Command::Schema(command) => schema::run(&command, output),
        Command::Explain(args) => explain::run(&args, output),
        Command::Project(command) => wait_for(project::run(&command, output)),
        Command::Network(command) => wait_for(network::run(&command, output)),
        Command::Subnet(command) => wait_for(subnet::run(&command, output)),
        Command::Port(command) => wait_for(port::run(&command, output)),
        Command::Router(command) => wait_for(router::run(&command, output)),
        Command::Group(command) => wait_for(group::run(&command, output)),
        Command::AddressGroup(command) => wait_for(address_group::run(&command, output)),
        Command::Firewall(command) => wait_for(firewall::run(&command, output)),
        Command::Host(command) => wait_for(host::run(&command, output)),
        Command::Invitation(command) => wait_for(invitation::run(&command, output)),
        Command::Token(command) => wait_for(token::run(&command, output)),
        Command::Backup(command) => wait_for(backup::run(&command, output)),
        Command::Authority(command) => wait_for(authority::run(&command, output)),
        Command::Audit(command) => wait_for(audit::run(&command, output)),
        Command::Vtep(command) => wait_for(vtep::run(&command, output)),
        Command::Version(args) => version::run(&args, output),
        Command::Completion(args) => completion::run(&args, output),
        Command::Man(args) => man::run(&args),
    }
}

/// Whether a command only asks a controller, or nobody, and so can be answered from a recording.
pub fn only_asks(command: &Command) -> bool {
    matches!(
        command,
        Command::Status(_)
            | Command::History(_)
            | Command::Show(_)
            | Command::Doctor(_)
            | Command::Drops(_)
            | Command::Counters(_)
            | Command::Project(_)
            | Command::Network(_)
            | Command::Subnet(_)
            | Command::Port(_)
            | Command::Router(_)
            | Command::Group(_)
            | Command::AddressGroup(_)
            | Command::Firewall(_)
            | Command::Host(_)
            | Command::Vtep(_)
            | Command::Audit(_)
            | Command::Explain(_)
            | Command::Version(_)
            | Command::Schema(_)
    )
}

/// Runs a daemon, or what measures daemons: both use threads.
fn serve(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| CliError::Runtime { source })?
        .block_on(work)
}

/// Runs a client command; one thread is enough for one request at a time.
fn wait_for(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| CliError::Runtime { source })?
        .block_on(work)
}

//! `coax firewall list|show|set|delete|rules|hits|suggest|audit`.

mod report;

use std::collections::BTreeMap;

use coax_api::{Firewall, FirewallRule, HostRule, Mode, SuggestionParams};
use coax_model::nearest;
use serde::Serialize;

use super::drops::warn_of;
use super::edit::{self, FirewallArgs, OfProjectArgs};
use super::noun::{ListAllArgs, ListArgs, ShowAnyArgs, print_list};
use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Listed, Output, Shown};

/// `coax firewall …`
#[derive(Debug, clap::Subcommand)]
pub enum FirewallCommand {
    /// List the projects whose connections are judged, and what happens by default
    List(ListAllArgs),
    /// Show what judges a project's connections: default, mode, and the rules in their order
    Show(ShowAnyArgs),
    /// Change a project's firewall, or give it one: only the keys that are given, as a stack file has them
    Set(FirewallArgs),
    /// Take a project's firewall away: what the operator's rails let pass passes
    Delete(OfProjectArgs),
    /// List rules in the order in which they count: the operator's rails, then the projects' own
    Rules(ListArgs),
    /// List what each rule decided on all hosts, and when it last did; exit code 3 if a host did not answer
    Hits(ListArgs),
    /// Write rules that would admit what a project's default refuses, or would refuse in audit mode, of what hosts have seen;
    /// never what a rule refuses. They go behind the rules of the project's file
    Suggest(SuggestArgs),
    /// Show what audit mode lets pass that would be refused, rules that decided nothing so far, and rules that never can
    Audit(ShowAnyArgs),
}

/// Flags of `coax firewall suggest`.
#[derive(Debug, clap::Args)]
pub struct SuggestArgs {
    /// The project
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Only of what happened in this time until now: 30s, 5m, 2h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(command: &FirewallCommand, output: &Output) -> Outcome {
    match command {
        FirewallCommand::Set(args) => edit::set_firewall(args, output).await,
        FirewallCommand::Delete(args) => edit::delete_firewall(args, output).await,
        FirewallCommand::List(args) => {
            let client = args.connection.client()?;
            print_list(&client.firewalls().await?, output)
        }
        FirewallCommand::Show(args) => show(args, output).await,
        FirewallCommand::Hits(args) => hits(args, output).await,
        FirewallCommand::Suggest(args) => {
            let client = args.connection.client()?;
            let params = SuggestionParams {
                since: args.since.clone(),
            };
            let found = client.suggested_rules(&args.name, &params).await?;
            report::suggestions(&found, output)
        }
        FirewallCommand::Audit(args) => {
            let client = args.connection.client()?;
            report::audit(&client.firewall_audit(&args.name).await?, output)
        }
        FirewallCommand::Rules(args) => {
            let client = args.connection.client()?;
            print_list(
                &client.firewall_rules(args.project.as_deref()).await?,
                output,
            )
        }
    }
}

async fn hits(args: &ListArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let rules = client.firewall_rules(args.project.as_deref()).await?;
    let counters = client.counters().await?;
    let wanted = |project: &str| args.project.as_deref().is_none_or(|it| it == project);
    let mut decided: BTreeMap<String, RuleTotal> = BTreeMap::new();
    for HostRule { hits, .. } in &counters.rules {
        if wanted(&hits.project) {
            let total = decided.entry(hits.rule.clone()).or_default();
            total.hits += hits.hits;
            let idle = total.idle_seconds.unwrap_or(hits.idle_seconds);
            total.idle_seconds = Some(idle.min(hits.idle_seconds));
        }
    }
    let totals = rules.iter().map(|rule| RuleTotal {
        rule: rule.id.clone(),
        action: rule.action.as_str().to_owned(),
        ..decided.get(&rule.id).cloned().unwrap_or_default()
    });
    print_list(&totals.collect::<Vec<_>>(), output)?;
    Ok(warn_of(&counters.missing, output))
}

/// What a rule decided on all hosts.
#[derive(Debug, Clone, Default, Serialize)]
struct RuleTotal {
    rule: String,
    action: String,
    /// Connections, and packets outside connections. A connection between two hosts is judged at both of its ends.
    hits: u64,
    /// Seconds since it last decided something; nothing: it never did.
    idle_seconds: Option<u64>,
}

impl Listed for RuleTotal {
    const PLURAL: &'static str = "firewall rules";
    const COLUMNS: &'static [&'static str] = &["RULE", "ACTION", "HITS", "LAST"];
    const MORE: &'static [&'static str] = &[];

    fn cells(&self, _wide: bool) -> Vec<String> {
        let last = self.idle_seconds.map(|seconds| format!("{seconds} s ago"));
        vec![
            self.rule.clone(),
            self.action.clone(),
            self.hits.to_string(),
            last.unwrap_or_else(|| "never".to_owned()),
        ]
    }

    fn full_name(&self) -> String {
        self.rule.clone()
    }
}

async fn show(args: &ShowAnyArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let firewalls = client.firewalls().await?;
    let Some(firewall) = firewalls.iter().find(|it| it.project == args.name) else {
        let names = firewalls.iter().map(|it| it.project.as_str());
        return Err(CliError::NoSuchObject {
            kind: "firewall",
            name: args.name.clone(),
            project: None,
            similar: nearest(&args.name, names).map(str::to_owned),
        });
    };
    let rules = client.firewall_rules(Some(&args.name)).await?;
    output.value(
        firewall,
        |firewall| vec![firewall.full_name()],
        |firewall| {
            let rules = rules.iter().map(|rule| rule.cells(false));
            let table = output.table(FirewallRule::COLUMNS, rules);
            format!("{}\n{table}", output.properties(firewall.properties()))
        },
    )?;
    Ok(Exit::Done)
}

impl Listed for Firewall {
    const PLURAL: &'static str = "firewalls";
    const FILLED_BY: &'static str =
        "everything passes; `firewall: { default: deny }` in a stack file changes that";
    const COLUMNS: &'static [&'static str] = &["PROJECT", "DEFAULT", "MODE", "RULES", "RAILS"];
    const MORE: &'static [&'static str] = &["REVISION"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            self.project.clone(),
            self.default.as_str().to_owned(),
            self.mode.as_str().to_owned(),
            self.rules.to_string(),
            self.rails.to_string(),
        ];
        if wide {
            cells.push(self.revision.to_string());
        }
        cells
    }

    fn full_name(&self) -> String {
        self.id.clone()
    }
}

impl Shown for Firewall {
    fn properties(&self) -> Vec<(&'static str, String)> {
        let own = if self.own {
            String::new()
        } else {
            "only the operator's rails; the project has no firewall".to_owned()
        };
        vec![
            ("project", self.project.clone()),
            ("firewall", own),
            ("default", self.default.as_str().to_owned()),
            ("mode", self.mode.as_str().to_owned()),
            ("revision", self.revision.to_string()),
        ]
    }
}

impl Listed for FirewallRule {
    const PLURAL: &'static str = "firewall rules";
    const COLUMNS: &'static [&'static str] = &["RULE", "ACTION", "SERVICES", "FROM", "TO", "NOTES"];
    const MORE: &'static [&'static str] = &["POSITION", "REVISION"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let notes = [
            (self.log, "log"),
            (self.mode == Mode::Audit, Mode::Audit.as_str()),
        ];
        let notes = notes.into_iter().filter(|(holds, _)| *holds);
        let notes: Vec<&str> = notes.map(|(_, note)| note).collect();
        let mut cells = vec![
            self.id.clone(),
            self.action.as_str().to_owned(),
            self.services.join(" "),
            self.from.join(" "),
            self.to.join(" "),
            notes.join(" "),
        ];
        if wide {
            cells.extend([self.position.to_string(), self.revision.to_string()]);
        }
        cells
    }

    fn full_name(&self) -> String {
        self.id.clone()
    }
}

//! `coax project list|show|set|delete`: who owns objects, and how many of them he may own.

use std::str::FromStr;

use coax_api::{ClientError, Project, Quota};

use super::apply;
use super::edit::OfProjectArgs;
use super::noun::{ListAllArgs, ShowAnyArgs, print_list, print_object};
use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::exit::Exit;
use crate::output::{Listed, Output, Shown};

/// `coax project …`
#[derive(Debug, clap::Subcommand)]
pub enum ProjectCommand {
    /// List all projects: what they have, of what they may have
    List(ListAllArgs),
    /// Show one project
    Show(ShowAnyArgs),
    /// Say how much a project may have
    Set(SetArgs),
    /// Delete all that a project has; `coax rollback` brings it back
    Delete(OfProjectArgs),
}

/// Flags of `coax project set`. What no flag names stays as it is.
#[derive(Debug, clap::Args)]
pub struct SetArgs {
    /// The project; it need not exist yet
    #[arg(value_name = "NAME", required_unless_present = "default")]
    pub name: Option<String>,
    /// For every project that has no quota of its own
    #[arg(long, conflicts_with = "name")]
    pub default: bool,
    /// Take the project's own quota away: it may have as much as every other
    #[arg(long, conflicts_with_all = ["default", "limits"], required_unless_present = "limits")]
    pub inherit: bool,
    /// The limits.
    #[command(flatten)]
    pub limits: Limits,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// What may be limited.
#[derive(Debug, clap::Args)]
#[group(id = "limits", multiple = true)]
pub struct Limits {
    /// The most networks, or none
    #[arg(long, value_name = "LIMIT")]
    pub networks: Option<Limit>,
    /// The most ports, or none
    #[arg(long, value_name = "LIMIT")]
    pub ports: Option<Limit>,
    /// The most foreign tunnel endpoints, or none
    #[arg(long, value_name = "LIMIT")]
    pub vteps: Option<Limit>,
    /// The most routers, or none
    #[arg(long, value_name = "LIMIT")]
    pub routers: Option<Limit>,
    /// The most groups of ports, or none
    #[arg(long, value_name = "LIMIT")]
    pub groups: Option<Limit>,
    /// The most members of all groups together, or none
    #[arg(long, value_name = "LIMIT")]
    pub members: Option<Limit>,
    /// The most prefixes of all address groups together, or none
    #[arg(long, value_name = "LIMIT")]
    pub prefixes: Option<Limit>,
    /// The most firewall rules, or none
    #[arg(long, value_name = "LIMIT")]
    pub rules: Option<Limit>,
    /// The most checks, or none
    #[arg(long, value_name = "LIMIT")]
    pub checks: Option<Limit>,
}

/// A number, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(Option<u32>);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            number => number
                .parse()
                .map(|limit| Self(Some(limit)))
                .map_err(|_| "write a number, or none".to_owned()),
        }
    }
}

impl Limits {
    fn change(&self, quota: Quota) -> Quota {
        let changed = |had: Option<u32>, wanted: Option<Limit>| wanted.map_or(had, |it| it.0);
        Quota {
            networks: changed(quota.networks, self.networks),
            ports: changed(quota.ports, self.ports),
            vteps: changed(quota.vteps, self.vteps),
            routers: changed(quota.routers, self.routers),
            groups: changed(quota.groups, self.groups),
            members: changed(quota.members, self.members),
            prefixes: changed(quota.prefixes, self.prefixes),
            rules: changed(quota.rules, self.rules),
            checks: changed(quota.checks, self.checks),
        }
    }
}

/// Runs it.
pub async fn run(command: &ProjectCommand, output: &Output) -> Outcome {
    match command {
        ProjectCommand::Delete(args) => apply::delete(&args.name, &args.change, output).await,
        ProjectCommand::List(args) => {
            print_list(&args.connection.client()?.projects().await?, output)
        }
        ProjectCommand::Show(args) => {
            let all = args.connection.client()?.projects().await?;
            let known: Vec<(&str, &str)> = all.iter().map(|it| ("", it.name.as_str())).collect();
            let (_, name) = args.wanted().find("project", &known)?;
            for project in all.iter().filter(|project| project.name == name) {
                print_object(project, output)?;
            }
            Ok(Exit::Done)
        }
        ProjectCommand::Set(args) => set(args, output).await,
    }
}

async fn set(args: &SetArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let Some(name) = &args.name else {
        let quota = args.limits.change(client.default_quota().await?);
        let quota = client.set_default_quota(&quota).await?;
        output.value(&quota, |_| Vec::new(), default_quota)?;
        return Ok(Exit::Done);
    };
    let project = if args.inherit {
        client.delete_quota(name).await?
    } else {
        let quota = match client.project(name).await {
            Ok(project) => project.quota,
            Err(error) if is_unknown(&error) => client.default_quota().await?,
            Err(error) => return Err(error.into()),
        };
        client.set_quota(name, &args.limits.change(quota)).await?
    };
    print_object(&project, output)
}

/// A quota may be there before its project.
fn is_unknown(error: &ClientError) -> bool {
    error
        .problem()
        .is_some_and(|problem| problem.code == "no-such-project")
}

fn default_quota(quota: &Quota) -> String {
    let limits = limits(quota).into_iter();
    let lines = limits.map(|(what, limit)| match limit {
        Some(limit) => format!("{what}: at most {limit}\n"),
        None => format!("{what}: no limit\n"),
    });
    lines.collect()
}

fn limits(quota: &Quota) -> [(&'static str, Option<u32>); 9] {
    [
        ("networks", quota.networks),
        ("ports", quota.ports),
        ("vteps", quota.vteps),
        ("routers", quota.routers),
        ("groups", quota.groups),
        ("members", quota.members),
        ("prefixes", quota.prefixes),
        ("rules", quota.rules),
        ("checks", quota.checks),
    ]
}

/// How much of each the project has, in the order of [`limits`].
fn used(project: &Project) -> [Option<usize>; 9] {
    [
        Some(project.networks),
        Some(project.ports),
        Some(project.vteps),
        Some(project.routers),
        Some(project.groups),
        project.members,
        Some(project.prefixes),
        Some(project.rules),
        Some(project.checks),
    ]
}

/// `5` or `5/10`, for tables.
fn cell(used: Option<usize>, limit: Option<u32>) -> String {
    let used = used.map_or("?".to_owned(), |used| used.to_string());
    match limit {
        Some(limit) => format!("{used}/{limit}"),
        None => used,
    }
}

impl Listed for Project {
    const PLURAL: &'static str = "projects";
    const COLUMNS: &'static [&'static str] = &["PROJECT", "NETWORKS", "PORTS", "VTEPS", "RULES"];
    const MORE: &'static [&'static str] = &["ROUTERS", "GROUPS", "MEMBERS", "PREFIXES", "CHECKS"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let quota = &self.quota;
        let counts = [
            cell(Some(self.networks), quota.networks),
            cell(Some(self.ports), quota.ports),
            cell(Some(self.vteps), quota.vteps),
            cell(Some(self.rules), quota.rules),
        ];
        let more = [
            cell(Some(self.routers), quota.routers),
            cell(Some(self.groups), quota.groups),
            cell(self.members, quota.members),
            cell(Some(self.prefixes), quota.prefixes),
            cell(Some(self.checks), quota.checks),
        ];
        let more = more.into_iter().filter(|_| wide);
        let counts = counts.into_iter().chain(more);
        std::iter::once(self.name.clone()).chain(counts).collect()
    }

    fn full_name(&self) -> String {
        self.id.clone()
    }
}

impl Shown for Project {
    fn properties(&self) -> Vec<(&'static str, String)> {
        let mut properties = vec![("project", self.name.clone())];
        for ((what, limit), used) in limits(&self.quota).into_iter().zip(used(self)) {
            let used = used.map_or("too many to count".to_owned(), |used| used.to_string());
            let text = match limit {
                Some(limit) => format!("{used} of {limit}"),
                None => used,
            };
            properties.push((what, text));
        }
        let firewall = if self.firewall { "yes" } else { "none" };
        let whose = if self.own_quota {
            "its own"
        } else {
            "that of every other project"
        };
        properties.push(("firewall", firewall.to_owned()));
        properties.push(("quota", whose.to_owned()));
        properties
    }
}

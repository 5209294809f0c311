//! `coax project list|show`.

use coax_api::Project;

use super::noun::{ListAllArgs, ShowAnyArgs, print_list, print_object};
use crate::commands::Outcome;
use crate::exit::Exit;
use crate::output::{Listed, Output, Shown};

/// `coax project …`
#[derive(Debug, clap::Subcommand)]
pub enum ProjectCommand {
    /// List all projects
    List(ListAllArgs),
    /// Show one project
    Show(ShowAnyArgs),
}

/// Runs it.
pub async fn run(command: &ProjectCommand, output: &Output) -> Outcome {
    match command {
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
    }
}

impl Listed for Project {
    const PLURAL: &'static str = "projects";
    const COLUMNS: &'static [&'static str] = &["PROJECT", "NETWORKS", "PORTS", "VTEPS", "RULES"];
    const MORE: &'static [&'static str] = &["ROUTERS", "GROUPS"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let counts = [self.networks, self.ports, self.vteps, self.rules];
        let more = [self.routers, self.groups];
        let more = more.iter().filter(|_| wide);
        let counts = counts.iter().chain(more).map(ToString::to_string);
        std::iter::once(self.name.clone()).chain(counts).collect()
    }

    fn full_name(&self) -> String {
        self.id.clone()
    }
}

impl Shown for Project {
    fn properties(&self) -> Vec<(&'static str, String)> {
        let firewall = match (self.firewall, self.rules) {
            (false, _) => "none".to_owned(),
            (true, rules) => format!("{rules} rules"),
        };
        vec![
            ("project", self.name.clone()),
            ("networks", self.networks.to_string()),
            ("ports", self.ports.to_string()),
            ("vteps", self.vteps.to_string()),
            ("routers", self.routers.to_string()),
            ("groups", self.groups.to_string()),
            ("firewall", firewall),
        ]
    }
}

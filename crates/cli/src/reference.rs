//! Reference pages made from the program itself, so that they cannot say anything else: the commands
//! from clap, the words from the glossary, the rights of roles from the
//! controller's table. A test compares them with docs/reference.

use clap::{Arg, ArgAction, Command};
use coax_api::Role;
use coax_controller::{Caller, Scope, TABLE};

use crate::args;
use crate::glossary::{self, Subject};

/// docs/reference/cli.md.
pub fn commands() -> String {
    let mut root = args::command(true);
    root.build();
    let mut page = String::from(
        "# Commands\n\nGenerated from the program: do not edit. `coax COMMAND --help` says the same.\n\n\
         Every command takes `-o table|wide|json|yaml|name`, `--quiet` and `--no-color`. Data goes to \
         stdout,\nprogress and remarks to stderr. JSON is the schema of the \
         [REST interface](openapi.json).\n\n\
         | exit code | means |\n| --- | --- |\n| 0 | done |\n| 1 | error, nothing was changed |\n\
         | 2 | `coax diff`: there are differences; `coax check`: nothing was checked |\n| 3 | done, with warnings |\n\
         | 4 | partly applied |\n| 5 | not allowed |\n",
    );
    for command in root.get_subcommands() {
        describe(command, "coax", 2, &mut page);
    }
    page
}

/// docs/reference/metrics.md.
pub fn metrics() -> String {
    coax_controller::metrics_page()
}

/// docs/reference/glossary.md.
pub fn words() -> String {
    let mut page = String::from(
        "# Words, drop reasons, error codes\n\nGenerated from the program: do not edit. \
         `coax explain TERM` says the same.\n",
    );
    for (subject, title) in [
        (Subject::Word, "Words"),
        (Subject::DropReason, "Drop reasons"),
        (Subject::TraceCause, "Causes that traces name"),
        (Subject::ErrorCode, "Error codes"),
    ] {
        page.push_str(&format!("\n## {title}\n\n"));
        let both = subject == Subject::Word;
        page.push_str(if both {
            "| word | for those who run servers | for those who run networks |\n| --- | --- | --- |\n"
        } else {
            "| name | what it means |\n| --- | --- |\n"
        });
        for entry in glossary::entries().filter(|entry| entry.subject == subject) {
            let meaning = cell(entry.meaning);
            page.push_str(&match entry.networking.filter(|_| both) {
                Some(networking) => {
                    format!("| {} | {meaning} | {} |\n", entry.name, cell(networking))
                }
                None => format!("| `{}` | {meaning} |\n", entry.name),
            });
        }
    }
    page
}

/// docs/reference/roles.md.
pub fn roles() -> String {
    let mut page = String::from(
        "# What each role may do\n\nGenerated from the table that the controller asks before anything else: do not \
         edit.\n\n\
         A token has a role, for one project or for all of them. `own`: the caller's project, or all; the answer \
         holds no other.\n`project`: the one in the path (the operator's rails: see `network`). `network`: hosts and \
         rails, for tokens of\nall projects only. `deployment`: everything, for tokens of all projects only.\n\n\
         | route | about |",
    );
    for role in Role::ALL {
        page.push_str(&format!(" {} |", role.name()));
    }
    page.push_str("\n| --- | --- |");
    page.push_str(&" --- |".repeat(Role::ALL.len()));
    page.push('\n');
    for rule in TABLE {
        let about = match rule.scope {
            Scope::Public => "public",
            Scope::Own => "own",
            Scope::Project => "project",
            Scope::Network => "network",
            Scope::Deployment => "deployment",
        };
        page.push_str(&format!("| `{} {}` | {about} |", rule.method, rule.path));
        for role in Role::ALL {
            let may = Caller::everywhere("", role).is_allowed(rule, "shop".parse().ok().as_ref());
            page.push_str(if may { " yes |" } else { " |" });
        }
        page.push('\n');
    }
    page
}

fn describe(command: &Command, parent: &str, level: usize, page: &mut String) {
    if command.is_hide_set() {
        return;
    }
    let name = format!("{parent} {}", command.get_name());
    let heading = "#".repeat(level.min(4));
    page.push_str(&format!("\n{heading} {name}\n\n"));
    let about = command.get_long_about().or_else(|| command.get_about());
    if let Some(about) = about {
        page.push_str(&format!("{}.\n", about.to_string().trim_end_matches('.')));
    }
    let mut arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_global_set() && !argument.is_hide_set())
        .filter(|argument| argument.get_id() != "help" && argument.get_id() != "version")
        .collect();
    // As they are written: names before flags.
    arguments.sort_by_key(|argument| !argument.is_positional());
    if !arguments.is_empty() {
        page.push_str("\n| argument | what it does | variable |\n| --- | --- | --- |\n");
        page.extend(arguments.into_iter().map(row));
    }
    for below in command.get_subcommands() {
        describe(below, &name, level + 1, page);
    }
}

fn row(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .and_then(|names| names.first())
        .map_or_else(
            || argument.get_id().as_str().to_uppercase(),
            ToString::to_string,
        );
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let short = argument
        .get_short()
        .map(|short| format!("-{short}, "))
        .unwrap_or_default();
    let shape = match argument.get_long() {
        Some(long) if takes_value => format!("{short}--{long} {value}"),
        Some(long) => format!("{short}--{long}"),
        None => value,
    };
    let help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let choices: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|_| takes_value)
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    let choices = if choices.is_empty() {
        String::new()
    } else {
        format!(": {}", choices.join(", "))
    };
    let default: Vec<String> = argument
        .get_default_values()
        .iter()
        .filter(|_| takes_value)
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    let default = if default.is_empty() {
        String::new()
    } else {
        format!(" (default `{}`)", default.join(" "))
    };
    let variable = argument
        .get_env()
        .map(|variable| format!("`{}`", variable.to_string_lossy()))
        .unwrap_or_default();
    format!(
        "| `{}` | {} | {variable} |\n",
        cell(&shape),
        cell(&(help + &choices + &default))
    )
}

/// Text that may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

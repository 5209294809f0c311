//! `coax history` and `coax show`: who changed what, when and why.

use coax_api::{HistoryOptions, Revision};

use super::noun::{or_dash, print_list, print_object};
use crate::commands::{Outcome, diff};
use crate::connection::ConnectionArgs;
use crate::exit::Exit;
use crate::output::{Format, Listed, Output, Shown};

/// Flags of `coax history`.
#[derive(Debug, clap::Args)]
pub struct HistoryArgs {
    /// Only changes of this project
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// At most so many, the newest
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
    pub limit: usize,
    /// Only changes before this revision
    #[arg(long, value_name = "REVISION")]
    pub before: Option<u64>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Flags of `coax show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Its number, from `coax history`
    #[arg(value_name = "REVISION")]
    pub revision: u64,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Lists the history.
pub async fn run(args: &HistoryArgs, output: &Output) -> Outcome {
    let options = HistoryOptions {
        project: args.project.clone(),
        limit: Some(args.limit),
        before: args.before,
    };
    let revisions = args.connection.client()?.revisions(&options).await?;
    print_list(&revisions, output)?;
    if let Some(last) = revisions.last()
        && revisions.len() == args.limit
        && matches!(output.format, Format::Table | Format::Wide)
    {
        output.say(&format!(
            "`coax history --before {}` shows older ones",
            last.revision
        ));
    }
    Ok(Exit::Done)
}

/// Shows one revision.
pub async fn show(args: &ShowArgs, output: &Output) -> Outcome {
    let revision = args.connection.client()?.revision(args.revision).await?;
    print_object(&revision, output)?;
    if matches!(output.format, Format::Table | Format::Wide) {
        let changes = revision.changes.iter();
        let lines = changes.map(|change| format!("  {}\n", diff::line(change, output)));
        output.data(&lines.collect::<String>())?;
    }
    Ok(Exit::Done)
}

/// `+3 ~1 -2`, without what is nothing.
fn counts(revision: &Revision) -> String {
    let counts = [
        ("+", revision.created),
        ("~", revision.changed),
        ("-", revision.deleted),
    ];
    let words = counts.iter().filter(|(_, count)| *count > 0);
    let words: Vec<String> = words
        .map(|(sign, count)| format!("{sign}{count}"))
        .collect();
    or_dash(Some(&words.join(" ")))
}

fn what(revision: &Revision) -> String {
    match revision.back_to {
        Some(back_to) => format!("{} to {back_to}", revision.action),
        None => revision.action.clone(),
    }
}

impl Listed for Revision {
    const PLURAL: &'static str = "revisions";
    const FILLED_BY: &'static str = "`coax apply -f FILE` makes them";
    const COLUMNS: &'static [&'static str] = &[
        "REVISION", "TIME", "AUTHOR", "PROJECT", "WHAT", "CHANGES", "REASON",
    ];
    const MORE: &'static [&'static str] = &["UNCONFIRMED UNTIL"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            self.revision.to_string(),
            self.time.clone(),
            or_dash(Some(&self.author)),
            or_dash(self.project.as_deref()),
            what(self),
            counts(self),
            or_dash(Some(&self.reason)),
        ];
        if wide {
            cells.push(or_dash(self.unconfirmed_until.as_deref()));
        }
        cells
    }

    fn full_name(&self) -> String {
        self.revision.to_string()
    }
}

impl Shown for Revision {
    fn properties(&self) -> Vec<(&'static str, String)> {
        vec![
            ("revision", self.revision.to_string()),
            ("time", self.time.clone()),
            ("author", self.author.clone()),
            ("project", self.project.clone().unwrap_or_default()),
            ("what", what(self)),
            ("reason", self.reason.clone()),
            (
                "unconfirmed until",
                self.unconfirmed_until.clone().unwrap_or_default(),
            ),
            ("not reverted", self.trouble.clone().unwrap_or_default()),
            ("changes", counts(self)),
        ]
    }
}

//! What `list` and `show` of all nouns have in common.

use std::time::{Duration, UNIX_EPOCH};

use coax_api::{ClientError, ObjectStatus};

use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::names::Wanted;
use crate::output::{Format, Listed, Output, Shown};

/// Flags of `list` where objects belong to projects.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Only objects of this project
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Flags of `list` where objects belong to nobody.
#[derive(Debug, clap::Args)]
pub struct ListAllArgs {
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Flags of `show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Its name, alone or as PROJECT/NAME
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The project, if the name alone is not enough
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Flags of `show` where objects belong to nobody.
#[derive(Debug, clap::Args)]
pub struct ShowAnyArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Prints a list. One without entries comes with the command that fills it.
pub fn print_list<T: Listed>(items: &[T], output: &Output) -> Outcome {
    if items.is_empty() && matches!(output.format, Format::Table | Format::Wide) {
        output.say(&format!("no {}; {}", T::PLURAL, T::FILLED_BY));
    }
    output.list(items)?;
    Ok(Exit::Done)
}

/// Prints one object.
pub fn print_object<T: Shown>(item: &T, output: &Output) -> Outcome {
    output.object(item)?;
    Ok(Exit::Done)
}

/// The one object that is meant. It is asked for directly where its full name is known, because only
/// by itself does it say which hosts have it; the list is for short names, and to suggest one.
pub async fn find<T>(
    wanted: &Wanted,
    kind: &'static str,
    names: impl AsyncFn() -> Result<Vec<(String, String)>, ClientError>,
    get: impl AsyncFn(String, String) -> Result<T, ClientError>,
) -> Result<T, CliError> {
    if let Some(project) = &wanted.project {
        match get(project.clone(), wanted.name.clone()).await {
            Err(error) if is_unknown(&error, kind) => {}
            answer => return Ok(answer?),
        }
    }
    let known = names().await?;
    let known: Vec<(&str, &str)> = known
        .iter()
        .map(|(project, name)| (project.as_str(), name.as_str()))
        .collect();
    let (project, name) = wanted.find(kind, &known)?;
    Ok(get(project, name).await?)
}

fn is_unknown(error: &ClientError, kind: &str) -> bool {
    error
        .problem()
        .is_some_and(|problem| problem.code == format!("no-such-{kind}"))
}

/// Project and name of each, for [`find`].
pub fn names_of<T>(items: Vec<T>, key: impl Fn(T) -> (String, String)) -> Vec<(String, String)> {
    items.into_iter().map(key).collect()
}

impl ShowArgs {
    /// What is meant by the name.
    pub fn wanted(&self) -> Wanted {
        Wanted::new(&self.name, self.project.as_deref())
    }
}

impl ShowAnyArgs {
    /// What is meant by the name.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            project: Some(String::new()),
            name: self.name.clone(),
        }
    }
}

/// `5 of 6 hosts`, and what is wrong, one sentence per line.
pub fn status_properties(status: &ObjectStatus) -> [(&'static str, String); 2] {
    let current = status
        .realized
        .values()
        .filter(|revision| **revision >= status.desired_revision)
        .count();
    let realised = match status.realized.len() {
        0 => "no host needs it".to_owned(),
        all => format!("{current} of {all} hosts"),
    };
    let problems: Vec<String> = status
        .conditions
        .iter()
        .map(|condition| match &condition.host {
            Some(host) => format!("{host}: {}", condition.message),
            None => condition.message.clone(),
        })
        .collect();
    [("realised", realised), ("problems", problems.join("\n"))]
}

/// `yes` or nothing, for switches that are seldom on.
pub fn yes(value: bool) -> String {
    if value { "yes".into() } else { String::new() }
}

/// The value, or a dash.
pub fn or_dash(value: Option<&str>) -> String {
    match value {
        Some(value) if !value.is_empty() => value.to_owned(),
        _ => "-".into(),
    }
}

/// How long something counts that ends at a moment in seconds since 1970.
pub fn expiry(expires: u64, expired: bool) -> String {
    if expired {
        return "expired".to_owned();
    }
    let end = UNIX_EPOCH + Duration::from_secs(expires);
    let left = end.elapsed().err().map(|error| error.duration());
    match left.unwrap_or_default().as_secs() {
        seconds if seconds >= 2 * 86_400 => format!("in {} days", seconds / 86_400),
        seconds if seconds >= 2 * 3600 => format!("in {} hours", seconds / 3600),
        seconds => format!("in {} minutes", seconds / 60),
    }
}

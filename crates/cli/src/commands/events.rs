//! `coax events [--follow]`: what happened, one line each.

use coax_api::{Event, EventKind, EventNews, EventParams};

use super::flows::time;
use super::noun::print_list;
use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Format, Listed, Output};

/// Flags of `coax events`.
#[derive(Debug, clap::Args)]
pub struct EventsArgs {
    /// Go on with what happens from now on; with `-o json` one object per line
    #[arg(short, long)]
    follow: bool,
    /// Only this kind
    #[arg(long, value_name = "KIND", value_parser = EventKind::ALL.map(EventKind::as_str))]
    kind: Vec<String>,
    /// Only what happened on this host
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Only what is about this project
    #[arg(long, value_name = "PROJECT")]
    project: Vec<String>,
    /// Only the last N
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Which controller.
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl EventsArgs {
    fn params(&self) -> EventParams {
        let list = |values: &[String]| (!values.is_empty()).then(|| values.join(","));
        EventParams {
            kind: list(&self.kind),
            host: list(&self.host),
            project: list(&self.project),
            after: None,
            last: self.last,
            follow: self.follow,
        }
    }
}

/// Runs it.
pub async fn run(args: &EventsArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let params = args.params();
    if !args.follow {
        let found = client.events(&params).await?;
        print_list(&found.events, output)?;
        if found.incomplete {
            output.say("older events are not kept; `coax history` has every change");
        }
        return Ok(Exit::Done);
    }
    let mut failed = None;
    let followed = client.follow_events(&params, |news| {
        failed = print_news(news, output).err();
        failed.is_none()
    });
    followed.await?;
    match failed {
        Some(error) => Err(error),
        None => Ok(Exit::Done),
    }
}

fn print_news(news: EventNews, output: &Output) -> Result<(), CliError> {
    match news {
        EventNews::Event(event) => output.data(&line(&event, output.format)?)?,
        EventNews::Lost(lost) => output.warn(&format!("events are missing here: {}", lost.reason)),
    }
    Ok(())
}

/// An event as one line.
fn line(event: &Event, format: Format) -> Result<String, CliError> {
    let text = match format {
        Format::Json => serde_json::to_string(event).map_err(|source| CliError::Json { source })?,
        Format::Yaml => return Ok(format!("---\n{}", crate::output::yaml(event)?)),
        Format::Name => event.full_name(),
        Format::Table | Format::Wide => format!(
            "{} {:<15} {}",
            time(event.time),
            event.kind.as_str(),
            event.message
        ),
    };
    Ok(text + "\n")
}

impl Listed for Event {
    const PLURAL: &'static str = "events";
    const FILLED_BY: &'static str =
        "they begin when the controller starts; `coax history` has what was changed before";
    const COLUMNS: &'static [&'static str] = &["TIME", "KIND", "WHAT"];
    const MORE: &'static [&'static str] = &["PROJECT", "OBJECT", "HOST", "REVISION", "CODE"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            time(self.time),
            self.kind.as_str().to_owned(),
            self.message.clone(),
        ];
        if wide {
            let revision = self.revision.map(|it| it.to_string());
            cells.extend([
                self.project.clone(),
                self.object.clone(),
                self.host.clone(),
                revision.unwrap_or_default(),
                self.code.clone(),
            ]);
        }
        cells
    }

    fn full_name(&self) -> String {
        self.id.clone()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_and_what() {
        let event = Event {
            id: "00000000000000ff-3".into(),
            time: 3_723_000,
            kind: EventKind::PortMoved,
            project: "shop".into(),
            object: "shop/web-1".into(),
            host: "hv2".into(),
            revision: Some(7),
            code: String::new(),
            message: "shop/web-1 is on hv2 now; it was on hv1".into(),
        };
        assert_eq!(
            line(&event, Format::Table).unwrap(),
            "01:02:03 port-moved      shop/web-1 is on hv2 now; it was on hv1\n"
        );
        assert_eq!(line(&event, Format::Name).unwrap(), "00000000000000ff-3\n");
        assert!(
            line(&event, Format::Json)
                .unwrap()
                .contains("\"revision\":7")
        );
    }
}

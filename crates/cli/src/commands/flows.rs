//! `coax flows [--follow]`: what firewalls decided, by the names of ports, networks and rules. Exit code 3 if a host did not
//! answer.

use clap::{ArgMatches, Args, FromArgMatches};
use coax_api::flows::{Flow, FlowEnd, FlowEvent, FlowParams, FlowVerdict};

use super::drops::warn_of;
use super::noun::print_list;
use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Format, Listed, Output};

/// What the flags that `--not` turns round are called.
const FILTERS: [&str; 9] = [
    "from", "to", "verdict", "reason", "rule", "port", "protocol", "host", "project",
];

/// The flags, without the meaning of their order.
#[derive(Debug, clap::Args)]
struct Flags {
    /// Go on with what is decided from now on; with `-o json` one object per line
    #[arg(short, long)]
    follow: bool,
    /// Only what this opened: a port, network/NAME, group/NAME, an address or a prefix
    #[arg(long, value_name = "WHO")]
    from: Vec<String>,
    /// Only what was for this
    #[arg(long, value_name = "WHOM")]
    to: Vec<String>,
    /// Only these: allow, deny, reject, audit, drop
    #[arg(long, value_name = "VERDICT")]
    verdict: Vec<String>,
    /// Only what was dropped for this reason
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Only what this rule decided; `default`: no rule did
    #[arg(long, value_name = "RULE")]
    rule: Vec<String>,
    /// Only what was for this port of a service
    #[arg(long, value_name = "PORT")]
    port: Vec<String>,
    /// Only this: tcp, udp, icmp, icmpv6, sctp, or the number of a protocol
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Vec<String>,
    /// Only what was decided on this host
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Only what is about this project
    #[arg(long, value_name = "PROJECT")]
    project: Vec<String>,
    /// Turns the next of the flags above round: `--not --verdict allow`
    #[arg(long, num_args = 0, default_missing_value = "", action = clap::ArgAction::Append)]
    not: Vec<String>,
    /// Only what happened in this time until now: 30s, 5m, 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only the last N
    #[arg(long, value_name = "N")]
    last: Option<usize>,
    /// Which controller.
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Flags of `coax flows`.
#[derive(Debug)]
pub struct FlowsArgs {
    /// Which flows.
    pub params: FlowParams,
    /// Which controller.
    pub connection: ConnectionArgs,
}

impl Args for FlowsArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        Flags::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Flags::augment_args_for_update(command)
    }
}

impl FromArgMatches for FlowsArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = Flags::from_arg_matches(matches)?;
        let values = |name: &str, values: &[String]| {
            let turned = turned_round(matches, name);
            let signed = values.iter().enumerate().flat_map(|(index, list)| {
                let sign = if turned.get(index) == Some(&true) {
                    "!"
                } else {
                    ""
                };
                list.split(',').map(move |value| format!("{sign}{value}"))
            });
            let signed: Vec<String> = signed.collect();
            (!signed.is_empty()).then(|| signed.join(","))
        };
        let params = FlowParams {
            host: values("host", &flags.host),
            project: values("project", &flags.project),
            from: values("from", &flags.from),
            to: values("to", &flags.to),
            verdict: values("verdict", &flags.verdict),
            reason: values("reason", &flags.reason),
            rule: values("rule", &flags.rule),
            port: values("port", &flags.port),
            protocol: values("protocol", &flags.protocol),
            since: flags.since,
            last: flags.last,
            follow: flags.follow,
        };
        Ok(Self {
            params,
            connection: flags.connection,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// For each use of a flag whether a `--not` stands before it, with no other use of a flag between them.
fn turned_round(matches: &ArgMatches, name: &str) -> Vec<bool> {
    let places = |name| matches.indices_of(name).into_iter().flatten();
    let all: Vec<usize> = FILTERS.iter().flat_map(|name| places(name)).collect();
    let is_turned = |place: usize| {
        let not = places("not").filter(|not| *not < place).max();
        not.is_some_and(|not| !all.iter().any(|other| (not..place).contains(other)))
    };
    places(name).map(is_turned).collect()
}

/// Runs it.
pub async fn run(args: &FlowsArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    if !args.params.follow {
        let found = client.flows(&args.params).await?;
        print_list(&found.flows, output)?;
        if found.left_out > 0 {
            let more = found.left_out;
            output.say(&format!(
                "{more} more are not shown; `--last` and filters find them"
            ));
        }
        if found.lost > 0 {
            let lost = found.lost;
            output.say(&format!(
                "{lost} decisions were not noted, because hosts made too many at once"
            ));
        }
        return Ok(warn_of(&found.missing, output));
    }
    let mut failed = None;
    let followed = client.follow_flows(&args.params, |event| {
        failed = print_event(event, output).err();
        failed.is_none()
    });
    followed.await?;
    match failed {
        Some(error) => Err(error),
        None => Ok(Exit::Done),
    }
}

fn print_event(event: FlowEvent, output: &Output) -> Result<(), CliError> {
    match event {
        FlowEvent::Flow(flow) => output.data(&line(&flow, output.format)?)?,
        FlowEvent::Lost(lost) => output.warn(&format!(
            "{} made more decisions than it could note: {} are missing here",
            lost.host, lost.lost
        )),
        FlowEvent::Missing(host) => {
            output.warn(&format!("{} tells nothing: {}", host.host, host.reason));
        }
    }
    Ok(())
}

/// A flow as one line.
fn line(flow: &Flow, format: Format) -> Result<String, CliError> {
    let text = match format {
        Format::Json => serde_json::to_string(flow).map_err(|source| CliError::Json { source })?,
        Format::Yaml => return Ok(format!("---\n{}", crate::output::yaml(flow)?)),
        Format::Name => flow.full_name(),
        Format::Table | Format::Wide => format!(
            "{} {} {:<6} {} {} -> {} {}{}",
            time(flow.last),
            flow.host,
            flow.verdict.as_str(),
            service(flow),
            end(&flow.from),
            end(&flow.to),
            by(flow),
            match flow.times {
                1 => String::new(),
                times => format!(" x{times}"),
            }
        ),
    };
    Ok(text + "\n")
}

impl Listed for Flow {
    const PLURAL: &'static str = "flows";
    const FILLED_BY: &'static str = "firewalls note what they decide as soon as somebody connects";
    const COLUMNS: &'static [&'static str] = &[
        "TIME", "HOST", "VERDICT", "SERVICE", "FROM", "TO", "BY", "TIMES",
    ];
    const MORE: &'static [&'static str] = &["NETWORK", "SOURCE", "DESTINATION", "BYTES"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            time(self.last),
            self.host.clone(),
            self.verdict.as_str().to_owned(),
            service(self),
            end(&self.from),
            end(&self.to),
            by(self),
            self.times.to_string(),
        ];
        if wide {
            let address = |end: &FlowEnd| end.address.map(|it| it.to_string()).unwrap_or_default();
            cells.extend([
                self.network.clone(),
                address(&self.from),
                address(&self.to),
                self.bytes.to_string(),
            ]);
        }
        cells
    }

    fn full_name(&self) -> String {
        format!("{} {}-{}", service(self), end(&self.from), end(&self.to))
    }
}

/// The port's name, or the address where no port has it.
fn end(end: &FlowEnd) -> String {
    match (&end.port, end.address) {
        (port, _) if !port.is_empty() => port.clone(),
        (_, Some(address)) => address.to_string(),
        (_, None) => "-".to_owned(),
    }
}

/// The service as rules call it.
fn service(flow: &Flow) -> String {
    match (flow.protocol.as_str(), flow.port) {
        (protocol @ ("icmp" | "icmpv6"), port) => format!("{protocol}/{}", port >> 8),
        (protocol, 0) => protocol.to_owned(),
        (protocol, port) => format!("{protocol}/{port}"),
    }
}

/// The rule that decided, or why there was nothing to decide.
fn by(flow: &Flow) -> String {
    match (flow.verdict, flow.rule.as_str()) {
        (FlowVerdict::Drop, _) => flow.reason.clone(),
        (_, "") => "default".to_owned(),
        (_, rule) => rule.to_owned(),
    }
}

/// Hours, minutes, seconds of a moment in UTC.
pub(super) fn time(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command, command};

    fn params(flags: &str) -> FlowParams {
        let words = ["coax", "flows"].into_iter().chain(flags.split(' '));
        let matches = command(true).try_get_matches_from(words).unwrap();
        match Cli::from_arg_matches(&matches).unwrap().command {
            Command::Flows(args) => args.params,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn not_turns_the_next_flag_round_and_no_other() {
        let given = params("--from web-1 --not --verdict allow,audit --to db-1 --not --port=443");
        assert_eq!(given.from.as_deref(), Some("web-1"));
        assert_eq!(given.verdict.as_deref(), Some("!allow,!audit"));
        assert_eq!(given.to.as_deref(), Some("db-1"));
        assert_eq!(given.port.as_deref(), Some("!443"));
        let given = params("--verdict deny --not --reason storm --rule default --follow --last 5");
        assert_eq!(given.verdict.as_deref(), Some("deny"));
        assert_eq!(given.reason.as_deref(), Some("!storm"));
        assert_eq!(given.rule.as_deref(), Some("default"));
        assert!(given.follow && given.last == Some(5));
        let twice = params("--not --from web-1 --from web-2");
        assert_eq!(twice.from.as_deref(), Some("!web-1,web-2"));
    }

    #[test]
    fn a_line_says_who_whom_what_and_by_which_rule() {
        let end = |port: &str, address: [u8; 4]| FlowEnd {
            address: Some(address.into()),
            port: port.to_owned(),
            network: String::new(),
        };
        let flow = Flow {
            host: "hv1".into(),
            project: "shop".into(),
            network: "shop/web".into(),
            verdict: FlowVerdict::Deny,
            reason: "denied".into(),
            rule: String::new(),
            from: end("shop/web-1", [10, 0, 0, 1]),
            to: end("", [192, 0, 2, 7]),
            protocol: "tcp".into(),
            port: 22,
            source_port: 40_000,
            times: 3,
            bytes: 180,
            first: 0,
            last: 3_723_000,
        };
        assert_eq!(
            line(&flow, Format::Table).unwrap(),
            "01:02:03 hv1 deny   tcp/22 shop/web-1 -> 192.0.2.7 default x3\n"
        );
        let ping = Flow {
            protocol: "icmp".into(),
            port: 8 << 8,
            verdict: FlowVerdict::Drop,
            reason: "fragment".into(),
            times: 1,
            ..flow
        };
        assert_eq!(
            line(&ping, Format::Table).unwrap(),
            "01:02:03 hv1 drop   icmp/8 shop/web-1 -> 192.0.2.7 fragment\n"
        );
    }
}

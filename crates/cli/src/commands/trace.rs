//! `coax trace A B [tcp/443]`: what becomes of a packet, in one sentence, and below it every vSwitch that it passes.
//! Exit code 0 if it arrives, 1 if not, 3 if it cannot be followed to its end.

use coax_api::{Trace, TraceHop, TraceLeg, TracePath, TraceRequest, TraceVerdict};

use super::explain::wrapped;
use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::exit::Exit;
use crate::output::{Format, Output};

/// Flags of `coax trace`.
#[derive(Debug, clap::Args)]
pub struct TraceArgs {
    /// Who sends: a port (NAME or PROJECT/NAME) or its IP address
    #[arg(value_name = "FROM")]
    pub from: String,
    /// Who is to get it: a port or any IP address
    #[arg(value_name = "TO")]
    pub to: String,
    /// Kind of packet: tcp/PORT, udp/PORT or icmp
    #[arg(value_name = "TRAFFIC", default_value = "icmp")]
    pub traffic: String,
    /// Source port: asks about the connection that stands, in either direction, instead of a new one
    #[arg(long, value_name = "PORT")]
    pub from_port: Option<u16>,
    /// Flags of the TCP segment, such as syn, ack or rst,ack
    #[arg(long, value_name = "FLAGS")]
    pub flags: Option<String>,
    /// Also send the packet for real, and compare
    #[arg(long)]
    pub inject: bool,
    /// Bytes of the IP packet
    #[arg(long, value_name = "BYTES")]
    pub size: Option<u32>,
    /// IP family, for ports with addresses of both: ipv4 or ipv6
    #[arg(long, value_name = "FAMILY")]
    pub family: Option<String>,
    /// The project of names that stand alone
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &TraceArgs, output: &Output) -> Outcome {
    let request = TraceRequest {
        from: args.from.clone(),
        to: args.to.clone(),
        traffic: Some(args.traffic.clone()),
        project: args.project.clone(),
        family: args.family.clone(),
        from_port: args.from_port,
        flags: args.flags.clone(),
        size: args.size,
        inject: args.inject,
    };
    let trace = args.connection.client()?.trace(&request).await?;
    output.value(
        &trace,
        |it| {
            let packet = it.hops.iter().filter(|hop| hop.leg == TraceLeg::Packet);
            packet.map(|hop| hop.host.clone()).collect()
        },
        |it| people(it, output),
    )?;
    Ok(match trace.verdict {
        TraceVerdict::Delivered => Exit::Done,
        TraceVerdict::Lost => Exit::Error,
        TraceVerdict::Unknown => Exit::Warnings,
    })
}

/// The sentence, what to do, then the hops. `wide` shows every row that was looked up.
fn people(trace: &Trace, output: &Output) -> String {
    let width = output.prose_width();
    let mut text = wrapped(&trace.summary, usize::MAX, "");
    if !trace.about.is_empty() {
        text += &wrapped(&format!("about: {}", trace.about), width, "  ");
    }
    if !trace.hint.is_empty() {
        text += &wrapped(&format!("next: {}", trace.hint), width, "  ");
    }
    if let Some(rule) = &trace.allow {
        text += &format!("the smallest rule that allows it: {rule}\n");
    }
    if !trace.cause.is_empty() {
        text += &format!("cause: {0} (`coax explain {0}`)\n", trace.cause);
    }
    for note in &trace.notes {
        text += &wrapped(&format!("note: {note}"), width, "  ");
    }
    if let Some(injected) = &trace.injected {
        let verdict = if injected.agrees {
            "counters agree"
        } else {
            "counters DIFFER"
        };
        text += &format!("sent {} packets for real: {verdict}\n", injected.packets);
        for line in &injected.observed {
            text += &wrapped(&format!("  {line}"), width, "    ");
        }
    }
    let wide = output.format == Format::Wide;
    let mut leg = None;
    for hop in &trace.hops {
        if leg != Some(hop.leg) {
            leg = Some(hop.leg);
            text += &format!("\n{}\n", title(trace, hop.leg));
        }
        text += &one_hop(hop, wide, width);
    }
    text
}

fn title(trace: &Trace, leg: TraceLeg) -> String {
    let Trace {
        from, to, traffic, ..
    } = trace;
    let own = trace.addresses.first().map_or("", String::as_str);
    let other = trace.addresses.get(1).map_or("", String::as_str);
    match leg {
        TraceLeg::Resolution => format!("{from} asks for the MAC address behind {other}"),
        TraceLeg::Packet => format!("{traffic} from {from} ({own}) to {to} ({other})"),
        TraceLeg::AnswerResolution => format!("{to} asks for the MAC address behind {own}"),
        TraceLeg::Answer => format!("the answer of {to}"),
    }
}

fn one_hop(hop: &TraceHop, wide: bool, width: usize) -> String {
    let enters = match (hop.port.as_str(), hop.device.as_str()) {
        (port, "") => port.to_owned(),
        ("", device) => format!("out of the fabric by {device}"),
        (port, device) => format!("from {port} by {device}"),
    };
    let mut text = wrapped(
        &format!("  {}  {enters}: {}", hop.host, hop.outcome),
        width,
        "    ",
    );
    let stages: Vec<&str> = hop
        .stages
        .iter()
        .map(|stage| stage.stage.as_str())
        .collect();
    if !wide {
        if !stages.is_empty() {
            text += &wrapped(
                &format!("    stages {}", stages.join(" > ")),
                width,
                "      ",
            );
        }
        // What the last stage looked up is what decided.
        let deciding = hop.stages.iter().rev().find(|stage| !stage.rows.is_empty());
        for row in deciding.into_iter().flat_map(|stage| &stage.rows) {
            text += &wrapped(&format!("    {}: {}", row.table, row.text), width, "      ");
        }
    }
    for stage in hop.stages.iter().filter(|_| wide) {
        text += &format!("    {}\n", stage.stage);
        for row in &stage.rows {
            text += &wrapped(
                &format!("      {}: {}", row.table, row.text),
                width,
                "        ",
            );
        }
    }
    if let Some(path) = &hop.underlay {
        text += &wrapped(&format!("    underlay {}", underlay(path)), width, "      ");
    }
    text
}

fn underlay(path: &TracePath) -> String {
    let mut text = format!("{} > {}", path.from, path.to);
    if !path.host.is_empty() {
        text += &format!(" ({})", path.host);
    }
    if path.device.is_empty() {
        return text + ": no route";
    }
    text += &format!(
        " by {} through {}, UDP port {} > 4789, {} of {} bytes",
        path.device, path.next_hop, path.source_port, path.length, path.mtu
    );
    match path.probed {
        Some(true) => text + ", arrives",
        Some(false) => text + ", does not arrive",
        None => text,
    }
}

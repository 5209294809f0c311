//! `coax doctor`: what keeps hosts from carrying packets, and the command that mends it.
//!
//! With a controller, all hosts and the ways between them; with `--here`, this machine alone, also before it is a host.
//! Exit code 0: nothing found; 3: warnings, or a host that did not answer; 1: something that blocks.

use std::net::IpAddr;

use coax_agent::doctor::{self, Subject};
use coax_api::finding::Severity;
use coax_api::{Finding, Findings};
use coax_netlink::Netlink;

use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::detect::Machine;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Format, Output};

/// Flags of `coax doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Only this host, with the ways between it and others
    #[arg(value_name = "HOST", conflicts_with = "here")]
    pub host: Option<String>,
    /// Look at this machine alone, without a controller
    #[arg(long)]
    pub here: bool,
    /// With `--here`: devices that lead to the other hosts [default: those of the default route]
    #[arg(
        long = "uplink",
        value_name = "DEVICE",
        value_delimiter = ',',
        requires = "here"
    )]
    pub uplinks: Vec<String>,
    /// With `--here`: where tunnels to this machine end [default: a global address of `lo` or of an uplink]
    #[arg(
        long = "vtep",
        value_name = "ADDRESS",
        value_delimiter = ',',
        requires = "here"
    )]
    pub vteps: Vec<IpAddr>,
    /// With `--here`: bytes of the largest packet that the fabric has to carry [default: MTUs are not looked at]
    #[arg(long, value_name = "BYTES", requires = "here")]
    pub underlay_mtu: Option<u32>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &DoctorArgs, output: &Output) -> Outcome {
    let found = match args.here {
        true => here(args).await?,
        false => {
            let client = args.connection.client()?;
            client.findings(args.host.as_deref()).await?
        }
    };
    output.value(
        &found,
        |it| it.findings.iter().map(|it| it.code.clone()).collect(),
        |it| people(it, output),
    )?;
    for missing in &found.missing {
        output.warn(&format!(
            "{} is not examined: {}",
            missing.host, missing.reason
        ));
    }
    if found.findings.is_empty() && !found.hosts.is_empty() {
        let ways = match found.paths {
            0 => String::new(),
            paths => format!(", nor on {paths} ways between hosts"),
        };
        let hosts = found.hosts.join(", ");
        output.say(&format!("nothing is wrong with {hosts}{ways}"));
    }
    Ok(exit(&found))
}

fn exit(found: &Findings) -> Exit {
    let blocking = |finding: &Finding| finding.severity == Severity::Blocking;
    if found.findings.iter().any(blocking) {
        Exit::Error
    } else if found.findings.is_empty() && found.missing.is_empty() {
        Exit::Done
    } else {
        Exit::Warnings
    }
}

async fn here(args: &DoctorArgs) -> Result<Findings, CliError> {
    let machine = Machine::detect().await?;
    let uplinks = match args.uplinks.as_slice() {
        [] => machine.uplinks.clone(),
        given => given.to_vec(),
    };
    let detected = [
        machine.ipv4.map(IpAddr::from),
        machine.ipv6.map(IpAddr::from),
    ];
    let vteps = match args.vteps.as_slice() {
        [] => detected.into_iter().flatten().collect(),
        given => given.to_vec(),
    };
    let subject = Subject {
        host: machine.name.to_string(),
        uplinks,
        vteps,
        needed: args.underlay_mtu.unwrap_or(0),
        ..Subject::default()
    };
    let examination = doctor::examine(&Netlink::open()?, &subject).await?;
    let mut findings = examination.findings;
    findings.sort();
    Ok(Findings {
        findings,
        hosts: vec![subject.host],
        ..Findings::default()
    })
}

fn people(found: &Findings, output: &Output) -> String {
    let row = |finding: &Finding| {
        vec![
            finding.host.clone(),
            severity(finding).to_owned(),
            finding.code.clone(),
            finding.about.clone(),
        ]
    };
    let columns = ["HOST", "SEVERITY", "FINDING", "ABOUT"];
    if output.format == Format::Wide {
        let columns = [columns.as_slice(), &["CAUSE", "MEND"]].concat();
        let rows = found.findings.iter().map(|finding| {
            let more = vec![finding.cause.clone(), finding.mend.clone()];
            [row(finding), more].concat()
        });
        return output.table(&columns, rows);
    }
    let mut text = output.table(&columns, found.findings.iter().map(row));
    for finding in &found.findings {
        let Finding {
            host, cause, mend, ..
        } = finding;
        text.push_str(&format!("\n{host}: {cause}\n  mend: {mend}\n"));
    }
    text
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Blocking => "blocking",
        Severity::Warning => "warning",
    }
}

//! `coax capture PORT -w FILE|-`: frames of a port as pcapng, with what the vSwitch does with each as comment.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use coax_api::{Client, ClientError};

use super::noun::names_of;
use crate::commands::Outcome;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::names::Wanted;
use crate::output::Output;

/// Flags of `coax capture`.
#[derive(Debug, clap::Args)]
pub struct CaptureArgs {
    /// Name of the port, alone or as PROJECT/NAME
    #[arg(value_name = "PORT")]
    pub port: String,
    /// File to write to; `-` is the standard output: `coax capture web-1 -w - | tshark -r -`
    #[arg(short, long, value_name = "FILE")]
    pub write: PathBuf,
    /// How long, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub seconds: u64,
    /// The project, if the name alone is not enough
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &CaptureArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let port = full_name(args, &client).await?;
    let mut file = open(args)?;
    output.say(&format!("capturing {port} for {} s", args.seconds));
    let mut failed = None;
    let time = Duration::from_secs(args.seconds);
    let captured = client.capture(&port, time, |piece| {
        let written = file.write_all(piece).and_then(|()| file.flush());
        failed = written.err();
        failed.is_none()
    });
    captured.await?;
    match failed {
        // Whoever read has seen enough.
        Some(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Some(source) => Err(unwritable(args, source)),
        None => Ok(Exit::Done),
    }
}

async fn full_name(args: &CaptureArgs, client: &Client) -> Result<String, CliError> {
    let known: Result<_, ClientError> = client.ports(None).await;
    let known = names_of(known?, |port| (port.project, port.name));
    let known: Vec<(&str, &str)> = known
        .iter()
        .map(|(project, name)| (project.as_str(), name.as_str()))
        .collect();
    let wanted = Wanted::new(&args.port, args.project.as_deref());
    let (project, name) = wanted.find("port", &known)?;
    Ok(format!("{project}/{name}"))
}

fn open(args: &CaptureArgs) -> Result<Box<dyn Write>, CliError> {
    if args.write.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdout()));
    }
    let file = std::fs::File::create(&args.write);
    let file = file.map_err(|source| unwritable(args, source))?;
    Ok(Box::new(file))
}

fn unwritable(args: &CaptureArgs, source: std::io::Error) -> CliError {
    CliError::Unwritable {
        path: args.write.clone(),
        source,
    }
}

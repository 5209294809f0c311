//! `coax audit list|verify`: who changed what, and whether the log of it is whole.

use std::time::{Duration, UNIX_EPOCH};

use coax_api::AuditEntry;

use crate::commands::Outcome;
use crate::commands::noun::print_list;
use crate::connection::ConnectionArgs;
use crate::exit::Exit;
use crate::output::{Listed, Output};

/// `coax audit …`
#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// List what was changed last, by whom, from where
    List(ListArgs),
    /// Check that no entry was changed or removed; exit code 1 if one was
    Verify(VerifyArgs),
}

/// Flags of `coax audit list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// So many of the last entries
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub last: usize,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Flags of `coax audit verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(command: &AuditCommand, output: &Output) -> Outcome {
    match command {
        AuditCommand::List(args) => {
            let client = args.connection.client()?;
            print_list(&client.audit_log(args.last).await?, output)
        }
        AuditCommand::Verify(args) => {
            let verdict = args.connection.client()?.verify_audit_log().await?;
            output.value(
                &verdict,
                |_| Vec::new(),
                |verdict| match (verdict.broken_at, &verdict.reason) {
                    (Some(number), Some(reason)) => {
                        format!("the log is broken at entry {number}: {reason}\n")
                    }
                    _ => format!(
                        "{} entries, none changed; the last hash is {}\n",
                        verdict.entries, verdict.last_hash
                    ),
                },
            )?;
            Ok(match verdict.broken_at {
                Some(_) => Exit::Error,
                None => Exit::Done,
            })
        }
    }
}

impl Listed for AuditEntry {
    const PLURAL: &'static str = "entries";
    const FILLED_BY: &'static str = "every change becomes one";
    const COLUMNS: &'static [&'static str] = &["NUMBER", "AGO", "WHO", "FROM", "WHAT", "STATUS"];
    const MORE: &'static [&'static str] = &["REVISION", "CHANGES"];

    fn cells(&self, wide: bool) -> Vec<String> {
        let mut cells = vec![
            self.number.to_string(),
            ago(self.time),
            format!("{} ({})", self.who, self.role),
            self.from.clone(),
            format!("{} {}", self.method, self.path),
            self.status.to_string(),
        ];
        if wide {
            let revision = self.revision.map(|revision| revision.to_string());
            cells.extend([revision.unwrap_or_default(), self.changes.join("; ")]);
        }
        cells
    }

    fn full_name(&self) -> String {
        self.number.to_string()
    }
}

fn ago(time: u64) -> String {
    let then = UNIX_EPOCH + Duration::from_secs(time);
    match then.elapsed().unwrap_or_default().as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7200 => format!("{} min", seconds / 60),
        seconds if seconds < 2 * 86_400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

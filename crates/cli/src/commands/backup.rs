//! `coax backup create|verify|restore`: the whole deployment in one encrypted file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use coax_api::BackupRequest;
use coax_controller::backup::{Backup, BackupError, Contents, restore};
use coax_controller::{EtcdAddresses, EtcdFlags};
use coax_identity::file::{self, Readers};
use coax_store::EtcdAccess;
use serde::Serialize;

use crate::commands::Outcome;
use crate::commands::init::add_credentials;
use crate::commands::start::Places;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;

/// `coax backup …`
#[derive(Debug, clap::Subcommand)]
pub enum BackupCommand {
    /// Take a backup of a running controller
    Create(CreateArgs),
    /// Say what is in a backup, and find any byte of it that is missing or another
    Verify(VerifyArgs),
    /// Make this machine the controller that a backup was taken of
    Restore(RestoreArgs),
}

/// Where the passphrase comes from.
#[derive(Debug, clap::Args)]
pub struct PassphraseArgs {
    /// File whose first line is the passphrase [default: ask on the terminal]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// Flags of `coax backup create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// The file to write; one that is there is replaced
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What it is encrypted with.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Flags of `coax backup verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Also decrypt it, on the passphrase from the terminal
    #[arg(long)]
    pub decrypt: bool,
    /// What it is encrypted with.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Flags of `coax backup restore`.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The controller's state folder, which must be empty or missing [default: /var/lib/coax/controller]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Put the store into this etcd, to which nothing was ever written, instead of a file: https://HOST:PORT, several with commas
    #[arg(long, value_name = "ADDRESS")]
    pub store: Option<EtcdAddresses>,
    /// How to get in; files are copied.
    #[command(flatten)]
    pub etcd: EtcdFlags,
    /// What it is encrypted with.
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// What `verify` found.
#[derive(Debug, Serialize)]
struct Verified {
    #[serde(flatten)]
    contents: Contents,
    /// Whether it was decrypted as well.
    decrypted: bool,
}

/// Runs it.
pub async fn run(command: &BackupCommand, output: &Output) -> Outcome {
    match command {
        BackupCommand::Create(args) => create(args, output).await,
        BackupCommand::Verify(args) => verify(args, output),
        BackupCommand::Restore(args) => restore_here(args, output),
    }
}

async fn create(args: &CreateArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    let passphrase = args.passphrase.read(Asked::Twice)?;
    let request = BackupRequest { passphrase };
    let content = client.backup(&request).await?;
    // Before an older one is replaced by it.
    let contents = Backup::look_at(&content).map_err(|error| bad(&args.file, error))?;
    file::write(&args.file, &content, Readers::Owner).map_err(coax_controller::Error::from)?;
    output.say(&format!(
        "{} holds everything up to revision {}: {}",
        args.file.display(),
        contents.revision,
        counted(&contents)
    ));
    output.say("without the passphrase nobody can read it, you included; keep them apart");
    Ok(Exit::Done)
}

fn verify(args: &VerifyArgs, output: &Output) -> Outcome {
    let content = read(&args.file)?;
    let mut contents = Backup::look_at(&content).map_err(|error| bad(&args.file, error))?;
    let decrypted = args.decrypt || args.passphrase.passphrase_file.is_some();
    if decrypted {
        let passphrase = args.passphrase.read(Asked::Once)?;
        let opened = Backup::read(&content, passphrase.as_bytes());
        contents = opened.map_err(|error| bad(&args.file, error))?.1;
    }
    let verified = Verified {
        contents,
        decrypted,
    };
    output.value(
        &verified,
        |it| vec![it.contents.authority.clone()],
        |it| {
            let contents = &it.contents;
            output.properties([
                ("made", contents.made.clone()),
                ("of the deployment", contents.authority.clone()),
                ("by version", contents.version.clone()),
                ("revision", contents.revision.to_string()),
                ("holds", counted(contents)),
                ("checksum", "right".to_owned()),
                (
                    "decrypted",
                    if it.decrypted { "yes" } else { "not tried" }.to_owned(),
                ),
            ])
        },
    )?;
    Ok(Exit::Done)
}

fn restore_here(args: &RestoreArgs, output: &Output) -> Outcome {
    let content = read(&args.file)?;
    Backup::look_at(&content).map_err(|error| bad(&args.file, error))?;
    let etcd = args.etcd.access(args.store.as_ref());
    let etcd = etcd.map_err(coax_controller::Error::from)?;
    let passphrase = args.passphrase.read(Asked::Once)?;
    let (backup, contents) =
        Backup::read(&content, passphrase.as_bytes()).map_err(|error| bad(&args.file, error))?;
    let folder = match &args.state {
        Some(folder) => folder.clone(),
        None => Places::new(None).controller_state(),
    };
    let restored = restore(backup, &contents, &folder, etcd.as_ref(), SystemTime::now())
        .map_err(|error| bad(&args.file, error))?;
    output.say(&format!(
        "{} is the deployment of {} again: revision {}, {}, generation {}",
        folder.display(),
        contents.made,
        contents.revision,
        counted(&contents),
        restored.generation,
    ));
    if restored.invitations > 0 {
        output.say(&format!(
            "{} join tokens were left out, since they may have been used: `coax host invite` makes new ones",
            restored.invitations
        ));
    }
    if let Some(etcd) = &restored.etcd {
        output.say("its store is in etcd; put these lines into the file of the controller:");
        output.data(&settings(etcd))?;
    }
    output.say(
        "next: never start the old controller again; start this one at an address that the agents know, \
         then look at `coax host list` and `coax audit list`",
    );
    Ok(Exit::Done)
}

/// The lines of the controller's file that say where the store is.
fn settings(etcd: &EtcdAccess) -> String {
    let mut settings = BTreeMap::new();
    if let Some(credentials) = &etcd.credentials {
        add_credentials(credentials, &mut settings);
    }
    settings.insert("store".to_owned(), EtcdAddresses::from(etcd).to_string());
    serde_saphyr::to_string(&settings).unwrap_or_default()
}

fn counted(contents: &Contents) -> String {
    format!(
        "{} projects, {} networks, {} ports, {} hosts",
        contents.projects, contents.networks, contents.ports, contents.hosts
    )
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|source| CliError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn bad(path: &Path, source: BackupError) -> CliError {
    CliError::Backup {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

/// How often a passphrase is typed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Once,
    /// Where a mistyped one would lock everybody out.
    Twice,
}

impl PassphraseArgs {
    fn read(&self, asked: Asked) -> Result<String, CliError> {
        if let Some(path) = &self.passphrase_file {
            let text = fs::read_to_string(path).map_err(|source| CliError::Unreadable {
                path: path.clone(),
                source,
            })?;
            return Ok(text.lines().next().unwrap_or_default().to_owned());
        }
        let missing = || CliError::NoAnswer {
            question: "the passphrase of the backup",
            flag: "--passphrase-file",
        };
        if !io::stdin().is_terminal() {
            return Err(missing());
        }
        let ask = |question: &str| {
            let terminal = console::Term::stderr();
            let asked = terminal.write_str(question);
            asked
                .and_then(|()| terminal.read_secure_line())
                .map_err(|_| missing())
        };
        let passphrase = ask("passphrase of the backup: ")?;
        if asked == Asked::Twice && ask("the same again: ")? != passphrase {
            return Err(CliError::BadAnswer {
                question: "the passphrase of the backup",
                answer: "(not shown)".to_owned(),
                reason: "the second one is another".to_owned(),
            });
        }
        Ok(passphrase)
    }
}

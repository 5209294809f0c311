//! The cause of an error where its message does not say it, and what to type next.

use std::io;

use coax_api::ClientError;
use coax_identity::TokenError;

use super::{CliError, etcd};

impl CliError {
    /// The cause, where the message alone does not say it.
    pub fn why(&self) -> Option<String> {
        match self {
            Self::NoController { socket } => Some(format!(
                "{} does not exist, and no lab is running",
                socket.display()
            )),
            Self::SeveralLabs { .. } => Some("each lab has a controller of its own".into()),
            Self::Api(ClientError::Unreachable { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Some("the socket belongs to root: whoever opens it may change everything".into())
            }
            Self::SameProject { .. } => {
                Some("a file owns its whole project, so the second would undo the first".into())
            }
            _ => None,
        }
    }

    /// What to do next, best as a command.
    pub fn next(&self) -> Option<String> {
        if let Some(error) = etcd::access(self) {
            return Some(etcd::next(error));
        }
        Some(match self {
            Self::NoController { .. } => "`coax lab up examples/leaf-spine.yaml` starts a lab, \
                `coax controller --help` tells how to start a controller; `--api` names one elsewhere"
                .into(),
            Self::SeveralLabs { names } => {
                format!("name one: `--lab {}`", names.first().map_or("NAME", String::as_str))
            }
            Self::NoSuchLab { similar: Some(name), .. } => format!("did you mean `{name}`?"),
            Self::NoSuchLab { similar: None, .. } => "`coax lab list` shows those running".into(),
            Self::Api(error) => return next_after(error),
            Self::Lab(error) => return error.next(),
            Self::Exists { kind, name } => format!("`coax {kind} set {name} KEY=VALUE` changes it"),
            Self::NoSuchObject { similar: Some(name), .. } => format!("did you mean `{name}`?"),
            Self::NoSuchObject { kind, project, .. } => match project {
                Some(project) => format!("`coax {kind} list --project {project}` shows what exists"),
                None => format!("`coax {kind} list` shows what exists"),
            },
            Self::AmbiguousObject { candidates, .. } => format!(
                "use the full name, like `{}`, or --project",
                candidates.first().map_or("project/name", String::as_str)
            ),
            Self::Controller(coax_controller::Error::Agents { .. }) => {
                "`--agents` names the address; is another controller running?".into()
            }
            Self::Backup { source, .. } => return next_after_backup(source),
            Self::NoAnswer { flag, .. } => format!("say it with `{flag}`"),
            Self::Token(TokenError::ForController) => "`coax init --join TOKEN` takes it".into(),
            Self::Token(TokenError::ForHost) => "`coax join TOKEN` takes it".into(),
            Self::Token(_) => "copy the whole line that `coax host invite` or `coax controller invite` printed".into(),
            Self::Controller(coax_controller::Error::Joining(error)) => next_after_joining(error),
            Self::Controller(coax_controller::Error::EtcdFlags(_)) => {
                "`--store-cacert`, `--store-cert` and `--store-key` name the files; `coax explain etcd-flags` says more".into()
            }
            Self::Controller(coax_controller::Error::Identities(
                coax_controller::IdentityError::GivenUp,
            )) => INVITE_CONTROLLER.into(),
            Self::Controller(coax_controller::Error::Deployment(
                coax_controller::DeploymentError::StoreTaken { .. },
            )) => INVITE_CONTROLLER.into(),
            Self::Controller(coax_controller::Error::Deployment(
                coax_controller::DeploymentError::Missing { .. },
            )) => "`coax init` makes one".into(),
            Self::Agent(
                coax_agent::Error::NotJoined { .. } | coax_agent::Error::Join(_),
            ) => "`coax host invite NAME` on the controller prints a token, `coax join TOKEN` here \
                 uses it"
                .into(),
            Self::SeveralProjects { names } => {
                format!("name one of them, like `{}`", names.first().map_or("PROJECT", String::as_str))
            }
            Self::NoProject => "`coax apply -f FILE` creates one".into(),
            Self::NothingUnconfirmed => "`coax history` shows what was reverted or confirmed".into(),
            Self::SeveralUnconfirmed { revisions } => {
                let numbers: Vec<String> = revisions.iter().map(u64::to_string).collect();
                format!("name one: `coax confirm` {}", numbers.join(", "))
            }
            Self::NotInBundle => "ask with `status`, `doctor`, `drops`, `counters`, `events`, `history`, `show`, `audit list`, or `list` and `show` of objects".into(),
            Self::NoTerminal => "`coax top --once` prints it as a table".into(),
            Self::UnknownWord { similar: Some(word), .. } => format!("did you mean `{word}`?"),
            Self::UnknownWord { similar: None, .. } => {
                "`coax explain` without a word lists them all".into()
            }
            Self::SameProject { .. } => "put both into one file".into(),
            _ => return None,
        })
    }
}

const INVITE_CONTROLLER: &str = "`coax controller invite` on a controller of the deployment prints a token, \
    `coax init --join TOKEN` here uses it";

fn next_after_joining(error: &coax_controller::JoiningError) -> String {
    use coax_controller::JoiningError;
    match error {
        JoiningError::NoStore { .. } | JoiningError::OtherStore { .. } => {
            "the token is not used up: say with `--store https://ADDRESS:PORT` where this machine reaches the store".into()
        }
        JoiningError::Unreachable(_) | JoiningError::Refused(_) | JoiningError::OtherDeployment => {
            INVITE_CONTROLLER.into()
        }
    }
}

fn next_after_backup(error: &coax_controller::backup::BackupError) -> Option<String> {
    use coax_controller::backup::BackupError;
    use coax_identity::seal::OpenError;
    Some(match error {
        BackupError::Sealed(OpenError::Denied) => {
            "try the passphrase that it was made with: without it the backup cannot be read".into()
        }
        BackupError::NotABackup => "`coax backup create FILE` makes one".into(),
        BackupError::CutOff { .. }
        | BackupError::Damaged
        | BackupError::Content(_)
        | BackupError::Sealed(OpenError::Excessive { .. }) => {
            "use another copy; `coax backup verify` tells whether it is whole".into()
        }
        BackupError::NotEmpty { .. } => {
            "a backup is restored into an empty folder: move what is there away, or name another with \
             `--state`"
                .into()
        }
        BackupError::Store(coax_store::StoreError::Used { .. }) => {
            "stop etcd, empty its data directory on every member, and start it again; then the same command".into()
        }
        BackupError::Format { .. } => "restore it with the version of Coax that made it".into(),
        _ => return None,
    })
}

fn next_after(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Unreachable { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            Some("run the command as root: `sudo coax …`".into())
        }
        ClientError::Unreachable { .. } => {
            Some("is it running? `coax lab list` shows labs, `coax controller` starts one".into())
        }
        ClientError::NoToken { .. } => {
            Some("an admin makes one with `coax token create`; set COAX_TOKEN to it".into())
        }
        ClientError::OtherAuthority { .. } => Some(
            "ask an admin whether the deployment's authority was renewed: then `coax token create` makes a token that knows the new one"
                .into(),
        ),
        ClientError::Transport { .. } => {
            Some("try again; if it stays, read the controller's log".into())
        }
        ClientError::BadPath { .. } => Some("names consist of a-z, 0-9 and -".into()),
        ClientError::Unexpected { .. } => {
            Some("client and controller should be of the same version: `coax status`".into())
        }
        ClientError::Refused(problem) => Some(problem.hint.clone()),
    }
}

//! The code of every error: stable, in brackets behind `error`, known to `coax explain`.

use coax_api::ClientError;

use super::{CliError, etcd};

impl CliError {
    /// The stable name of this kind of error.
    pub fn code(&self) -> &str {
        if let Some(error) = etcd::access(self) {
            return etcd::code(error);
        }
        match self {
            Self::NoController { .. } => "no-controller",
            Self::SeveralLabs { .. } => "several-labs",
            Self::NoSuchLab { .. } => "no-such-lab",
            Self::Api(ClientError::Refused(problem)) => &problem.code,
            Self::Api(ClientError::Unreachable { .. }) => "controller-unreachable",
            Self::Api(ClientError::NoToken { .. }) => "no-token",
            Self::Api(ClientError::OtherAuthority { .. }) => "other-authority",
            Self::Api(ClientError::Transport { .. }) => "connection-lost",
            Self::Api(ClientError::BadPath { .. }) => "bad-name",
            Self::Api(ClientError::Unexpected { .. }) => "unknown-answer",
            Self::Lab(error) => error.code(),
            Self::Controller(error) => controller_code(error),
            Self::Backup { source, .. } => backup_code(source),
            Self::Agent(error) => agent_code(error),
            Self::BadConfig { .. } => "bad-config",
            Self::NoAnswer { .. } => "no-answer",
            Self::BadAnswer { .. } => "bad-answer",
            Self::Token(_) => "bad-token",
            Self::Netlink(_) => "kernel-refused",
            Self::Bench(_) => "bench-failed",
            Self::Exists { .. } => "already-there",
            Self::NoSuchObject { kind, .. } => match *kind {
                "port" => "no-such-port",
                "network" => "no-such-network",
                "subnet" => "no-such-subnet",
                "vtep" => "no-such-vtep",
                "host" => "no-such-host",
                "router" => "no-such-router",
                "group" => "no-such-group",
                "address-group" => "no-such-address-group",
                "firewall" => "no-such-firewall",
                "invitation" => "no-such-invitation",
                _ => "no-such-project",
            },
            Self::AmbiguousObject { .. } => "ambiguous-name",
            Self::Unreadable { .. } => "file-unreadable",
            Self::Unwritable { .. } => "file-unwritable",
            Self::BadFile { mistakes, .. } => mistakes
                .first()
                .map_or("bad-file", |mistake| mistake.code.as_str()),
            Self::SameProject { .. } => "project-twice",
            Self::SeveralProjects { .. } => "several-projects",
            Self::NoProject => "no-project",
            Self::NothingUnconfirmed => "nothing-unconfirmed",
            Self::SeveralUnconfirmed { .. } => "several-unconfirmed",
            Self::NotInBundle => "not-in-bundle",
            Self::NoTerminal => "no-terminal",
            Self::Terminal { .. } => "terminal-failed",
            Self::UnknownWord { .. } => "unknown-word",
            Self::Stdout { .. } => "output-failed",
            Self::Json { .. } | Self::Yaml { .. } => "not-representable",
            Self::Runtime { .. } => "runtime-failed",
        }
    }
}

fn controller_code(error: &coax_controller::Error) -> &'static str {
    use coax_controller::{Error, IdentityError};
    match error {
        Error::Deployment(error) => deployment_code(error),
        Error::Joining(error) => joining_code(error),
        Error::Identity(_) => "identity",
        Error::EtcdFlags(_) => "etcd-flags",
        Error::Identities(IdentityError::GivenUp) => "authority-renewed",
        Error::Identities(_) => "store-failed",
        Error::Store(_) => "store-failed",
        Error::Records(_) => "store-damaged",
        Error::Api { .. }
        | Error::ApiInUse { .. }
        | Error::ApiElsewhere { .. }
        | Error::Users { .. } => "api-address",
        Error::Agents { .. } | Error::Transport(_) => "agents-address",
        Error::System { .. } => "kernel-refused",
        Error::CoreStopped => "task-ended",
    }
}

fn backup_code(error: &coax_controller::backup::BackupError) -> &'static str {
    use coax_controller::backup::BackupError;
    use coax_identity::seal::OpenError;
    match error {
        BackupError::NotABackup => "not-a-backup",
        BackupError::CutOff { .. }
        | BackupError::Damaged
        | BackupError::Content(_)
        | BackupError::Sealed(OpenError::Excessive { .. }) => "backup-damaged",
        BackupError::Format { .. } => "backup-format",
        BackupError::Sealed(OpenError::Denied) => "wrong-passphrase",
        BackupError::ShortPassphrase { .. } => "short-passphrase",
        BackupError::NotEmpty { .. } => "deployment-exists",
        BackupError::Folder { .. } => "state-folder",
        BackupError::Identity(_) | BackupError::Audit(_) => "identity",
        BackupError::Store(coax_store::StoreError::Used { .. }) => "etcd-used",
        BackupError::Store(_) => "store-failed",
        BackupError::Records(_) => "store-damaged",
    }
}

fn deployment_code(error: &coax_controller::DeploymentError) -> &'static str {
    use coax_controller::DeploymentError;
    match error {
        DeploymentError::Missing { .. } => "no-deployment",
        DeploymentError::Exists { .. } | DeploymentError::StoreTaken { .. } => "deployment-exists",
        DeploymentError::Folder { .. } => "state-folder",
        DeploymentError::Identity(_) => "identity",
        DeploymentError::Store(_) => "store-failed",
        DeploymentError::Records(_) => "store-damaged",
    }
}

fn joining_code(error: &coax_controller::JoiningError) -> &'static str {
    use coax_controller::JoiningError;
    match error {
        JoiningError::Unreachable(_) => "controller-unreachable",
        JoiningError::Refused(_) | JoiningError::OtherDeployment => "join-refused",
        JoiningError::NoStore { .. } => "store-unreachable",
        JoiningError::OtherStore { .. } => "other-store",
    }
}

fn agent_code(error: &coax_agent::Error) -> &'static str {
    use coax_agent::Error;
    match error {
        Error::NoUplink { .. } => "no-uplink",
        Error::NoVtep => "host-without-address",
        Error::ControllerAddress { .. } => "controller-address",
        Error::NotJoined { .. } => "not-joined",
        Error::OtherHost { .. } => "other-host",
        Error::Join(coax_agent::JoinError::Unreachable(_)) => "controller-unreachable",
        Error::Join(_) => "join-refused",
        Error::Identity(_) => "identity",
        Error::State { .. } => "state-folder",
        Error::Netlink(_) | Error::System { .. } => "kernel-refused",
        Error::DataPlane(_) => "data-plane",
        Error::NothingToDo => "nothing-to-do",
        Error::TaskEnded { .. } => "task-ended",
    }
}

//! Why a controller and its etcd do not come together: codes, and what to type next.

use coax_controller::backup::BackupError;
use coax_controller::records::RecordError;
use coax_controller::{DeploymentError, Error, JoiningError};
use coax_store::{AccessError, StoreError};

use super::CliError;

/// What etcd's flags are called.
const FLAGS: &str = "`--store-cacert`, `--store-cert` and `--store-key`";

/// What is amiss between this machine and an etcd, wherever it was met.
pub(super) fn access(error: &CliError) -> Option<&AccessError> {
    let store = match error {
        CliError::Controller(error) => match error {
            Error::Store(error)
            | Error::Records(RecordError::Store(error))
            | Error::Deployment(
                DeploymentError::Store(error) | DeploymentError::Records(RecordError::Store(error)),
            ) => error,
            Error::Joining(JoiningError::NoStore { source, .. }) => &**source,
            _ => return None,
        },
        CliError::Backup { source, .. } => match &**source {
            BackupError::Store(error) | BackupError::Records(RecordError::Store(error)) => error,
            _ => return None,
        },
        _ => return None,
    };
    match store {
        StoreError::Access(error) => Some(error),
        _ => None,
    }
}

/// The stable name of it.
pub(super) fn code(error: &AccessError) -> &'static str {
    match error {
        AccessError::Plain { .. } => "etcd-plain",
        AccessError::File { .. } => "etcd-files",
        AccessError::Untrusted { .. } => "etcd-untrusted",
        AccessError::NotTrusted { .. } => "etcd-certificate",
        AccessError::Unguarded { .. } => "etcd-unguarded",
        AccessError::Password { .. } => "etcd-password",
        AccessError::NoUser | AccessError::NoUsers { .. } => "etcd-user",
        AccessError::Forbidden { .. } => "etcd-forbidden",
    }
}

/// What to do about it.
pub(super) fn next(error: &AccessError) -> String {
    match error {
        AccessError::Plain { address } => {
            format!("give etcd certificates, and say `--store https://{address}` with {FLAGS}")
        }
        AccessError::File { path, .. } => {
            format!("`openssl x509 -noout -text -in {}` shows what is in it; {FLAGS} name others", path.display())
        }
        AccessError::Untrusted { address, .. } => {
            format!("`openssl s_client -connect {address} -showcerts` shows its certificate; `--store-cacert` names whom to trust")
        }
        AccessError::NotTrusted { path, .. } => {
            format!(
                "`openssl x509 -noout -issuer -enddate -in {}`: it is to be signed by etcd's --trusted-ca-file",
                path.display()
            )
        }
        AccessError::Unguarded { .. } => {
            "start etcd with `--client-cert-auth --trusted-ca-file=FILE`".into()
        }
        AccessError::Password { user, .. } => {
            format!("`etcdctl user passwd {user}` sets it; the first line of the file counts")
        }
        AccessError::NoUser => {
            "say `--store-user NAME` and `--store-password-file FILE`; `etcdctl user list` shows which there are".into()
        }
        AccessError::NoUsers { .. } => {
            "`etcdctl auth enable` lets etcd ask; or leave `--store-user` and `--store-password-file` out".into()
        }
        AccessError::Forbidden { .. } => {
            "`etcdctl role grant-permission ROLE readwrite /coax/ --prefix`, and `etcdctl user grant-role USER ROLE`".into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glossary;

    #[test]
    fn whatever_is_amiss_has_a_code_that_is_explained_and_a_way_out() {
        let (address, user) = ("192.0.2.1:2379".to_owned(), "coax".to_owned());
        let (path, reason) = (std::path::PathBuf::from("/etc/x.pem"), String::new());
        let all = [
            AccessError::Plain {
                address: address.clone(),
            },
            AccessError::File {
                path: path.clone(),
                reason: reason.clone(),
            },
            AccessError::Untrusted {
                address: address.clone(),
                reason: reason.clone(),
            },
            AccessError::NotTrusted {
                address: address.clone(),
                path: path.clone(),
                reason,
            },
            AccessError::Unguarded { address },
            AccessError::Password {
                user: user.clone(),
                path,
            },
            AccessError::NoUser,
            AccessError::NoUsers { user: user.clone() },
            AccessError::Forbidden { who: user },
        ];
        for error in all {
            let code = code(&error);
            assert!(glossary::find(code).is_some(), "{code}");
            // As an init, a controller that starts, and a machine that joins meet it.
            let met = [
                Error::from(StoreError::from(error.clone())),
                DeploymentError::from(StoreError::from(error.clone())).into(),
                Error::from(RecordError::from(StoreError::from(error.clone()))),
            ];
            for met in met {
                let shown = CliError::from(met).render(false);
                assert!(
                    shown.starts_with(&format!("error[{code}]: {error}")),
                    "{shown}"
                );
                assert!(
                    shown.contains(&format!("next: {}", next(&error))),
                    "{shown}"
                );
            }
        }
        assert!(glossary::find("etcd-flags").is_some() && glossary::find("etcd-used").is_some());
    }
}

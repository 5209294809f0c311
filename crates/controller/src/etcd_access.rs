//! With what a controller gets into its etcd: flags that name files, the copies in its state folder, and what another controller
//! is handed of them.

use std::fmt;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use coax_identity::file::{self, Readers};
use coax_store::{EtcdAccess, EtcdCredentials, EtcdLogin};

use crate::etcd_addresses::EtcdAddresses;

/// Folder with the copies, in a controller's state folder.
const FOLDER: &str = "etcd";

/// With what a controller gets into its etcd.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct EtcdFlags {
    /// Certificates of the authority that signs etcd's, in PEM; needed with https://
    #[arg(long, value_name = "FILE")]
    pub store_cacert: Option<PathBuf>,
    /// Certificate that is shown to etcd, in PEM; needed with https://
    #[arg(long, value_name = "FILE")]
    pub store_cert: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, value_name = "FILE")]
    pub store_key: Option<PathBuf>,
    /// User of etcd, where the certificate does not say it
    #[arg(long, value_name = "NAME")]
    pub store_user: Option<String>,
    /// File whose first line is that user's password
    #[arg(long, value_name = "FILE")]
    pub store_password_file: Option<PathBuf>,
}

/// Why flags do not say how to get into an etcd.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EtcdFlagsError {
    /// TLS needs certificates.
    #[error("an etcd over TLS needs `{flag}`")]
    Missing {
        /// What says it.
        flag: &'static str,
    },
    /// Files and passwords are for TLS.
    #[error("`{flag}` is for an etcd over TLS, and {etcd} is without")]
    NotSecured {
        /// What was said.
        flag: &'static str,
        /// Where the etcd is.
        etcd: String,
    },
    /// Files without an etcd.
    #[error("`{flag}` is for an etcd, and `--store` names none")]
    NoStore {
        /// What was said.
        flag: &'static str,
    },
}

impl EtcdFlags {
    /// The first of them that says something.
    pub fn first(&self) -> Option<&'static str> {
        let said = [
            ("--store-cacert", self.store_cacert.is_some()),
            ("--store-cert", self.store_cert.is_some()),
            ("--store-key", self.store_key.is_some()),
            ("--store-user", self.store_user.is_some()),
            ("--store-password-file", self.store_password_file.is_some()),
        ];
        said.into_iter().find_map(|(flag, is)| is.then_some(flag))
    }

    /// The etcd at these addresses, and how to get in; none where there are none.
    pub fn access(
        &self,
        addresses: Option<&EtcdAddresses>,
    ) -> Result<Option<EtcdAccess>, EtcdFlagsError> {
        let Some(addresses) = addresses else {
            let unused = self.first().map(|flag| EtcdFlagsError::NoStore { flag });
            return unused.map_or(Ok(None), Err);
        };
        let members = addresses.members.clone();
        if !addresses.secured {
            let etcd = addresses.to_string();
            let unused = self.first();
            let unused = unused.map(|flag| EtcdFlagsError::NotSecured { flag, etcd });
            return unused.map_or(Ok(Some(EtcdAccess::plain(members))), Err);
        }
        let missing = |flag| EtcdFlagsError::Missing { flag };
        let needed = |path: &Option<PathBuf>, flag| path.clone().ok_or_else(|| missing(flag));
        let login = match (&self.store_user, &self.store_password_file) {
            (None, None) => None,
            (Some(user), Some(password)) => Some(EtcdLogin {
                user: user.clone(),
                password: password.clone(),
            }),
            (Some(_), None) => return Err(missing("--store-password-file")),
            (None, Some(_)) => return Err(missing("--store-user")),
        };
        Ok(Some(EtcdAccess {
            members,
            credentials: Some(EtcdCredentials {
                cacert: needed(&self.store_cacert, "--store-cacert")?,
                cert: needed(&self.store_cert, "--store-cert")?,
                key: needed(&self.store_key, "--store-key")?,
                login,
            }),
        }))
    }
}

/// What a controller hands to another one that joins: the content of its files.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdSecrets {
    pub(crate) cacert: Vec<u8>,
    pub(crate) cert: Vec<u8>,
    pub(crate) key: Vec<u8>,
    /// A user and the password's file.
    pub(crate) login: Option<(String, Vec<u8>)>,
}

impl EtcdSecrets {
    /// Reads the files.
    pub fn read(credentials: &EtcdCredentials) -> Result<Self, coax_identity::Error> {
        let login = credentials.login.as_ref();
        let login = login
            .map(|it| Ok::<_, coax_identity::Error>((it.user.clone(), file::read(&it.password)?)));
        Ok(Self {
            cacert: file::read(&credentials.cacert)?,
            cert: file::read(&credentials.cert)?,
            key: file::read(&credentials.key)?,
            login: login.transpose()?,
        })
    }

    /// Writes them into a controller's state folder, where only its owner reads them.
    pub fn keep(&self, state: &Path) -> Result<EtcdCredentials, coax_identity::Error> {
        let folder = state.join(FOLDER);
        make_folder(&folder)?;
        let keep = |name: &str, content: &[u8]| {
            let path = folder.join(name);
            file::write(&path, content, Readers::Owner)?;
            Ok::<_, coax_identity::Error>(path)
        };
        let login = self.login.as_ref().map(|(user, password)| {
            let password = keep("password", password)?;
            let user = user.clone();
            Ok::<_, coax_identity::Error>(EtcdLogin { user, password })
        });
        Ok(EtcdCredentials {
            cacert: keep("cacert.pem", &self.cacert)?,
            cert: keep("cert.pem", &self.cert)?,
            key: keep("key.pem", &self.key)?,
            login: login.transpose()?,
        })
    }

    /// Removes what was written into a state folder that becomes none.
    pub(crate) fn forget(state: &Path) {
        // What is not there need not be removed.
        let _ = fs::remove_dir_all(state.join(FOLDER));
    }
}

impl fmt::Debug for EtcdSecrets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("EtcdSecrets(…)")
    }
}

fn make_folder(folder: &Path) -> Result<(), coax_identity::Error> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        // It may have been there.
        .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o700)));
    made.map_err(|source| coax_identity::Error::File {
        what: "write",
        path: folder.to_owned(),
        source,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tls_needs_certificates_and_nothing_else_takes_them() {
        let [secured, plain] =
            ["https://a:1", "etcd://a:1"].map(|it| it.parse::<EtcdAddresses>().unwrap());
        let path = || Some(PathBuf::from("/x"));
        let files = EtcdFlags {
            store_cacert: path(),
            store_cert: path(),
            store_key: path(),
            ..EtcdFlags::default()
        };
        let said = |flags: &EtcdFlags, etcd: Option<&EtcdAddresses>| {
            let access = flags.access(etcd);
            access.map_or_else(|error| error.to_string(), |_| "right".to_owned())
        };
        let nothing = EtcdFlags::default();
        assert_eq!(said(&files, Some(&secured)), "right");
        assert_eq!(said(&nothing, Some(&plain)), "right");
        assert_eq!(said(&nothing, None), "right");
        assert!(said(&nothing, Some(&secured)).contains("--store-cacert"));
        assert!(said(&files, Some(&plain)).contains("is without"));
        assert!(said(&files, None).contains("names none"));
        let user = EtcdFlags {
            store_user: Some("coax".to_owned()),
            ..files
        };
        assert!(said(&user, Some(&secured)).contains("--store-password-file"));
    }

    #[test]
    fn copies_are_their_owners() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = EtcdSecrets {
            cacert: b"1".to_vec(),
            cert: b"2".to_vec(),
            key: b"3".to_vec(),
            login: Some(("coax".to_owned(), b"hidden".to_vec())),
        };
        assert!(!format!("{secrets:?}").contains("hidden"));
        let kept = secrets.keep(folder.path()).unwrap();
        assert_eq!(EtcdSecrets::read(&kept).unwrap(), secrets);
        let password = kept.login.unwrap().password;
        for (path, mode) in [
            (folder.path().join(FOLDER), 0o700),
            (kept.cacert, 0o600),
            (kept.cert, 0o600),
            (kept.key, 0o600),
            (password, 0o600),
        ] {
            let found = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{}", path.display());
        }
        EtcdSecrets::forget(folder.path());
        assert!(!folder.path().join(FOLDER).exists());
    }
}

//! Certificates of an authority that is made for one test: for etcd's members and for their clients.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use coax_store::{EtcdCredentials, EtcdLogin};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType, date_time_ymd,
};

/// An authority, and a folder with what it signed.
pub struct Certificates {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "etcd of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { folder, issuer }
    }

    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The files of a member that is reached at these addresses: certificate and key. Members are each other's clients, too.
    pub fn member(&self, name: &str, addresses: &[&str]) -> [PathBuf; 2] {
        self.sign(name, |params| {
            let address = |it: &&str| SanType::IpAddress(it.parse::<IpAddr>().unwrap());
            params.subject_alt_names = addresses.iter().map(address).collect();
        })
    }

    /// One of a member whose time is over.
    pub fn expired_member(&self, name: &str, address: &str) -> [PathBuf; 2] {
        self.sign(name, |params| {
            params.subject_alt_names = vec![SanType::IpAddress(address.parse().unwrap())];
            params.not_after = date_time_ymd(2020, 1, 1);
        })
    }

    /// What a client of this name shows, and trusts.
    pub fn client(&self, name: &str) -> EtcdCredentials {
        let [cert, key] = self.sign(name, |_| {});
        self.with([cert, key])
    }

    /// What a client shows whose time is over.
    pub fn expired_client(&self, name: &str) -> EtcdCredentials {
        let files = self.sign(name, |params| params.not_after = date_time_ymd(2020, 1, 1));
        self.with(files)
    }

    /// The same with a user and a password.
    pub fn login(&self, name: &str, user: &str, password: &str) -> EtcdCredentials {
        let path = self.folder.path().join(format!("{name}.password"));
        std::fs::write(&path, format!("{password}\n")).unwrap();
        EtcdCredentials {
            login: Some(EtcdLogin {
                user: user.to_owned(),
                password: path,
            }),
            ..self.client(name)
        }
    }

    fn with(&self, [cert, key]: [PathBuf; 2]) -> EtcdCredentials {
        EtcdCredentials {
            cacert: self.authority(),
            cert,
            key,
            login: None,
        }
    }

    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> [PathBuf; 2] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2019, 1, 1);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = ["pem", "key"].map(|kind| self.folder.path().join(format!("{name}.{kind}")));
        std::fs::write(&files[0], certificate.pem()).unwrap();
        std::fs::write(&files[1], key.serialize_pem()).unwrap();
        files
    }
}

//! Starts, stops and restarts a controller in this process.

use std::path::{Path, PathBuf};

use coax_api::{Client, ControllerInvitationRequest, Endpoint, InvitationRequest, Status};
use coax_controller::{Addresses, Deployment, EtcdAddresses, EtcdFlags, Lifetime, Options, OwnWay};
use coax_identity::{ControllerToken, Credentials, JoinToken};
use coax_store::EtcdAccess;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Where a second controller says that it is reached.
pub const BESIDE: &str = "192.0.2.2:7450";

pub struct Controller {
    pub client: Client,
    pub addresses: Addresses,
    options: Options,
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<Result<(), coax_controller::Error>>>,
}

impl Controller {
    pub fn options(folder: &Path) -> Options {
        Options {
            state: folder.join("state"),
            store: None,
            etcd: EtcdFlags::default(),
            api: Endpoint::Unix(folder.join("api.sock")),
            agents: "127.0.0.1:0".parse().unwrap(),
            users: "127.0.0.1:0".parse().ok(),
            addresses: Vec::new(),
            certificates: Lifetime::from_secs(3600),
            underlay_mtu: 1600,
            history: 1000,
            history_size: 64,
            config: None,
        }
    }

    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With other options than usual.
    pub async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Self::options(folder.path());
        change(&mut options);
        Deployment::create(&options.state, std::time::SystemTime::now()).unwrap();
        Self::start_in(folder, options).await
    }

    /// Another controller of the same deployment, over the same etcd: one that was invited.
    pub async fn start_beside(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Self::options(folder.path());
        let token = self.invite_controller("30m").await;
        let own = OwnWay::default();
        let joined = coax_controller::join(&token, BESIDE, &own, &options.state);
        let joined = joined.await.unwrap();
        assert_eq!(joined.settings["certificates"], "1h");
        store_in(&mut options, &joined.etcd);
        Self::start_in(folder, options).await
    }

    /// A token with which one machine becomes a controller.
    pub async fn invite_controller(&self, time: &str) -> ControllerToken {
        let request = ControllerInvitationRequest {
            expires_in: Some(time.to_owned()),
        };
        let invitation = self.client.invite_controller(&request).await.unwrap();
        invitation.token.parse().unwrap()
    }

    async fn start_in(folder: TempDir, options: Options) -> Self {
        let (addresses, stop, task) = launch(options.clone()).await;
        let client = Client::new(addresses.api.clone());
        Self {
            client,
            addresses,
            options,
            folder,
            stop: Some(stop),
            task: Some(task),
        }
    }

    /// A token with which one machine joins.
    pub async fn invite(&self, host: Option<&str>) -> JoinToken {
        let request = InvitationRequest {
            host: host.map(str::to_owned),
            expires_in: None,
        };
        let invitation = self.client.invite(&request).await.unwrap();
        invitation.token.parse().unwrap()
    }

    /// What a host proves itself with that joined just now, as an agent does it.
    pub async fn join(&self, host: &str) -> Credentials {
        let token = self.invite(Some(host)).await;
        let folder = tempfile::tempdir().unwrap();
        let name = host.parse().unwrap();
        coax_agent::join(&token, &name, folder.path())
            .await
            .unwrap();
        Credentials::load(folder.path()).unwrap()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its state folder.
    pub fn state(&self) -> PathBuf {
        self.options.state.clone()
    }

    pub async fn restart(&mut self) {
        self.stop().await;
        self.launch().await;
    }

    pub async fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.task.take().unwrap().await.unwrap().unwrap();
    }

    /// How it ends by itself.
    pub async fn ended(mut self) -> Result<(), coax_controller::Error> {
        let ended = self.task.take().unwrap();
        tokio::time::timeout(super::PATIENCE, ended)
            .await
            .unwrap()
            .unwrap()
    }

    /// Starts again on what is in the state folder.
    pub async fn launch(&mut self) {
        let (addresses, stop, task) = launch(self.options.clone()).await;
        (self.addresses, self.stop, self.task) = (addresses, Some(stop), Some(task));
    }

    /// Asks for the status until it is as wanted.
    pub async fn until(&self, wanted: impl Fn(&Status) -> bool) {
        let end = std::time::Instant::now() + super::PATIENCE;
        loop {
            let status = self.client.status().await.unwrap();
            if wanted(&status) {
                return;
            }
            assert!(std::time::Instant::now() < end, "{status:?}");
            tokio::task::yield_now().await;
        }
    }
}

/// Says where the store is, and how to get in.
pub fn store_in(options: &mut Options, access: &EtcdAccess) {
    options.store = Some(EtcdAddresses::from(access));
    options.etcd = flags(access);
}

/// The flags that say how to get in.
pub fn flags(access: &EtcdAccess) -> EtcdFlags {
    let credentials = access.credentials.clone();
    credentials.map_or_else(EtcdFlags::default, |it| EtcdFlags {
        store_cacert: Some(it.cacert),
        store_cert: Some(it.cert),
        store_key: Some(it.key),
        store_user: it.login.clone().map(|login| login.user),
        store_password_file: it.login.map(|login| login.password),
    })
}

type Launched = (
    Addresses,
    oneshot::Sender<()>,
    JoinHandle<Result<(), coax_controller::Error>>,
);

async fn launch(options: Options) -> Launched {
    let (ready, is_ready) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let stop = async move { drop(stopped.await) };
        coax_controller::run_until(options, stop, |addresses| {
            ready.send(addresses.clone()).unwrap();
        })
        .await
    });
    (is_ready.await.unwrap(), stop, task)
}

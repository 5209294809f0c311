//! Starting and stopping a controller.

use std::fs;
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use coax_api::Endpoint;
use coax_identity::authority::HOST_LIFETIME;
use coax_identity::tls::{self, PresentCertificate};
use coax_model::DEFAULT_UNDERLAY_MTU;
use coax_store::{Embedded, Etcd, EtcdAccess, Revision, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{debug, error, info, warn};

use crate::core::Core;
use crate::core::submission::Clock;
use crate::etcd_access::EtcdFlags;
use crate::etcd_addresses::EtcdAddresses;
use crate::follow::KEPT_REVISIONS;
use crate::history::Limits;
use crate::identity::{Common, Deployment, Identities, IdentityError, STORE};
use crate::lifetime::Lifetime;
use crate::metrics::{Metrics, OutcomeLabels};
use crate::rest::App;
use crate::rest::listen::{Listener, TlsListener};
use crate::tasks::Event;
use crate::{Error, agents, records, rest, tasks};

/// How often the controller's certificate, which counts for 30 days, is replaced.
const RENEW_EVERY: Duration = Duration::from_secs(86_400);
/// How often a controller that shares its store looks which authorities count.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a controller is told on its command line.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folder for the store
    #[arg(long, value_name = "DIR", default_value = "/var/lib/coax/controller")]
    pub state: PathBuf,
    /// The etcd to store in, instead of a file in the folder: https://HOST:PORT, several with commas
    #[arg(long, value_name = "ADDRESS")]
    pub store: Option<EtcdAddresses>,
    /// How to get in.
    #[command(flatten)]
    pub etcd: EtcdFlags,
    /// Where users reach the API: unix:PATH or a loopback address and port
    #[arg(
        long,
        value_name = "ENDPOINT",
        default_value = "unix:/run/coax/controller.sock"
    )]
    pub api: Endpoint,
    /// Where to listen for users of other machines, who come over TLS and with a token [default: nowhere]
    #[arg(long, value_name = "ADDR:PORT")]
    pub users: Option<SocketAddr>,
    /// Where to listen for agents
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7450")]
    pub agents: SocketAddr,
    /// Where hosts reach this controller; join tokens carry it. Give every one of them [default: what `--agents` says, if that is
    /// one address]
    #[arg(long = "address", value_name = "ADDR:PORT", value_delimiter = ',')]
    pub addresses: Vec<String>,
    /// How long certificates of hosts count; agents renew them after two thirds of it
    #[arg(long, value_name = "TIME", default_value_t = Lifetime::from(HOST_LIFETIME))]
    pub certificates: Lifetime,
    /// The largest IP packet that every path between hosts carries
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_UNDERLAY_MTU)]
    pub underlay_mtu: u32,
    /// How many changes the history keeps
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().records)]
    pub history: usize,
    /// How many bytes their differences may take
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().bytes >> 20)]
    pub history_size: usize,
    /// File with any of these flags [default: /etc/coax/controller.yaml, if nothing else is said]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Options {
    /// What join tokens carry, if `agents` is what is listened on.
    fn addresses_for_hosts(&self, agents: SocketAddr) -> Vec<String> {
        match self.addresses.as_slice() {
            [] if agents.ip().is_unspecified() => Vec::new(),
            [] => vec![agents.to_string()],
            given => given.to_vec(),
        }
    }

    /// The store, and where it is if that is an etcd.
    fn open_store(&self) -> Result<(Arc<dyn Store>, Option<EtcdAccess>), Error> {
        let etcd = self.etcd.access(self.store.as_ref())?;
        let store: Arc<dyn Store> = match &etcd {
            Some(access) => Arc::new(Etcd::open(access)?),
            None => Arc::new(Embedded::open(&self.state.join(STORE))?),
        };
        Ok((store, etcd))
    }

    fn history(&self) -> Limits {
        Limits {
            records: self.history,
            bytes: self.history_size.saturating_mul(1 << 20),
        }
    }
}

/// Where a controller listens: with the ports that it got, where it asked for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The API.
    pub api: Endpoint,
    /// The agents' side.
    pub agents: SocketAddr,
    /// Users of other machines.
    pub users: Option<SocketAddr>,
}

/// Runs a controller until it is told to stop by SIGTERM or SIGINT.
pub async fn run(options: Options) -> Result<(), Error> {
    let failed = |source| Error::System {
        what: "listen for signals",
        source,
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    run_until(options, stop, |addresses| {
        info!(api = %addresses.api, agents = %addresses.agents, "ready");
        coax_api::service_manager::ready();
    })
    .await
}

/// Runs a controller until `stop` is done. `ready` is called once it listens.
pub async fn run_until(
    options: Options,
    stop: impl Future<Output = ()> + Send,
    ready: impl FnOnce(&Addresses),
) -> Result<(), Error> {
    let authority = Deployment::open(&options.state)?.into_authority();
    let (store, etcd) = options.open_store()?;
    let (core, read_at) = start_core(&*store, &options)?;
    let metrics = Arc::new(Metrics::new());
    let identities = Identities::new(store.clone(), authority, options.certificates.get());
    let identities = identities.kept_in(&options.state);
    let identities = Arc::new(identities.sharing(Common::of(&options, etcd)));
    let sockets = Sockets::bind(&options, &identities, &metrics).await?;

    let shared = shared(&options, read_at, &sockets.for_hosts);
    let log = identities.log().clone();
    let spawned = tasks::spawn(core, store, log, shared, metrics.clone());
    let (handle, mut core_ended) = spawned.map_err(Error::starting_a_thread)?;
    let (stopping, stopped) = watch::channel(false);
    let app = App {
        handle: handle.clone(),
        metrics: metrics.clone(),
        identities: identities.clone(),
        owners: [0, nix::unistd::geteuid().as_raw()].into(),
        for_hosts: sockets.for_hosts.into(),
        shares: Arc::default(),
    };
    let mut renewal = keep_certificates(identities.clone(), options.store.is_some());
    let serve = rest::serve(sockets.api, sockets.users, app, stopped.clone());
    let mut rest = tokio::spawn(serve);
    let (own, told) = (identities.clone(), handle.clone());
    let serve = agents::serve(
        sockets.agents,
        sockets.agents_tls,
        own,
        told,
        metrics,
        stopped,
    );
    let mut streams = tokio::spawn(serve);
    ready(&sockets.addresses);

    let result = tokio::select! {
        () = stop => Ok(()),
        _ = &mut core_ended => Err(Error::CoreStopped),
        _ = &mut rest => Err(Error::CoreStopped),
        _ = &mut renewal => Err(IdentityError::GivenUp.into()),
        ended = &mut streams => Err(match ended {
            Ok(Err(error)) => Error::Transport(error),
            _ => Error::CoreStopped,
        }),
    };
    info!("stopping");
    // First the core, so that streams end and requests are answered; then those who serve them.
    handle.tell(Event::Stop).await;
    if result.is_ok() {
        let _ = core_ended.await;
    }
    // Requests and streams that still end hold on to identities, and these to the store.
    identities.close();
    let _ = stopping.send(true);
    rest.abort();
    streams.abort();
    renewal.abort();
    if let Endpoint::Unix(path) = &sockets.addresses.api {
        // It may be gone with its folder.
        let _ = fs::remove_file(path);
    }
    result
}

/// One process has the file; an etcd may have many.
fn shared(options: &Options, read_at: Revision, for_hosts: &[String]) -> Option<tasks::Shared> {
    options.store.as_ref()?;
    if for_hosts.is_empty() {
        warn!("without --address the hosts of other controllers do not find this one");
    }
    Some(tasks::Shared {
        read_at,
        underlay_mtu: options.underlay_mtu,
        for_hosts: for_hosts.to_vec(),
    })
}

/// What is listened on, and what is shown there.
struct Sockets {
    api: Listener,
    users: Option<TlsListener>,
    agents: TcpListener,
    agents_tls: rustls::ServerConfig,
    addresses: Addresses,
    /// What join tokens carry.
    for_hosts: Vec<String>,
}

impl Sockets {
    async fn bind(
        options: &Options,
        identities: &Identities,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, Error> {
        let api = Listener::bind(&options.api).await?;
        let in_use = |source| Error::Agents {
            address: options.agents,
            source,
        };
        let agents = TcpListener::bind(options.agents).await.map_err(in_use)?;
        let at = agents.local_addr().map_err(in_use)?;
        let for_hosts = options.addresses_for_hosts(at);
        let (present, trusted) =
            identities.show(&for_hosts, names(&for_hosts), SystemTime::now())?;
        let users = listen_for_users(options, present.clone(), metrics).await?;
        let addresses = Addresses {
            api: api.endpoint().clone(),
            agents: at,
            users: users.as_ref().map(TlsListener::address),
        };
        Ok(Self {
            api,
            users,
            agents,
            agents_tls: tls::agents_server(trusted, present)?,
            addresses,
            for_hosts,
        })
    }
}

async fn listen_for_users(
    options: &Options,
    present: Arc<PresentCertificate>,
    metrics: &Arc<Metrics>,
) -> Result<Option<TlsListener>, Error> {
    let Some(address) = options.users else {
        return Ok(None);
    };
    let tls = tls::users_server(present)?;
    let counters = metrics.clone();
    let failed = move |address, error: &std::io::Error| {
        debug!(%address, %error, "a user's handshake failed");
        let outcome = "handshake";
        let refused = &counters.api_refused;
        refused.get_or_create(&OutcomeLabels { outcome }).inc();
    };
    let bound = TlsListener::bind(address, tls, failed).await;
    bound
        .map(Some)
        .map_err(|source| Error::Users { address, source })
}

/// The names and addresses in `ADDRESS:PORT`, for the controller's certificate.
fn names(addresses: &[String]) -> Vec<String> {
    let names = addresses.iter().filter_map(|address| {
        let (host, _) = address.rsplit_once(':')?;
        Some(host.trim_matches(['[', ']']).to_owned())
    });
    names.collect()
}

/// Shows new certificates long before the present ones run out, and looks whether `others` renewed the authority. Ends when this
/// controller has no part in the deployment any more.
fn keep_certificates(identities: Arc<Identities>, others: bool) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut shown = Instant::now();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if others {
                let identities = identities.clone();
                let looked = spawn_blocking(move || identities.look_up(SystemTime::now()));
                match looked.await {
                    Ok(Err(error @ IdentityError::GivenUp)) => {
                        error!(%error, "this controller stops");
                        return;
                    }
                    Ok(Err(error)) => debug!(%error, "which authorities count is not known anew"),
                    _ => {}
                }
            }
            if shown.elapsed() >= RENEW_EVERY {
                shown = Instant::now();
                if let Err(error) = identities.show_again(SystemTime::now()) {
                    warn!(%error, "the controller's certificate is not renewed");
                }
            }
        }
    })
}

fn start_core(store: &dyn Store, options: &Options) -> Result<(Core, Revision), Error> {
    let generation = records::generation(store)?;
    let loaded = records::load(store, options.underlay_mtu)?;
    let oldest = loaded.read_at.saturating_sub(KEPT_REVISIONS);
    if oldest > 0 {
        store.compact(oldest)?;
    }
    info!(
        generation,
        revision = loaded.revision,
        networks = loaded.intent.networks.len(),
        ports = loaded.intent.ports.len(),
        hosts = loaded.intent.hosts.len(),
        "loaded"
    );
    let clock = Clock::new(SystemTime::now(), Instant::now());
    let read_at = loaded.read_at;
    // Never 0, which says nothing.
    let run = RandomState::new().build_hasher().finish() | 1;
    let mut core = Core::new(generation, run, loaded, clock);
    core.keep(options.history());
    Ok((core, read_at))
}

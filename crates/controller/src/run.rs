//! Starting and stopping a controller.

use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use coax_api::Endpoint;
use coax_model::DEFAULT_UNDERLAY_MTU;
use coax_store::{Embedded, Etcd, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::info;

use crate::core::Core;
use crate::core::submission::Clock;
use crate::history::Limits;
use crate::metrics::Metrics;
use crate::rest::listen::Listener;
use crate::tasks::Event;
use crate::{Error, agents, records, rest, tasks};

/// History that the store keeps for watchers.
const KEPT_REVISIONS: u64 = 10_000;

/// What a controller is told on its command line.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Folder for the store
    #[arg(long, value_name = "DIR", default_value = "/var/lib/coax/controller")]
    pub state: PathBuf,
    /// The etcd to store in, instead of a file in the folder: etcd://HOST:PORT, several with commas
    #[arg(long, value_name = "ADDRESS", value_parser = etcd_addresses)]
    pub store: Option<EtcdAddresses>,
    /// Where users reach the API: unix:PATH or a loopback address and port
    #[arg(
        long,
        value_name = "ENDPOINT",
        default_value = "unix:/run/coax/controller.sock"
    )]
    pub api: Endpoint,
    /// Where agents reach the controller
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7450")]
    pub agents: SocketAddr,
    /// The largest IP packet that every path between hosts carries
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_UNDERLAY_MTU)]
    pub underlay_mtu: u32,
    /// How many changes the history keeps
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().records)]
    pub history: usize,
    /// How many bytes their differences may take
    #[arg(long, value_name = "MIB", default_value_t = Limits::default().bytes >> 20)]
    pub history_size: usize,
}

/// The members of an etcd cluster, `HOST:PORT` each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdAddresses(pub Vec<String>);

/// Reads `etcd://10.0.0.1:2379,10.0.0.2:2379`.
fn etcd_addresses(text: &str) -> Result<EtcdAddresses, String> {
    let wrong = || "write it like etcd://192.0.2.1:2379,192.0.2.2:2379".to_owned();
    let list = text.strip_prefix("etcd://").ok_or_else(wrong)?;
    let addresses: Vec<String> = list.split(',').map(str::to_owned).collect();
    let complete = |address: &String| {
        let parts = address.rsplit_once(':');
        parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    if addresses.iter().all(complete) {
        Ok(EtcdAddresses(addresses))
    } else {
        Err(wrong())
    }
}

impl Options {
    fn open_store(&self) -> Result<Arc<dyn Store>, Error> {
        if let Some(EtcdAddresses(addresses)) = &self.store {
            return Ok(Arc::new(Etcd::open(addresses)?));
        }
        let state_folder = |source| Error::StateFolder {
            path: self.state.clone(),
            source,
        };
        fs::create_dir_all(&self.state).map_err(state_folder)?;
        let file = self.state.join("store.redb");
        Ok(Arc::new(Embedded::open(&file)?))
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
    })
    .await
}

/// Runs a controller until `stop` is done. `ready` is called once it listens.
pub async fn run_until(
    options: Options,
    stop: impl Future<Output = ()> + Send,
    ready: impl FnOnce(&Addresses),
) -> Result<(), Error> {
    let store = options.open_store()?;
    let core = start_core(&*store, options.underlay_mtu, options.history())?;

    let api = Listener::bind(&options.api).await?;
    let in_use = |source| Error::Agents {
        address: options.agents,
        source,
    };
    let agents = TcpListener::bind(options.agents).await.map_err(in_use)?;
    let addresses = Addresses {
        api: api.endpoint().clone(),
        agents: agents.local_addr().map_err(in_use)?,
    };

    let metrics = Arc::new(Metrics::new());
    let (handle, mut core_ended) =
        tasks::spawn(core, store, metrics.clone()).map_err(|source| Error::System {
            what: "start a thread",
            source,
        })?;
    let (stopping, stopped) = watch::channel(false);
    let mut rest = tokio::spawn(rest::serve(api, handle.clone(), metrics, stopped.clone()));
    let mut streams = tokio::spawn(agents::serve(agents, handle.clone(), stopped));
    ready(&addresses);

    let result = tokio::select! {
        () = stop => Ok(()),
        _ = &mut core_ended => Err(Error::CoreStopped),
        _ = &mut rest => Err(Error::CoreStopped),
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
    let _ = stopping.send(true);
    rest.abort();
    streams.abort();
    if let Endpoint::Unix(path) = &addresses.api {
        // It may be gone with its folder.
        let _ = fs::remove_file(path);
    }
    result
}

fn start_core(store: &dyn Store, underlay_mtu: u32, limits: Limits) -> Result<Core, Error> {
    let generation = records::next_generation(store)?;
    let loaded = records::load(store, underlay_mtu)?;
    let oldest = loaded.revision.saturating_sub(KEPT_REVISIONS);
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
    let mut core = Core::new(generation, loaded, clock);
    core.keep(limits);
    Ok(core)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_etcd_are_complete() {
        let read = |text| etcd_addresses(text).ok().map(|EtcdAddresses(list)| list);
        assert_eq!(
            read("etcd://10.0.0.1:2379,[fd00::1]:2379"),
            Some(vec![
                "10.0.0.1:2379".to_owned(),
                "[fd00::1]:2379".to_owned()
            ])
        );
        for wrong in [
            "",
            "10.0.0.1:2379",
            "etcd://",
            "etcd://host",
            "etcd://:1",
            "etcd://a:1,",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}

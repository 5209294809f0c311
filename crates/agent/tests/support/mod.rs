//! A host in a namespace of its own, with an agent and a controller that says what the test wants. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use coax_agent::{Args, Error, RunArgs, Underlay};
use coax_api::agent::agent_message::Body as Said;
use coax_api::agent::control_stream_server::{ControlStream, ControlStreamServer};
use coax_api::agent::controller_message::Body as Answer;
use coax_api::agent::{AgentMessage, ControllerMessage, Current, Snapshot, Welcome};
use coax_compile::{HostVtep, Member, NetworkParams, NetworkSlice};
use coax_identity::authority::HOST_LIFETIME;
use coax_identity::tls::{self, PresentCertificate, TrustedAuthorities};
use coax_identity::{Authority, Credentials, Enrolment};
use coax_netlink::{Namespace, Netlink, ScopedNamespace, VethEnd};
use coax_vswitch::{Capacity, DataPlane, KernelDataPlane, KernelOptions, Rows};
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// Nothing here takes longer unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `test` with its own async runtime inside a new namespace.
pub fn inside<F: Future<Output = ()>>(test: impl FnOnce(Place) -> F + Send) {
    let host = ScopedNamespace::create("coax-test-agent").expect("needs root");
    let vm = ScopedNamespace::create("coax-test-agent-vm").unwrap();
    let name = host.name().to_owned();
    let pins = PathBuf::from("/sys/fs/bpf").join(&name);
    let cleanup = Cleanup(pins.clone());
    host.run(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let state = tempfile::tempdir().unwrap();
        let place = Place {
            vm: vm.clone(),
            pins,
            state,
        };
        runtime.block_on(async {
            tokio::time::timeout(PATIENCE * 2, test(place))
                .await
                .expect("the test hangs");
        });
    })
    .unwrap();
    drop(cleanup);
}

pub struct Cleanup(PathBuf);

impl Drop for Cleanup {
    fn drop(&mut self) {
        let _ = KernelDataPlane::remove(&self.0);
    }
}

/// A host with one uplink.
pub struct Place {
    pub vm: Namespace,
    pub pins: PathBuf,
    pub state: tempfile::TempDir,
}

impl Place {
    pub async fn prepare(&self) -> Netlink {
        self.join();
        let netlink = Netlink::open().unwrap();
        netlink.set_up(1).await.unwrap();
        let uplink = VethEnd::new("uplink").with_mtu(1600);
        let fabric = VethEnd::new("fabric").in_namespace(&self.vm).with_mtu(1600);
        netlink.create_veth(&uplink, &fabric).await.unwrap();
        let other_end = self.vm.netlink().unwrap();
        let fabric = other_end.link("fabric").await.unwrap().index;
        other_end.set_up(fabric).await.unwrap();
        let index = netlink.link("uplink").await.unwrap().index;
        netlink
            .add_address(index, "192.0.2.1/24".parse().unwrap())
            .await
            .unwrap();
        netlink.set_up(index).await.unwrap();
        netlink
    }

    /// A VM's device: one end here, one in the VM's namespace.
    pub async fn plug(&self, netlink: &Netlink, name: &str, port: &str) -> u32 {
        let inner = format!("{name}-vm");
        let end = VethEnd::new(&inner).in_namespace(&self.vm);
        netlink
            .create_veth(&VethEnd::new(name).with_mtu(1530), &end)
            .await
            .unwrap();
        let index = netlink.link(name).await.unwrap().index;
        netlink
            .set_alias(index, &format!("coax:{port}"))
            .await
            .unwrap();
        netlink.set_up(index).await.unwrap();
        index
    }

    pub fn args(&self, controller: &str, uplink: &str) -> Args {
        Args {
            command: None,
            run: Some(RunArgs {
                host: "hv1".into(),
                controllers: vec![controller.into()],
                uplinks: vec![uplink.into()],
                vtep_ipv4: None,
                vtep_ipv6: None,
                state: self.state.path().join("not/yet/there"),
                pins: Some(self.pins.clone()),
                underlay: Underlay::Ipv4,
                capacity: Capacity {
                    ports: 16,
                    ..Capacity::default()
                },
                take_over_layout: false,
                config: None,
            }),
        }
    }

    /// Has joined the deployment of the tests' controllers, as hv1.
    pub fn join(&self) {
        let state = self.state.path().join("not/yet/there");
        std::fs::create_dir_all(&state).unwrap();
        let (host, enrolment) = ("hv1".parse().unwrap(), Enrolment::random().unwrap());
        let now = SystemTime::now();
        Credentials::issue(authority(), &host, enrolment, now, HOST_LIFETIME)
            .unwrap()
            .save(&state)
            .unwrap();
    }

    pub fn start(&self, controller: &Controller) -> JoinHandle<Result<(), Error>> {
        let args = self.args(&controller.url, "uplink");
        tokio::spawn(async move {
            let outcome = coax_agent::run(args).await;
            if let Err(error) = &outcome {
                eprintln!("the agent ended: {error}");
            }
            outcome
        })
    }

    /// The vSwitch as another process sees it.
    pub fn plane(&self) -> KernelDataPlane {
        let capacity = Capacity {
            ports: 16,
            ..Capacity::default()
        };
        let options = KernelOptions {
            pins: self.pins.clone(),
            capacity,
            take_over_layout: false,
        };
        KernelDataPlane::open(&options).unwrap()
    }
}

/// The authority of the tests' controllers.
fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::create(SystemTime::now()).unwrap())
}

/// Says what the test wants, hears everything.
pub struct Controller {
    pub url: String,
    pub heard: mpsc::Receiver<Said>,
    pub say: mpsc::Sender<Answer>,
    pub server: JoinHandle<()>,
}

pub struct Service {
    pub heard: mpsc::Sender<Said>,
    streams: mpsc::Sender<mpsc::Sender<Result<ControllerMessage, Status>>>,
}

#[tonic::async_trait]
impl ControlStream for Service {
    type AttachStream = ReceiverStream<Result<ControllerMessage, Status>>;

    async fn attach(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let mut incoming = request.into_inner();
        // As strict as a controller may be: no answer before the first message.
        let first = incoming.message().await?.unwrap();
        let (answers, stream) = mpsc::channel(64);
        self.streams.send(answers).await.unwrap();
        let heard = self.heard.clone();
        tokio::spawn(async move {
            let mut next = Some(first);
            while let Some(message) = next {
                if heard.send(message.body.unwrap()).await.is_err() {
                    return;
                }
                next = incoming.message().await.ok().flatten();
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl Controller {
    pub async fn start(address: Option<SocketAddr>) -> Self {
        let address = address.unwrap_or_else(|| "127.0.0.1:0".parse().unwrap());
        let listener = loop {
            match tokio::net::TcpListener::bind(address).await {
                Ok(listener) => break listener,
                // The one before it on this address has not gone yet.
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        let url = listener.local_addr().unwrap().to_string();
        let certificate = authority().server(&[], SystemTime::now()).unwrap();
        let certificate = PresentCertificate::new(vec![certificate]).unwrap();
        let authorities = std::slice::from_ref(authority().certificate());
        let trusted = TrustedAuthorities::new(authorities).unwrap();
        let tls = tls::agents_server(trusted, certificate).unwrap();
        let (heard_sender, heard) = mpsc::channel(64);
        let (stream_sender, mut streams) = mpsc::channel::<mpsc::Sender<_>>(4);
        let (say, mut answers) = mpsc::channel(64);
        let service = Service {
            heard: heard_sender,
            streams: stream_sender,
        };
        let server = tokio::spawn(async move {
            let serve = tonic::transport::Server::builder()
                .add_service(ControlStreamServer::new(service))
                .serve_with_incoming(coax_api::stream::accept(listener, tls, |_, error| {
                    eprintln!("a handshake failed: {error}");
                }));
            let talk = async move {
                let mut present: Option<(mpsc::Sender<_>, u64)> = None;
                loop {
                    tokio::select! {
                        Some(stream) = streams.recv() => present = Some((stream, 0)),
                        Some(body) = answers.recv() => {
                            let (stream, sequence) = present.as_mut().expect("an agent");
                            *sequence += 1;
                            let message = ControllerMessage { sequence: *sequence, body: Some(body) };
                            let _ = stream.send(Ok(message)).await;
                        }
                    }
                }
            };
            tokio::select! {
                result = serve => result.unwrap(),
                () = talk => {}
            }
        });
        Self {
            url,
            heard,
            say,
            server,
        }
    }

    pub async fn hear(&mut self) -> Said {
        let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await;
        heard.expect("the agent says nothing").unwrap()
    }

    pub async fn say(&self, body: Answer) {
        self.say.send(body).await.unwrap();
    }

    /// Welcomes an agent that attaches, and tells it the network.
    pub async fn teach(&mut self, slice: &NetworkSlice) {
        assert!(matches!(self.hear().await, Said::Hello(_)));
        assert!(matches!(self.hear().await, Said::Claims(_)));
        self.say(Answer::Welcome(Welcome {
            generation: 1,
            revision: 5,
            run: 1,
            ..Welcome::default()
        }))
        .await;
        self.say(Answer::Snapshot(Snapshot {
            slice: slice.encode_to_vec().into(),
            ..Snapshot::default()
        }))
        .await;
        self.say(Answer::Current(Current { revision: 5 })).await;
        loop {
            if let Said::Realised(realised) = self.hear().await {
                assert_eq!(realised.problems, []);
                assert_eq!(realised.revision, 5);
                return;
            }
        }
    }
}

pub fn slice() -> NetworkSlice {
    let member = |port: &str, last, host: &str| Member {
        port: port.into(),
        mac: vec![2, 0, 0, 0, 0, last],
        addresses: vec![vec![10, 0, 0, last]],
        host: host.into(),
        ..Member::default()
    };
    let vtep = |host: &str, last| HostVtep {
        host: host.into(),
        ipv4: vec![192, 0, 2, last],
        ipv6: Vec::new(),
    };
    NetworkSlice {
        network_id: 4096,
        revision: 5,
        params: Some(NetworkParams {
            vni: 4096,
            project: "p".into(),
            name: "net".into(),
            mtu: 1530,
            ..NetworkParams::default()
        }),
        members: vec![
            member("p/a", 1, "hv1"),
            member("p/b", 2, "hv1"),
            member("p/c", 3, "hv2"),
        ],
        hosts: vec![vtep("hv1", 1), vtep("hv2", 2)],
        foreign: Vec::new(),
    }
}

/// Waits until the tables are as wanted, and tells them.
pub async fn rows_with_ports(plane: &KernelDataPlane, ports: usize) -> Rows {
    let until = Instant::now() + PATIENCE;
    loop {
        let rows = plane.rows().unwrap();
        if rows.ports.len() == ports {
            return rows;
        }
        assert!(
            Instant::now() < until,
            "{} ports instead of {ports}",
            rows.ports.len()
        );
        tokio::task::yield_now().await;
    }
}

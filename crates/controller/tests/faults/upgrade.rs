//! Old agents with new controllers, and the reverse: what agents and controllers of each version said is kept in
//! tests/streams, and the present ones are told it again. `BLESS=1` adds the present version, and never touches an older one.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use coax_agent::{Command as AgentCommand, GuardsSeen, Input as AgentInput, execute};
use coax_api::agent::agent_message::Body as FromAgent;
use coax_api::agent::controller_message::Body as ToAgent;
use coax_api::agent::{AgentMessage, ControllerMessage, Delta, Forget, Held, SliceKind, Snapshot};
use coax_api::question::HostAnswer;
use coax_api::{HostReport, TraceRequest};
use coax_controller::trace::{Facts, trace};
use coax_vswitch::{DataPlane, MemoryDataPlane};
use prost::Message;

use crate::hypervisor::Hypervisor;
use crate::site::{OTHER_STACK, Site};
use crate::zones::ZONES;

/// What was said on the stream of one host.
struct Streams {
    version: String,
    agent: Vec<AgentMessage>,
    controller: Vec<ControllerMessage>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/streams")
}

fn encode(messages: &[impl Message]) -> Vec<u8> {
    let messages = messages.iter();
    messages
        .flat_map(|it| it.encode_length_delimited_to_vec())
        .collect()
}

fn decode<M: Message + Default>(bytes: Vec<u8>) -> Vec<M> {
    let mut bytes = Bytes::from(bytes);
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        messages.push(M::decode_length_delimited(&mut bytes).unwrap());
    }
    messages
}

/// hv1 attaches, gets networks, a router and a policy and changes of them, is refused a port, reports, is asked, and forgets.
fn scenario() -> Site {
    let site = Site::new();
    site.apply(ZONES);
    site.apply(&ZONES.replace("allow: [tcp/443]", "allow: [tcp/443, tcp/80]"));
    site.plug(1, "bank/safe");
    site.apply(&format!("{OTHER_STACK}  safe-2: {{ network: vault }}\n"));
    site.plug(1, "bank/safe-2");
    site.unplug(1, "bank/safe-2");
    site.apply(OTHER_STACK);
    site.report();
    let request = TraceRequest {
        from: "web-1".into(),
        to: "web-2".into(),
        traffic: Some("tcp/443".into()),
        ..TraceRequest::default()
    };
    let facts = Facts::gather(&site.core(), &request).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(trace(&facts, &site));
    site
}

/// The present version, and all that are kept.
fn versions() -> Vec<Streams> {
    let (agent, controller) = scenario().said(1);
    let present = Streams {
        version: "present".into(),
        agent,
        controller,
    };
    let mut versions = vec![present];
    for entry in fs::read_dir(folder()).unwrap() {
        let folder = entry.unwrap().path();
        if folder.is_dir() {
            let read = |file: &str| fs::read(folder.join(file)).unwrap();
            versions.push(Streams {
                version: folder.file_name().unwrap().to_string_lossy().into_owned(),
                agent: decode(read("agent.bin")),
                controller: decode(read("controller.bin")),
            });
        }
    }
    versions
}

#[test]
fn the_streams_of_this_version_are_kept() {
    let own = folder().join(env!("CARGO_PKG_VERSION"));
    if own.is_dir() {
        return;
    }
    assert!(std::env::var_os("BLESS").is_some(), "BLESS=1 keeps them");
    let (agent, controller) = scenario().said(1);
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("agent.bin"), encode(&agent)).unwrap();
    fs::write(own.join("controller.bin"), encode(&controller)).unwrap();
}

#[test]
fn every_kind_of_message_but_a_handover_is_kept() {
    let present = versions().remove(0);
    let count = |kind: fn(&ToAgent) -> bool| {
        let bodies = present.controller.iter().filter_map(|it| it.body.as_ref());
        bodies.filter(|body| kind(body)).count()
    };
    for (name, found) in [
        ("Welcome", count(|it| matches!(it, ToAgent::Welcome(_)))),
        ("Snapshot", count(|it| matches!(it, ToAgent::Snapshot(_)))),
        ("Delta", count(|it| matches!(it, ToAgent::Delta(_)))),
        ("Forget", count(|it| matches!(it, ToAgent::Forget(_)))),
        ("Current", count(|it| matches!(it, ToAgent::Current(_)))),
        ("Refused", count(|it| matches!(it, ToAgent::Refused(_)))),
        (
            "ReportRequest",
            count(|it| matches!(it, ToAgent::ReportRequest(_))),
        ),
        ("Question", count(|it| matches!(it, ToAgent::Question(_)))),
    ] {
        assert!(found > 0, "no {name}");
    }
    let kinds = present.controller.iter().filter_map(|it| match &it.body {
        Some(ToAgent::Snapshot(snapshot)) => Some(snapshot.kind()),
        _ => None,
    });
    let kinds: std::collections::BTreeSet<i32> = kinds.map(i32::from).collect();
    assert_eq!(kinds.len(), 3);
}

/// The present controller is told what an agent said, and must serve it.
fn serve(version: &str, messages: Vec<AgentMessage>) -> Vec<ControllerMessage> {
    let site = scenario();
    site.kill(1);
    let newest = site.core().revision();
    let realised = messages.iter().filter_map(|it| match &it.body {
        Some(FromAgent::Realised(realised)) => Some(realised.revision),
        _ => None,
    });
    let realised = realised.filter(|it| *it <= newest).max().unwrap();
    let answers = site.replay(messages);
    let answers =
        answers.unwrap_or_else(|answers| panic!("{version} was turned away: {answers:?}"));
    assert!(
        matches!(answers[0].body, Some(ToAgent::Welcome(_))),
        "{version}"
    );
    let core = site.core();
    let host = core.host_named(&"hv1".parse().unwrap()).unwrap();
    assert!(host.connected && host.ready, "{version}: {host:?}");
    let ports = coax_controller::core::Listing::single(&core).ports(None);
    let port = ports.into_iter().find(|it| it.name == "web-1").unwrap();
    assert_eq!(port.host.as_deref(), Some("hv1"), "{version}");
    assert!(
        port.status.realized["hv1"] >= realised,
        "{version}: {port:?}"
    );
    answers
}

/// The present agent is told what a controller said, and must do it. The rows that it has then.
fn obey(version: &str, messages: Vec<ControllerMessage>) -> coax_vswitch::Rows {
    let mut host = Hypervisor::new(1, MemoryDataPlane::new());
    for port in ["shop/web-1", "shop/web-3"] {
        host.new_device(port);
    }
    let newest = messages.iter().filter_map(|it| match &it.body {
        Some(ToAgent::Current(current)) => Some(current.revision),
        _ => None,
    });
    let newest = newest.max().unwrap();
    let mut agent = host.agent.take().unwrap();
    let mut inputs: VecDeque<AgentInput> = host.first_inputs().into();
    let (mut messages, mut open, mut realised) = (messages.into_iter(), 0, None);
    loop {
        let next = || {
            let message = messages.next()?;
            let stream = open;
            Some(AgentInput::Received { stream, message })
        };
        let Some(input) = inputs.pop_front().or_else(next) else {
            break;
        };
        for command in agent.handle(input, Duration::ZERO) {
            match command {
                AgentCommand::Connect { stream, .. } => {
                    open = stream;
                    inputs.push_back(AgentInput::Connected { stream });
                }
                AgentCommand::Disconnect { .. } => panic!("{version} is not obeyed"),
                AgentCommand::Send {
                    body: FromAgent::Realised(said),
                    ..
                } => realised = Some(said),
                AgentCommand::Apply(batch) => {
                    let failures = execute(&mut host.plane, &batch);
                    let batch = batch.number;
                    inputs.push_back(AgentInput::Applied { batch, failures });
                }
                AgentCommand::Answer(inquiry) => inputs.push_back(AgentInput::Answered {
                    question_id: inquiry.question_id,
                    json: serde_json::to_vec(&HostAnswer::Sent).unwrap(),
                }),
                AgentCommand::LookAtGuards { .. } => {
                    inputs.push_back(AgentInput::GuardsSeen(GuardsSeen::default()));
                }
                AgentCommand::Report(request) => inputs.push_back(AgentInput::Reported {
                    request_id: request.request_id,
                    json: serde_json::to_vec(&HostReport::default()).unwrap(),
                }),
                _ => {}
            }
        }
    }
    let realised = realised.unwrap();
    assert_eq!(realised.revision, newest, "{version}");
    // What it was refused it says, and nothing else.
    let mut problems = realised.problems.iter();
    assert!(
        problems.all(|it| it.object == "bank/safe"),
        "{version}: {realised:?}"
    );
    let rows = host.plane.rows().unwrap();
    assert_eq!(rows.ports.len(), 2, "{version}");
    assert!(
        !rows.macs.is_empty() && !rows.policies.is_empty(),
        "{version}"
    );
    rows
}

#[test]
fn the_present_controller_serves_agents_of_every_version() {
    for streams in versions() {
        serve(&streams.version, streams.agent);
    }
}

#[test]
fn the_present_agent_obeys_controllers_of_every_version() {
    for streams in versions() {
        obey(&streams.version, streams.controller);
    }
}

/// A field of a number, and one of some text, that nobody knows.
const UNKNOWN: [u8; 8] = [0xc0, 0x3e, 7, 0xca, 0x3e, 2, b'h', b'i'];

fn varint(bytes: &mut &[u8]) -> u64 {
    prost::encoding::decode_varint(bytes).unwrap()
}

/// The same message with unknown fields in it, and in each message that it holds.
fn with_unknown_fields<M: Message + Default + PartialEq + std::fmt::Debug>(message: &M) -> M {
    let encoded = message.encode_to_vec();
    let (mut rest, mut strange) = (encoded.as_slice(), Vec::new());
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        prost::encoding::encode_varint(tag, &mut strange);
        let value = varint(&mut rest);
        if tag & 7 != 2 {
            prost::encoding::encode_varint(value, &mut strange);
            continue;
        }
        let (content, after) = rest.split_at(value as usize);
        rest = after;
        prost::encoding::encode_varint(value + UNKNOWN.len() as u64, &mut strange);
        strange.extend(content);
        strange.extend(UNKNOWN);
    }
    strange.extend(UNKNOWN);
    assert_ne!(strange, encoded);
    M::decode(strange.as_slice()).unwrap()
}

#[test]
fn fields_that_nobody_knows_are_skipped_on_both_sides() {
    let present = versions().remove(0);
    let strange: Vec<_> = present.agent.iter().map(with_unknown_fields).collect();
    let answers = serve("a later agent", strange);
    assert_eq!(answers, serve("present", present.agent));
    let strange = present.controller.iter().map(|message| {
        let mut message = with_unknown_fields(message);
        if let Some(ToAgent::Snapshot(snapshot)) = &mut message.body {
            snapshot.slice = [&snapshot.slice[..], &UNKNOWN].concat().into();
        }
        if let Some(ToAgent::Delta(delta)) = &mut message.body {
            delta.delta = [&delta.delta[..], &UNKNOWN].concat().into();
        }
        message
    });
    let rows = obey("a later controller", strange.collect());
    assert_eq!(rows, obey("present", present.controller));
}

#[test]
fn messages_and_kinds_that_nobody_knows_are_skipped_on_both_sides() {
    let present = versions().remove(0);
    // An agent that holds a slice of a kind that is not known here, and says something unheard of.
    let mut strange = present.agent.clone();
    if let Some(FromAgent::Hello(hello)) = &mut strange[0].body {
        hello.generation = 1;
        hello.run = 1;
        hello.have = vec![Held {
            number: 100,
            revision: 1,
            kind: 99,
        }];
    }
    strange.insert(2, AgentMessage::default());
    for (sequence, message) in (1..).zip(&mut strange) {
        message.sequence = sequence;
    }
    let answers = serve("a later agent", strange);
    let network = answers.iter().any(|it| match &it.body {
        Some(ToAgent::Snapshot(snapshot)) => snapshot.kind() == SliceKind::Network,
        _ => false,
    });
    assert!(network, "what it does not hold it is told");

    let mut strange = present.controller.clone();
    let unheard = |body| ControllerMessage { sequence: 0, body };
    let (slice, delta) = (Bytes::from_static(b"?"), Bytes::from_static(b"?"));
    let at = strange.len() / 2;
    strange.splice(
        at..at,
        [
            unheard(None),
            unheard(Some(ToAgent::Snapshot(Snapshot { slice, kind: 99 }))),
            unheard(Some(ToAgent::Delta(Delta { delta, kind: 99 }))),
            unheard(Some(ToAgent::Forget(Forget {
                number: 100,
                kind: 99,
            }))),
        ],
    );
    for (sequence, message) in (1..).zip(&mut strange) {
        message.sequence = sequence;
    }
    let rows = obey("a later controller", strange);
    assert_eq!(rows, obey("present", present.controller));
}

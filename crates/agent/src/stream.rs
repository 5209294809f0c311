//! One task for each stream to a controller: opens it, carries messages both ways, tells when it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coax_api::agent::control_stream_client::ControlStreamClient;
use coax_api::agent::{AgentMessage, agent_message};
use coax_api::stream::{LARGEST_MESSAGE, with_causes};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use crate::error::Error;
use crate::input::Input;
use crate::membership::Membership;
use crate::tasks::OUTGOING;

/// A silent connection is checked this often, and given up after the same time again.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A message for the controller with its number.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Its number in the stream.
    pub(crate) sequence: u64,
    /// What it says.
    pub(crate) body: agent_message::Body,
}

/// The streams that are open or being opened.
pub(crate) struct StreamTasks {
    membership: Arc<Membership>,
    inputs: mpsc::Sender<Input>,
    open: BTreeMap<u64, Open>,
}

struct Open {
    outgoing: mpsc::Sender<AgentMessage>,
    task: JoinHandle<()>,
}

/// A stream to be opened.
struct Wanted {
    number: u64,
    address: String,
    standby: bool,
}

/// Reads a controller's address.
pub(crate) fn endpoint(address: &str) -> Result<Endpoint, Error> {
    let bad = || Error::ControllerAddress {
        address: address.to_owned(),
    };
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| bad())?;
    let uri = endpoint.uri();
    let bare = uri.authority().is_some_and(|read| read.as_str() == address);
    let bare = bare && !address.contains('@');
    if !bare || uri.host().is_none_or(str::is_empty) || uri.port_u16().is_none() {
        return Err(bad());
    }
    Ok(endpoint
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20))
}

impl StreamTasks {
    /// No stream yet; what happens on later ones goes to `inputs`.
    pub(crate) fn new(membership: Arc<Membership>, inputs: mpsc::Sender<Input>) -> Self {
        Self {
            membership,
            inputs,
            open: BTreeMap::new(),
        }
    }

    /// Opens stream `number`.
    pub(crate) fn open(&mut self, number: u64, address: String, standby: bool) {
        let (outgoing, messages) = mpsc::channel(OUTGOING);
        let (membership, inputs) = (self.membership.clone(), self.inputs.clone());
        let wanted = Wanted {
            number,
            address,
            standby,
        };
        self.open.retain(|_, open| !open.task.is_finished());
        let task = tokio::spawn(async move {
            let reason = match carry(&membership, &wanted, messages, &inputs).await {
                Ok(()) => "the controller closed the stream".to_owned(),
                Err(error) => error,
            };
            disconnected(&inputs, number, reason).await;
        });
        self.open.insert(number, Open { outgoing, task });
    }

    /// Closes stream `number`.
    pub(crate) fn close(&mut self, number: u64) {
        if let Some(open) = self.open.remove(&number) {
            open.task.abort();
        }
    }

    /// Sends on stream `number`. A stream that does not take it is broken off.
    pub(crate) fn send(&mut self, number: u64, message: Outgoing) {
        let Some(open) = self.open.get(&number) else {
            return;
        };
        let message = AgentMessage {
            sequence: message.sequence,
            body: Some(message.body),
        };
        if open.outgoing.try_send(message).is_err() {
            self.close(number);
            let inputs = self.inputs.clone();
            tokio::spawn(async move {
                let reason = "the controller does not take messages".to_owned();
                disconnected(&inputs, number, reason).await;
            });
        }
    }
}

impl Drop for StreamTasks {
    fn drop(&mut self) {
        for open in self.open.values() {
            open.task.abort();
        }
    }
}

async fn disconnected(inputs: &mpsc::Sender<Input>, stream: u64, reason: String) {
    // The core is gone if nobody takes this.
    let _ = inputs.send(Input::Disconnected { stream, reason }).await;
}

async fn carry(
    membership: &Membership,
    wanted: &Wanted,
    messages: mpsc::Receiver<AgentMessage>,
    inputs: &mpsc::Sender<Input>,
) -> Result<(), String> {
    let stream = wanted.number;
    let endpoint = endpoint(&wanted.address).map_err(|error| error.to_string())?;
    let connection = membership.connect(&endpoint).await?;
    let channel = connection.channel.clone();
    let mut client = ControlStreamClient::new(channel.clone())
        .max_decoding_message_size(LARGEST_MESSAGE)
        .max_encoding_message_size(LARGEST_MESSAGE);
    // Before the answer to the call: the controller may wait for the first message with it.
    if inputs.send(Input::Connected { stream }).await.is_err() {
        return Ok(());
    }
    let answer = client.attach(ReceiverStream::new(messages)).await;
    let mut incoming = answer.map_err(|status| with_causes(&status))?.into_inner();
    let receive = async {
        while let Some(message) = incoming.message().await? {
            let received = Input::Received { stream, message };
            if inputs.send(received).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = receive => ended.map_err(|status: tonic::Status| with_causes(&status)),
        // Never ends. One stream is enough for it.
        () = membership.keep(channel), if !wanted.standby => Ok(()),
        // Not every controller may have the key of a new authority, so each is listened to.
        reason = membership.follow(&connection) => Err(reason),
    }
}

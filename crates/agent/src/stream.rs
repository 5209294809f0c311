//! One task for each stream to the controller: opens it, carries messages both ways, tells when it ends.

use std::time::Duration;

use coax_api::agent::control_stream_client::ControlStreamClient;
use coax_api::agent::{AgentMessage, agent_message};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use crate::error::Error;
use crate::input::Input;
use crate::tasks::OUTGOING;

/// A silent connection is checked this often, and given up after the same time again.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// A snapshot of a network with 100,000 ports has some ten megabytes.
const LARGEST_MESSAGE: usize = 256 << 20;

/// A message for the controller with its number.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Its number in the stream.
    pub(crate) sequence: u64,
    /// What it says.
    pub(crate) body: agent_message::Body,
}

/// The present stream, if there is one.
pub(crate) struct StreamTasks {
    endpoint: Endpoint,
    inputs: mpsc::Sender<Input>,
    present: Option<Present>,
}

struct Present {
    number: u64,
    outgoing: mpsc::Sender<AgentMessage>,
    task: JoinHandle<()>,
}

/// Reads the controller's address.
pub(crate) fn endpoint(url: &str) -> Result<Endpoint, Error> {
    let bad = || Error::ControllerUrl {
        url: url.to_owned(),
    };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| bad())?;
    let uri = endpoint.uri();
    if uri.scheme_str() != Some("http") || uri.host().is_none() || uri.port_u16().is_none() {
        return Err(bad());
    }
    Ok(endpoint
        .connect_timeout(KEEP_ALIVE)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20))
}

impl StreamTasks {
    /// No stream yet; what happens on later ones goes to `inputs`.
    pub(crate) fn new(endpoint: Endpoint, inputs: mpsc::Sender<Input>) -> Self {
        Self {
            endpoint,
            inputs,
            present: None,
        }
    }

    /// Opens stream `number`.
    pub(crate) fn open(&mut self, number: u64) {
        self.end_present();
        let (outgoing, messages) = mpsc::channel(OUTGOING);
        let (endpoint, inputs) = (self.endpoint.clone(), self.inputs.clone());
        let task = tokio::spawn(async move {
            let reason = match carry(endpoint, number, messages, &inputs).await {
                Ok(()) => "the controller closed the stream".to_owned(),
                Err(error) => error,
            };
            // The core is gone if nobody takes this.
            let _ = inputs
                .send(Input::Disconnected {
                    stream: number,
                    reason,
                })
                .await;
        });
        self.present = Some(Present {
            number,
            outgoing,
            task,
        });
    }

    /// Closes stream `number`, if it is the present one.
    pub(crate) fn close(&mut self, number: u64) {
        if self
            .present
            .as_ref()
            .is_some_and(|present| present.number == number)
        {
            self.end_present();
        }
    }

    /// Sends on stream `number`. A stream that does not take it is broken off.
    pub(crate) fn send(&mut self, number: u64, message: Outgoing) {
        let Some(present) = self
            .present
            .as_ref()
            .filter(|present| present.number == number)
        else {
            return;
        };
        let message = AgentMessage {
            sequence: message.sequence,
            body: Some(message.body),
        };
        if present.outgoing.try_send(message).is_err() {
            self.end_present();
            let inputs = self.inputs.clone();
            tokio::spawn(async move {
                let reason = "the controller does not take messages".to_owned();
                let _ = inputs
                    .send(Input::Disconnected {
                        stream: number,
                        reason,
                    })
                    .await;
            });
        }
    }

    fn end_present(&mut self) {
        if let Some(present) = self.present.take() {
            present.task.abort();
        }
    }
}

impl Drop for StreamTasks {
    fn drop(&mut self) {
        self.end_present();
    }
}

async fn carry(
    endpoint: Endpoint,
    stream: u64,
    messages: mpsc::Receiver<AgentMessage>,
    inputs: &mpsc::Sender<Input>,
) -> Result<(), String> {
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| with_causes(&error))?;
    let mut client = ControlStreamClient::new(channel)
        .max_decoding_message_size(LARGEST_MESSAGE)
        .max_encoding_message_size(LARGEST_MESSAGE);
    // Before the answer to the call: the controller may wait for the first message with it.
    if inputs.send(Input::Connected { stream }).await.is_err() {
        return Ok(());
    }
    let answer = client.attach(ReceiverStream::new(messages)).await;
    let mut incoming = answer.map_err(|status| with_causes(&status))?.into_inner();
    while let Some(message) = incoming
        .message()
        .await
        .map_err(|status| with_causes(&status))?
    {
        if inputs
            .send(Input::Received { stream, message })
            .await
            .is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}

/// Libraries put what happened into the causes: "transport error" alone helps nobody.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

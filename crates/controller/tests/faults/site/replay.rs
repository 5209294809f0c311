//! What was said on the streams of a site, and saying it again.

use coax_api::agent::{AgentMessage, ControllerMessage};
use coax_controller::core::message::{Input, Request, SessionId};

use super::Site;

/// What was said on a stream.
pub(super) enum Said {
    ByAgent(AgentMessage),
    ByController(ControllerMessage),
}

/// The stream of who replays an agent.
pub(super) const REPLAY: SessionId = SessionId(u64::MAX);

impl Site {
    /// Somebody asks for the counters of all hosts.
    pub fn report(&self) {
        let mut state = self.state();
        state.request(Request::Report);
        state.settle();
    }

    /// All that the agent and the controller of a host said to each other.
    pub fn said(&self, number: u8) -> (Vec<AgentMessage>, Vec<ControllerMessage>) {
        let (mut by_agent, mut by_controller) = (Vec::new(), Vec::new());
        for (host, said) in &self.state().said {
            match said {
                _ if *host != usize::from(number) - 1 => {}
                Said::ByAgent(message) => by_agent.push(message.clone()),
                Said::ByController(message) => by_controller.push(message.clone()),
            }
        }
        (by_agent, by_controller)
    }

    /// Says to the controller what an agent said once, and returns its answers; as an error, if it ended the stream.
    pub fn replay(
        &self,
        messages: Vec<AgentMessage>,
    ) -> Result<Vec<ControllerMessage>, Vec<ControllerMessage>> {
        let mut state = self.state();
        for message in messages {
            let session = REPLAY;
            state.controller(Input::Message { session, message });
        }
        state.settle();
        let replayed = std::mem::take(&mut state.replayed);
        let ended = replayed.iter().any(Option::is_none);
        let answers = replayed.into_iter().flatten().collect();
        if ended { Err(answers) } else { Ok(answers) }
    }
}

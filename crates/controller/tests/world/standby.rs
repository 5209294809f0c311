//! The agent's streams to controllers that do not tell it what to do.

use coax_api::agent::agent_message::Body as FromAgent;
use coax_api::agent::controller_message::Body as ToAgent;
use coax_api::agent::{AgentMessage, ControllerMessage};
use coax_api::sequence::{Arrival, Receiver, Sender};
use coax_controller::core::message::SessionId;

use super::Agent;

#[derive(Default)]
pub struct Standby {
    sender: Sender,
    receiver: Receiver,
    pub welcome: bool,
}

impl Standby {
    pub(super) fn number(&mut self, body: FromAgent) -> AgentMessage {
        AgentMessage {
            sequence: self.sender.number(),
            body: Some(body),
        }
    }
}

impl Agent {
    pub(super) fn attach_standby(&mut self, session: SessionId) -> Vec<AgentMessage> {
        let mut standby = Standby::default();
        let said = self.introduction(true).map(|body| standby.number(body));
        self.standbys.insert(session, standby);
        said.into()
    }

    /// Takes a message; `Err`: the stream is to be closed.
    pub(super) fn take_standby(
        &mut self,
        session: SessionId,
        message: ControllerMessage,
    ) -> Result<Option<AgentMessage>, ()> {
        let Some(standby) = self.standbys.get_mut(&session) else {
            return Err(());
        };
        match standby.receiver.accept(message.sequence) {
            Arrival::Duplicate => return Ok(None),
            Arrival::Gap => return Err(()),
            Arrival::Fresh => {}
        }
        match message.body.unwrap() {
            ToAgent::Welcome(welcome) => {
                assert!(welcome.generation >= self.generation);
                standby.welcome = true;
                let realised = self.realised.clone().map(FromAgent::Realised);
                Ok(realised.map(|body| standby.number(body)))
            }
            ToAgent::Refused(refused) => {
                assert_eq!(refused.port, "", "its own controller refuses ports");
                Err(())
            }
            ToAgent::Current(current) => {
                self.asks = (current.revision > self.newest).then_some(current.revision);
                let realised = self.realised.clone().map(FromAgent::Realised);
                Ok(realised.map(|body| standby.number(body)))
            }
            ToAgent::ReportRequest(_) | ToAgent::Question(_) | ToAgent::Connections(_) => Ok(None),
            other => panic!("{other:?} is not for those who obey others"),
        }
    }
}

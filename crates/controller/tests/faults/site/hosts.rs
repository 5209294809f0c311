//! Questions to the hosts of a site, as the controller's traces ask them.

use std::time::Duration;

use coax_api::question::{HostAnswer, HostQuestion};
use coax_controller::core::message::{Answer, Input, Request};
use coax_controller::trace::Hosts;

use super::{Site, State};

impl Hosts for Site {
    async fn ask(&self, host: &str, question: HostQuestion) -> Result<HostAnswer, String> {
        if matches!(question, HostQuestion::Watch { .. }) {
            // Whoever sends meanwhile goes first.
            tokio::task::yield_now().await;
        }
        let mut state = self.state();
        let host = host.parse().unwrap();
        let id = state.request(Request::Ask { host, question });
        state.settle();
        let replied = |state: &mut State| {
            let at = state.replies.iter().position(|(other, _)| *other == id)?;
            Some(state.replies.remove(at).1)
        };
        let answer = replied(&mut state).or_else(|| {
            // Nobody answers: time passes.
            state.now += Duration::from_secs(4);
            state.controller(Input::Tick);
            replied(&mut state)
        });
        match answer {
            Some(Answer::Told(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn marker(&self) -> [u8; 8] {
        let mut state = self.state();
        state.sessions += 1;
        state.sessions.to_be_bytes()
    }

    async fn pause(&self) {}
}

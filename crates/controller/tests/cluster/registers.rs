//! Projects as registers: clients write, read and compare-and-set through different controllers, ask again elsewhere where they
//! are not answered, and what they saw must be explained by one order.

use std::collections::BTreeMap;

use coax_api::Problem;
use coax_controller::core::message::{Answer, Write};
use coax_controller::core::submission::{Condition, Submission};
use coax_controller::history::RepeatKey;
use coax_model::{Name, StackFile};

use crate::linearizability::{Action, Operation, Value};
use crate::world::cluster::Cluster;

/// How many there are.
const REGISTERS: usize = 2;

/// One operation of a client, and its attempts.
struct Asked {
    register: Name,
    action: Action,
    condition: Condition,
    asked: u64,
    attempts: Vec<u64>,
}

/// What clients do, and what they saw.
#[derive(Default)]
pub struct Registers {
    asked: Vec<Asked>,
    /// What somebody found last in each: the value and its entity tag.
    found: BTreeMap<Name, (Value, u64)>,
}

/// The value of a register is the name of the project's only network: `v42`.
fn file(register: &Name, value: u64) -> StackFile {
    let network = format!("v{value}: {{ subnets: [10.9.0.0/24] }}");
    let yaml = format!("version: 1\nproject: {register}\nnetworks:\n  {network}\n");
    StackFile::parse(&yaml).unwrap()
}

fn value(networks: &[Name]) -> Value {
    let number = |name: &Name| name.as_str()[1..].parse().unwrap();
    networks.first().map(number)
}

impl Registers {
    /// A client asks for something somewhere.
    pub fn ask(&mut self, cluster: &mut Cluster) {
        let register: Name = format!("r{}", cluster.dice.below(REGISTERS))
            .parse()
            .unwrap();
        let new = Some(self.asked.len() as u64);
        let mut condition = Condition::Any;
        let action = match (cluster.dice.below(4), self.found.get(&register)) {
            (0, Some((expected, tag))) if *tag > 0 => {
                condition = Condition::Match(vec![*tag]);
                Action::CompareAndSet {
                    expected: *expected,
                    new,
                    done: None,
                }
            }
            (0 | 1, _) => Action::Write(new),
            _ => Action::Read(None),
        };
        let mut asked = Asked {
            register,
            action,
            condition,
            asked: cluster.clock(),
            attempts: Vec::new(),
        };
        asked.attempt(self.asked.len(), cluster);
        self.asked.push(asked);
    }

    /// Whoever was not told what became of his change asks again somewhere, under the same key.
    pub fn repeat(&mut self, cluster: &mut Cluster) {
        self.look(cluster);
        let number = cluster.dice.below(self.asked.len().max(1));
        let Some(asked) = self.asked.get_mut(number) else {
            return;
        };
        let unknown = |id: &u64| cluster.replies.get(id).is_none_or(is_unknown);
        let is_read = matches!(asked.action, Action::Read(_));
        if !is_read && asked.attempts.iter().all(unknown) {
            asked.attempt(number, cluster);
        }
    }

    /// Takes in what was read.
    fn look(&mut self, cluster: &Cluster) {
        for asked in &self.asked {
            if let Some(found) = cluster.found.get(&asked.attempts[0]) {
                let newest = self.found.entry(asked.register.clone()).or_default();
                if found.revision > newest.1 {
                    *newest = (value(&found.networks), found.revision);
                }
            }
        }
    }

    /// Everything that clients saw, and at the end what is there.
    pub fn history(&self, cluster: &Cluster) -> Vec<Operation> {
        let asked = self.asked.iter().enumerate();
        let mut history: Vec<Operation> = asked
            .filter_map(|(client, it)| it.outcome(client, cluster))
            .collect();
        for number in 0..REGISTERS {
            let register: Name = format!("r{number}").parse().unwrap();
            let networks = cluster.core(0).intent().networks_of(&register);
            let networks: Vec<Name> = networks.map(|(name, _)| name.name.clone()).collect();
            history.push(Operation {
                client: usize::MAX,
                register: register.to_string(),
                action: Action::Read(value(&networks)),
                asked: cluster.clock(),
                answered: Some(cluster.clock() + 1),
            });
        }
        history
    }
}

fn is_unknown(answer: &Result<Answer, Box<Problem>>) -> bool {
    matches!(answer, Err(problem) if problem.code == "outcome-unknown")
}

impl Asked {
    fn attempt(&mut self, number: usize, cluster: &mut Cluster) {
        let member = cluster.dice.below(cluster.members());
        let new = match self.action {
            Action::Read(_) => {
                let id = cluster.read(member, self.register.clone());
                return self.attempts.push(id);
            }
            Action::Write(new) | Action::CompareAndSet { new, .. } => new,
        };
        let write = Write::Apply {
            file: Box::new(file(&self.register, new.unwrap()).into()),
            dry_run: false,
        };
        let submission = Submission {
            author: "register".into(),
            reason: format!("register {number}"),
            condition: self.condition.clone(),
            repeat: Some(RepeatKey {
                key: format!("register {number}"),
                digest: 1,
            }),
            ..Submission::default()
        };
        let id = cluster.write_when_caught_up(member, write, submission);
        self.attempts.push(id);
    }

    /// What the client saw of it; nothing, if it surely did nothing.
    fn outcome(&self, client: usize, cluster: &Cluster) -> Option<Operation> {
        let operation = |action, answered| Operation {
            client,
            register: self.register.to_string(),
            action,
            asked: self.asked,
            answered,
        };
        if let Action::Read(_) = self.action {
            let found = cluster.found.get(&self.attempts[0])?;
            let action = Action::Read(value(&found.networks));
            return Some(operation(action, Some(found.at)));
        }
        let answers = self.attempts.iter();
        let answers =
            answers.filter_map(|id| Some((cluster.replied.get(id)?, &cluster.replies[id])));
        let mut answers: Vec<_> = answers.collect();
        answers.sort_by_key(|(at, _)| **at);
        let known = |done: bool| match self.action {
            Action::CompareAndSet { expected, new, .. } => Action::CompareAndSet {
                expected,
                new,
                done: Some(done),
            },
            action => action,
        };
        let is_mismatch = |answer: &Result<Answer, Box<Problem>>| matches!(answer, Err(problem) if problem.code == "revision-mismatch");
        if let Some((at, _)) = answers.iter().find(|(_, answer)| answer.is_ok()) {
            return Some(operation(known(true), Some(**at)));
        }
        if let Some((at, _)) = answers.iter().find(|(_, answer)| is_mismatch(answer)) {
            return Some(operation(known(false), Some(**at)));
        }
        let all_answered = answers.len() == self.attempts.len();
        let refused = all_answered && !answers.iter().any(|(_, answer)| is_unknown(answer));
        (!refused).then(|| operation(self.action, None))
    }
}

//! Every error that a user can see: what happened, why, and the command to type next.
//!
//! Invariant: what is printed is made of sentences and names; the debug form of a Rust value never
//! reaches a user. The code in brackets is stable and known to `coax explain`.

use std::io;
use std::path::PathBuf;

use coax_api::{ClientError, Problem};

use crate::exit::Exit;
use crate::stack::{Mistake, Source};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// No flag says which controller, and none is found.
    #[error("no Coax controller is running on this machine")]
    NoController {
        /// Where the controller's socket would be.
        socket: PathBuf,
    },
    /// Several labs are running and none was named.
    #[error("several labs are running: {}", names.join(", "))]
    SeveralLabs {
        /// Their names.
        names: Vec<String>,
    },
    /// The lab does not exist.
    #[error("no lab `{name}` is running")]
    NoSuchLab {
        /// What was asked for.
        name: String,
        /// A running lab with a similar name.
        similar: Option<String>,
    },
    /// The controller cannot be reached or refuses.
    #[error(transparent)]
    Api(#[from] ClientError),
    /// A lab could not do it.
    #[error(transparent)]
    Lab(coax_lab::Error),
    /// A controller cannot start or go on.
    #[error(transparent)]
    Controller(#[from] coax_controller::Error),
    /// An agent cannot start or go on.
    #[error(transparent)]
    Agent(#[from] coax_agent::Error),
    /// Two hypervisors could not be built or measured.
    #[error(transparent)]
    Bench(#[from] coax_bench::Error),
    /// No object has that name.
    #[error("there is no {kind} `{name}`{}", in_project(project))]
    NoSuchObject {
        /// `port`, `network`, …
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The project that was searched, if it was one.
        project: Option<String>,
        /// A similar name that exists.
        similar: Option<String>,
    },
    /// Objects of several projects have that name.
    #[error("several projects have a {kind} `{name}`: {}", candidates.join(", "))]
    AmbiguousObject {
        /// `port`, `network`, …
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// Full names of those that match.
        candidates: Vec<String>,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file; `-` is the standard input.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A stack file has mistakes.
    #[error("{} has mistakes", file.name())]
    BadFile {
        /// The file.
        file: Source,
        /// What is wrong with it.
        mistakes: Vec<Mistake>,
    },
    /// Two files speak for the same project.
    #[error("{} and {} both describe the project `{project}`", first.display(), second.display())]
    SameProject {
        /// The project.
        project: String,
        /// The file named first.
        first: PathBuf,
        /// The file named second.
        second: PathBuf,
    },
    /// `export` without a project where there are several.
    #[error("there are several projects: {}", names.join(", "))]
    SeveralProjects {
        /// Their names.
        names: Vec<String>,
    },
    /// `export` where there is nothing.
    #[error("there is no project yet")]
    NoProject,
    /// `explain` does not know the word.
    #[error("`{word}` is no word of Coax")]
    UnknownWord {
        /// What was asked for.
        word: String,
        /// A similar word that is known.
        similar: Option<String>,
    },
    /// The standard output does not take the data.
    #[error("cannot write to the standard output: {source}")]
    Stdout {
        /// What the system says.
        source: io::Error,
    },
    /// A value has no JSON form.
    #[error("cannot write the answer as JSON: {source}")]
    Json {
        /// What the serialiser says.
        source: serde_json::Error,
    },
    /// A value has no YAML form.
    #[error("cannot write the answer as YAML: {source}")]
    Yaml {
        /// What the serialiser says.
        source: serde_saphyr::SerializeError,
    },
    /// The asynchronous runtime does not start.
    #[error("cannot start: {source}")]
    Runtime {
        /// What the system says.
        source: io::Error,
    },
}

impl From<coax_lab::Error> for CliError {
    /// The controller's refusals read the same, whoever asked.
    fn from(error: coax_lab::Error) -> Self {
        match error {
            coax_lab::Error::Api(error) => Self::Api(error),
            error => Self::Lab(error),
        }
    }
}

fn in_project(project: &Option<String>) -> String {
    project
        .as_ref()
        .map(|project| format!(" in project `{project}`"))
        .unwrap_or_default()
}

impl CliError {
    /// The stable name of this kind of error.
    pub fn code(&self) -> &str {
        match self {
            Self::NoController { .. } => "no-controller",
            Self::SeveralLabs { .. } => "several-labs",
            Self::NoSuchLab { .. } => "no-such-lab",
            Self::Api(ClientError::Refused(problem)) => &problem.code,
            Self::Api(ClientError::Unreachable { .. }) => "controller-unreachable",
            Self::Api(ClientError::Transport { .. }) => "connection-lost",
            Self::Api(ClientError::BadPath { .. }) => "bad-name",
            Self::Api(ClientError::Unexpected { .. }) => "unknown-answer",
            Self::Lab(error) => error.code(),
            Self::Controller(error) => controller_code(error),
            Self::Agent(error) => agent_code(error),
            Self::Bench(_) => "bench-failed",
            Self::NoSuchObject { kind, .. } => match *kind {
                "port" => "no-such-port",
                "network" => "no-such-network",
                "subnet" => "no-such-subnet",
                "vtep" => "no-such-vtep",
                "host" => "no-such-host",
                _ => "no-such-project",
            },
            Self::AmbiguousObject { .. } => "ambiguous-name",
            Self::Unreadable { .. } => "file-unreadable",
            Self::Unwritable { .. } => "file-unwritable",
            Self::BadFile { mistakes, .. } => mistakes
                .first()
                .map_or("bad-file", |mistake| mistake.code.as_str()),
            Self::SameProject { .. } => "project-twice",
            Self::SeveralProjects { .. } => "several-projects",
            Self::NoProject => "no-project",
            Self::UnknownWord { .. } => "unknown-word",
            Self::Stdout { .. } => "output-failed",
            Self::Json { .. } | Self::Yaml { .. } => "not-representable",
            Self::Runtime { .. } => "runtime-failed",
        }
    }

    /// The cause, where the message alone does not say it.
    pub fn why(&self) -> Option<String> {
        match self {
            Self::NoController { socket } => Some(format!(
                "{} does not exist, and no lab is running",
                socket.display()
            )),
            Self::SeveralLabs { .. } => Some("each lab has a controller of its own".into()),
            Self::Api(ClientError::Unreachable { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Some("the socket belongs to root: whoever opens it may change everything".into())
            }
            Self::SameProject { .. } => {
                Some("a file owns its whole project, so the second would undo the first".into())
            }
            _ => None,
        }
    }

    /// What to do next, best as a command.
    pub fn next(&self) -> Option<String> {
        Some(match self {
            Self::NoController { .. } => "`coax lab up examples/leaf-spine.yaml` starts a lab, \
                `coax controller --help` tells how to start a controller; `--api` names one elsewhere"
                .into(),
            Self::SeveralLabs { names } => {
                format!("name one: `--lab {}`", names.first().map_or("NAME", String::as_str))
            }
            Self::NoSuchLab { similar: Some(name), .. } => format!("did you mean `{name}`?"),
            Self::NoSuchLab { similar: None, .. } => "`coax lab list` shows those running".into(),
            Self::Api(error) => return next_after(error),
            Self::Lab(error) => return error.next(),
            Self::NoSuchObject { similar: Some(name), .. } => format!("did you mean `{name}`?"),
            Self::NoSuchObject { kind, project, .. } => match project {
                Some(project) => format!("`coax {kind} list --project {project}` shows what exists"),
                None => format!("`coax {kind} list` shows what exists"),
            },
            Self::AmbiguousObject { candidates, .. } => format!(
                "use the full name, like `{}`, or --project",
                candidates.first().map_or("project/name", String::as_str)
            ),
            Self::Controller(coax_controller::Error::Agents { .. }) => {
                "`--agents` names the address; is another controller running?".into()
            }
            Self::SeveralProjects { names } => {
                format!("`coax export {}`", names.first().map_or("PROJECT", String::as_str))
            }
            Self::NoProject => "`coax apply -f FILE` creates one".into(),
            Self::UnknownWord { similar: Some(word), .. } => format!("did you mean `{word}`?"),
            Self::UnknownWord { similar: None, .. } => {
                "`coax explain` without a word lists them all".into()
            }
            Self::SameProject { .. } => "put both into one file".into(),
            _ => return None,
        })
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Api(ClientError::Refused(problem)) if matches!(problem.status, 401 | 403) => {
                Exit::Denied
            }
            Self::Api(ClientError::Unreachable { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                Exit::Denied
            }
            _ => Exit::Error,
        }
    }

    /// What the user reads on stderr.
    pub fn render(&self, colour: bool) -> String {
        match self {
            Self::Api(ClientError::Refused(problem)) => return problems(problem, colour),
            Self::BadFile { file, mistakes } => return mistakes_in(file, mistakes, colour),
            _ => {}
        }
        let mut text = headline(self.code(), &without_numbers(&self.to_string()), colour);
        for (label, line) in [("why", self.why()), ("next", self.next())] {
            if let Some(line) = line {
                text.push_str(&remark(label, &line, colour));
            }
        }
        text
    }
}

fn controller_code(error: &coax_controller::Error) -> &'static str {
    use coax_controller::Error;
    match error {
        Error::StateFolder { .. } => "state-folder",
        Error::Store(_) => "store-failed",
        Error::Records(_) => "store-damaged",
        Error::Api { .. } | Error::ApiInUse { .. } => "api-address",
        Error::Agents { .. } | Error::Transport(_) => "agents-address",
        Error::System { .. } => "kernel-refused",
        Error::CoreStopped => "task-ended",
    }
}

fn agent_code(error: &coax_agent::Error) -> &'static str {
    use coax_agent::Error;
    match error {
        Error::NoUplink { .. } => "no-uplink",
        Error::NoVtep => "host-without-address",
        Error::ControllerUrl { .. } => "controller-address",
        Error::State { .. } => "state-folder",
        Error::Netlink(_) | Error::System { .. } => "kernel-refused",
        Error::DataPlane(_) => "data-plane",
        Error::NothingToDo => "nothing-to-do",
        Error::TaskEnded { .. } => "task-ended",
    }
}

fn next_after(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Unreachable { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            Some("run the command as root: `sudo coax …`".into())
        }
        ClientError::Unreachable { .. } => {
            Some("is it running? `coax lab list`, or `systemctl status coax-controller`".into())
        }
        ClientError::Transport { .. } => {
            Some("try again; if it stays, read the controller's log".into())
        }
        ClientError::BadPath { .. } => Some("names consist of a-z, 0-9 and -".into()),
        ClientError::Unexpected { .. } => {
            Some("client and controller should be of the same version: `coax status`".into())
        }
        ClientError::Refused(problem) => Some(problem.hint.clone()),
    }
}

/// A problem of the controller with all that came along with it.
fn problems(problem: &Problem, colour: bool) -> String {
    let all = std::iter::once(problem).chain(&problem.more);
    all.map(|problem| {
        let mut text = headline(&problem.code, &problem.message, colour);
        if let Some(field) = &problem.field {
            text.push_str(&remark("field", field, colour));
        }
        if !problem.hint.is_empty() {
            text.push_str(&remark("next", &problem.hint, colour));
        }
        text
    })
    .collect::<Vec<_>>()
    .join("\n")
}

/// Without the numbers of the system's errors, which say nothing that the words before do not.
fn without_numbers(message: &str) -> String {
    match message.split_once(" (os error ") {
        Some((before, after)) => {
            let after = after.split_once(')').map_or("", |(_, after)| after);
            format!("{before}{}", without_numbers(after))
        }
        None => message.to_owned(),
    }
}

/// The mistakes of a file, each with its line and a caret.
fn mistakes_in(source: &Source, mistakes: &[Mistake], colour: bool) -> String {
    mistakes
        .iter()
        .map(|it| headline(&it.code, &it.message, colour) + &source.point_at(it))
        .collect::<Vec<_>>()
        .join("\n")
}

/// `error[code]: message`.
pub fn headline(code: &str, message: &str, colour: bool) -> String {
    let mark = console::style(format!("error[{code}]:"))
        .red()
        .bold()
        .force_styling(colour);
    format!("{mark} {message}\n")
}

/// An indented line below a headline.
pub fn remark(label: &str, text: &str, colour: bool) -> String {
    let mark = console::style(format!("{label}:"))
        .cyan()
        .force_styling(colour);
    format!("  {mark} {text}\n")
}

//! Stack files, and the operator's file of rails: reading them, and pointing at the line that is wrong, also when it is the controller
//! that found the mistake.

use std::io::Read;
use std::path::{Path, PathBuf};

use coax_api::check::IGNORE_CHECKS;
use coax_api::{Plan, Problem, ProofState};
use coax_model::diagnostic::render;
use coax_model::{Diagnostic, FieldPath, File, Place, Places};
use serde::Serialize;

use crate::error::CliError;

/// A file as it was read.
#[derive(Clone, Debug)]
pub struct Stack {
    /// What it says.
    pub file: File,
    /// Where it came from.
    pub source: Source,
}

/// The text of a file, and what to call it in messages.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path as it was given; `-` is the standard input.
    pub path: PathBuf,
    /// The text.
    pub text: String,
}

/// One mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// A stable name for the kind of mistake.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// The way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Where it is in the text.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

impl Source {
    /// Reads a file, or the standard input if the path is `-`.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let text = if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin()
                .lock()
                .read_to_string(&mut text)
                .map(|_| text)
        } else {
            std::fs::read_to_string(path)
        };
        let path = path.to_owned();
        match text {
            Ok(text) => Ok(Self { path, text }),
            Err(source) => Err(CliError::Unreadable { path, source }),
        }
    }

    /// What the file is called in messages.
    pub fn name(&self) -> String {
        match self.path.to_str() {
            Some("-") => "standard input".into(),
            _ => self.path.display().to_string(),
        }
    }

    /// Understands the text.
    pub fn parse(self) -> Result<Stack, CliError> {
        match File::parse(&self.text) {
            Ok(file) => Ok(Stack { file, source: self }),
            Err(diagnostic) => Err(self.bad(vec![diagnostic.into()])),
        }
    }

    /// The error that these mistakes are.
    pub fn bad(self, mistakes: Vec<Mistake>) -> CliError {
        CliError::BadFile {
            file: self,
            mistakes,
        }
    }

    /// A mistake below its headline: place, line, caret, hint.
    pub fn point_at(&self, mistake: &Mistake) -> String {
        let field = mistake.field.as_deref().map(path_of);
        let hint = mistake.hint.as_deref();
        let drawn = render(
            &mistake.message,
            hint,
            field.as_ref(),
            mistake.place,
            &self.name(),
            &self.text,
        );
        let body = drawn.split_once('\n').map_or("", |(_, body)| body);
        format!("{body}\n")
    }
}

impl Stack {
    /// Reads and understands the files; each must be of another project.
    pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Self>, CliError> {
        let mut stacks: Vec<Self> = Vec::new();
        for path in paths {
            let stack = Source::read(path)?.parse()?;
            if let Some(first) = stacks
                .iter()
                .find(|it| it.file.project() == stack.file.project())
            {
                return Err(CliError::SameProject {
                    project: stack.file.project().to_string(),
                    first: first.source.path.clone(),
                    second: stack.source.path,
                });
            }
            stacks.push(stack);
        }
        Ok(stacks)
    }

    /// The controller's refusal, pointed at the lines of this file; any other error as it is.
    pub fn blame(&self, error: coax_api::ClientError) -> CliError {
        let Some(problem) = error.problem() else {
            return error.into();
        };
        if std::iter::once(problem)
            .chain(&problem.more)
            .all(|it| it.field.is_none())
        {
            return error.into();
        }
        let places = Places::of(&self.source.text);
        let all = std::iter::once(problem).chain(&problem.more);
        let mistakes = all
            .map(|problem| Mistake::of_problem(problem, &places))
            .collect();
        self.source.clone().bad(mistakes)
    }
}

impl Stack {
    /// The error that it is if checks fail after this file.
    pub fn blame_checks(&self, plan: &Plan) -> Option<CliError> {
        let places = Places::of(&self.source.text);
        let failing = plan
            .checks
            .iter()
            .filter(|it| it.state == ProofState::Fails);
        let mistakes: Vec<Mistake> = failing
            .map(|check| {
                let problem = Problem::new(422, "check-fails", "", &check.sentence, IGNORE_CHECKS);
                let problem = problem.at(format!("checks[{}]", check.place));
                Mistake::of_problem(&problem, &places)
            })
            .collect();
        (!mistakes.is_empty()).then(|| self.source.clone().bad(mistakes))
    }
}

impl Mistake {
    fn of_problem(problem: &Problem, places: &Places) -> Self {
        let place = problem
            .field
            .as_deref()
            .and_then(|field| places.find(&path_of(field)));
        Self {
            code: problem.code.clone(),
            message: problem.message.clone(),
            hint: (!problem.hint.is_empty()).then(|| problem.hint.clone()),
            field: problem.field.clone(),
            place,
        }
    }
}

impl From<Diagnostic> for Mistake {
    fn from(diagnostic: Diagnostic) -> Self {
        let field = diagnostic.path.filter(|path| !path.0.is_empty());
        Self {
            code: diagnostic.code.to_owned(),
            message: diagnostic.message,
            hint: diagnostic.hint,
            field: field.map(|path| path.to_string()),
            place: diagnostic.place,
        }
    }
}

fn path_of(field: &str) -> FieldPath {
    let Ok(path) = field.parse();
    path
}

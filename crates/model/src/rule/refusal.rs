//! Broken rules, with the fields that break them.

use thiserror::Error;

use super::Rule;
use crate::diagnostic::{Diagnostic, FieldPath};

/// A rule that is broken, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {rule}")]
pub struct Refusal {
    /// The field to look at, as `ports.web-1.mac`.
    pub path: FieldPath,
    /// The rule.
    #[source]
    pub rule: Rule,
}

impl Refusal {
    /// The same in words.
    pub fn diagnostic(&self) -> Diagnostic {
        Diagnostic {
            code: self.rule.code(),
            message: self.rule.to_string(),
            hint: Some(self.rule.hint()),
            path: Some(self.path.clone()),
            place: None,
        }
    }
}

/// Every rule that is broken; never empty when it is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
#[error("{}", self.0.iter().map(Refusal::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Refusals(pub Vec<Refusal>);

impl Refusals {
    /// Notes a broken rule.
    pub fn push(&mut self, path: FieldPath, rule: impl Into<Rule>) {
        let rule = rule.into();
        self.0.push(Refusal { path, rule });
    }

    /// The value if nothing was refused.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

//! From what a user types (`web-1`, `shop/web-1`) to the one object it means.

use crate::error::CliError;
use coax_model::nearest;

/// A name as typed, split where it says the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The project, if it is known.
    pub project: Option<String>,
    /// The name inside it.
    pub name: String,
}

impl Wanted {
    /// Splits `project/name`; `--project` counts where the name does not say.
    pub fn new(typed: &str, project: Option<&str>) -> Self {
        match typed.split_once('/') {
            Some((project, name)) => Self {
                project: Some(project.into()),
                name: name.into(),
            },
            None => Self {
                project: project.map(str::to_owned),
                name: typed.into(),
            },
        }
    }

    /// The one of `known` (project and name) that is meant.
    pub fn find(
        &self,
        kind: &'static str,
        known: &[(&str, &str)],
    ) -> Result<(String, String), CliError> {
        let in_project = |project: &str| self.project.as_deref().is_none_or(|it| it == project);
        let matches: Vec<_> = known
            .iter()
            .filter(|(project, name)| *name == self.name && in_project(project))
            .collect();
        match matches.as_slice() {
            [(project, name)] => Ok(((*project).to_owned(), (*name).to_owned())),
            [] => Err(self.unknown(kind, known)),
            several => Err(CliError::AmbiguousObject {
                kind,
                name: self.name.clone(),
                candidates: several
                    .iter()
                    .map(|(project, name)| full(project, name))
                    .collect(),
            }),
        }
    }

    fn unknown(&self, kind: &'static str, known: &[(&str, &str)]) -> CliError {
        let known_project = |wanted: &str| known.iter().any(|(project, _)| *project == wanted);
        let similar = match &self.project {
            Some(project) if known_project(project) => {
                let inside = known.iter().filter(|(it, _)| it == project);
                nearest(&self.name, inside.map(|(_, name)| *name)).map(|name| full(project, name))
            }
            Some(project) => nearest(project, known.iter().map(|(project, _)| *project))
                .map(|project| full(project, &self.name)),
            None => nearest(&self.name, known.iter().map(|(_, name)| *name)).map(str::to_owned),
        };
        CliError::NoSuchObject {
            kind,
            name: self.name.clone(),
            similar,
            project: self.project.clone().filter(|project| !project.is_empty()),
        }
    }
}

/// Objects that belong to nobody have the project "".
fn full(project: &str, name: &str) -> String {
    match project {
        "" => name.to_owned(),
        _ => format!("{project}/{name}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const KNOWN: [(&str, &str); 3] = [("shop", "web-1"), ("shop", "db-1"), ("bank", "web-1")];

    fn find(typed: &str, project: Option<&str>) -> Result<(String, String), CliError> {
        Wanted::new(typed, project).find("port", &KNOWN)
    }

    #[test]
    fn a_name_that_only_one_project_has_is_enough() {
        assert_eq!(find("db-1", None).unwrap(), ("shop".into(), "db-1".into()));
        assert_eq!(
            find("bank/web-1", Some("shop")).unwrap(),
            ("bank".into(), "web-1".into())
        );
        assert_eq!(
            find("web-1", Some("bank")).unwrap(),
            ("bank".into(), "web-1".into())
        );
    }

    #[test]
    fn a_name_that_two_projects_have_is_not() {
        let refused = find("web-1", None).unwrap_err();
        assert!(
            refused.to_string().contains("shop/web-1, bank/web-1"),
            "{refused}"
        );
    }

    #[test]
    fn a_mistyped_name_is_suggested() {
        let CliError::NoSuchObject { similar, .. } = find("shop/wbe-1", None).unwrap_err() else {
            unreachable!("an unknown name");
        };
        assert_eq!(similar.as_deref(), Some("shop/web-1"));
    }
}

//! What is wrong, in the form in which people and machines get to read it: a code, a sentence, a way
//! out, the field and, when the text of the file is at hand, the line, the column and a caret.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One step of a [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into the entry of a table with this key.
    Key(String),
    /// Into the item of a list with this number, from 0.
    Item(usize),
}

/// The way to a field of a stack file: `ports.web-1.addresses[0]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldPath(pub Vec<Step>);

impl FieldPath {
    /// The path of nested keys.
    pub fn keys(keys: &[&str]) -> Self {
        Self(keys.iter().map(|&key| Step::Key(key.to_owned())).collect())
    }

    /// The path of one key more.
    pub fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    /// The path of an item of the list here.
    pub fn item(&self, number: usize) -> Self {
        self.then(Step::Item(number))
    }

    fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(number) => write!(f, "[{number}]")?,
            }
        }
        Ok(())
    }
}

impl FromStr for FieldPath {
    type Err = std::convert::Infallible;

    /// Reads what [`FieldPath`] writes. Text that is no path becomes keys, which lead nowhere.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut steps = Vec::new();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let (key, items) = part.split_at(part.find('[').unwrap_or(part.len()));
            if !key.is_empty() {
                steps.push(Step::Key(key.to_owned()));
            }
            let numbers = items
                .split(['[', ']'])
                .filter_map(|number| number.parse().ok());
            steps.extend(numbers.map(Step::Item));
        }
        Ok(Self(steps))
    }
}

/// A place in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// Something wrong, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// A name for machines that never changes.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
    /// The field.
    pub path: Option<FieldPath>,
    /// Where it is in the text.
    pub place: Option<Place>,
}

impl Diagnostic {
    /// Draws it as compilers do: message, place, line with caret, way out.
    pub fn render(&self, file: &str, text: &str) -> String {
        render(
            &self.message,
            self.hint.as_deref(),
            self.path.as_ref(),
            self.place,
            file,
            text,
        )
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "line {}, column {}: ", place.line, place.column)?;
        }
        if let Some(path) = self.path.as_ref().filter(|path| !path.0.is_empty()) {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Draws a message as compilers do. Free of [`Diagnostic`], so that what a server answered can be
/// drawn the same way.
pub fn render(
    message: &str,
    hint: Option<&str>,
    path: Option<&FieldPath>,
    place: Option<Place>,
    file: &str,
    text: &str,
) -> String {
    let mut lines = vec![format!("error: {message}")];
    let field = path.filter(|path| !path.0.is_empty());
    let field = field.map_or_else(String::new, |path| format!(" ({path})"));
    if let Some(place) = place {
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        lines.push(format!(
            "{margin}--> {file}:{}:{}{field}",
            place.line, place.column
        ));
        if let Some(source) = text.lines().nth(place.line.saturating_sub(1)) {
            let before: String = source
                .chars()
                .take(place.column.saturating_sub(1))
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            lines.push(format!("{margin} |"));
            lines.push(format!("{number} | {source}"));
            lines.push(format!("{margin} | {before}^"));
        }
        lines.extend(hint.map(|hint| format!("{margin} = {hint}")));
    } else {
        lines.push(format!("  --> {file}{field}"));
        lines.extend(hint.map(|hint| format!("  = {hint}")));
    }
    lines.join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_their_text() {
        let path = FieldPath::keys(&["ports", "web-1", "addresses"]).item(3);
        assert_eq!(path.to_string(), "ports.web-1.addresses[3]");
        assert_eq!(path.to_string().parse::<FieldPath>().unwrap(), path);
    }

    #[test]
    fn a_caret_points_at_the_column() {
        let diagnostic = Diagnostic {
            code: "x",
            message: "no such thing".into(),
            hint: Some("write another".into()),
            path: Some(FieldPath::keys(&["a"])),
            place: Some(Place { line: 2, column: 4 }),
        };
        let expected =
            "error: no such thing\n --> f.yaml:2:4 (a)\n  |\n2 | a: b\n  |    ^\n  = write another";
        assert_eq!(diagnostic.render("f.yaml", "x: 1\na: b\n"), expected);
    }
}

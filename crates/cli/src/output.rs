//! What a command prints. Data goes to stdout in the format of `-o`; everything said beside it (hints,
//! progress) goes to stderr and is silent with `--quiet`.
//!
//! `json` and `yaml` are the objects of the REST interface as they were received; `table` and `wide`
//! are for people and may change; `name` is one full name per line, to be fed to the next command.

use std::io::{self, IsTerminal, Write};

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::error::CliError;

/// Width of tables where the terminal does not say.
const DEFAULT_WIDTH: u16 = 80;

/// The format of data on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people, as wide as the terminal.
    #[default]
    Table,
    /// All columns.
    Wide,
    /// The REST schema.
    Json,
    /// The REST schema as YAML.
    Yaml,
    /// Full names only, one per line.
    Name,
}

/// Something that has a line in a table.
pub trait Listed: Serialize {
    /// What several of them are called: `ports`.
    const PLURAL: &'static str;
    /// How one comes into being, said beside an empty list.
    const FILLED_BY: &'static str = "`coax apply -f FILE` creates them";
    /// Headings of `table`.
    const COLUMNS: &'static [&'static str];
    /// Further headings of `wide`.
    const MORE: &'static [&'static str];

    /// Cells under `COLUMNS`, and with `wide` those under `MORE` too.
    fn cells(&self, wide: bool) -> Vec<String>;

    /// The full name.
    fn full_name(&self) -> String;
}

/// Something that `show` prints as a list of properties.
pub trait Shown: Listed {
    /// Property and value, in the order of importance. Empty values are left out.
    fn properties(&self) -> Vec<(&'static str, String)>;
}

/// Where and how a command prints.
#[derive(Clone, Debug)]
pub struct Output {
    /// Format of data.
    pub format: Format,
    /// Whether stderr stays silent unless something is wrong.
    pub quiet: bool,
    /// Whether colours may be used.
    pub colour: bool,
    /// Columns that a table may take; none: as many as it needs.
    pub width: Option<u16>,
}

impl Output {
    /// As the terminal and the environment suggest. A pipe gets unwrapped lines, which tools can read.
    pub fn detect(format: Format, quiet: bool, no_color: bool) -> Self {
        let unwanted =
            no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = columns().or_else(|| {
            let terminal = io::stdout().is_terminal();
            terminal
                .then(|| console::Term::stdout().size().1)
                .map(|it| if it == 0 { DEFAULT_WIDTH } else { it })
        });
        Self {
            format,
            quiet,
            colour: !unwanted && io::stderr().is_terminal(),
            width,
        }
    }

    /// A list in the chosen format, on stdout.
    pub fn list<T: Listed>(&self, items: &[T]) -> Result<(), CliError> {
        self.data(&self.render_list(items)?)
    }

    /// One object in the chosen format, on stdout.
    pub fn object<T: Shown>(&self, item: &T) -> Result<(), CliError> {
        self.data(&self.render_object(item)?)
    }

    /// A value that has its own layout for people.
    pub fn value<T: Serialize>(
        &self,
        value: &T,
        names: impl FnOnce(&T) -> Vec<String>,
        people: impl FnOnce(&T) -> String,
    ) -> Result<(), CliError> {
        let text = match self.format {
            Format::Table | Format::Wide => people(value),
            Format::Name => lines(names(value)),
            Format::Json => json(value)?,
            Format::Yaml => yaml(value)?,
        };
        self.data(&text)
    }

    /// The text of [`Self::list`].
    pub fn render_list<T: Listed>(&self, items: &[T]) -> Result<String, CliError> {
        Ok(match self.format {
            Format::Table => self.table(T::COLUMNS, items.iter().map(|item| item.cells(false))),
            Format::Wide => {
                let columns = [T::COLUMNS, T::MORE].concat();
                self.table(&columns, items.iter().map(|item| item.cells(true)))
            }
            Format::Name => lines(items.iter().map(Listed::full_name)),
            Format::Json => json(&items)?,
            Format::Yaml => yaml(&items)?,
        })
    }

    /// The text of [`Self::object`].
    pub fn render_object<T: Shown>(&self, item: &T) -> Result<String, CliError> {
        Ok(match self.format {
            Format::Table | Format::Wide => self.properties(item.properties()),
            Format::Name => lines([item.full_name()]),
            Format::Json => json(item)?,
            Format::Yaml => yaml(item)?,
        })
    }

    /// A table, numbers to the right; nothing at all if there is no row.
    pub fn table(&self, columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
        let rows: Vec<Vec<String>> = rows.into_iter().collect();
        if rows.is_empty() {
            return String::new();
        }
        let mut table = self.bare_table();
        table.set_header(columns.iter().copied());
        table.add_rows(&rows);
        self.keep_names_whole(&mut table, &rows);
        for (index, column) in table.column_iter_mut().enumerate() {
            let numeric = |cell: &String| cell.chars().all(|c| c.is_ascii_digit());
            if rows.iter().filter_map(|row| row.get(index)).all(numeric) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        trimmed(&table)
    }

    /// A name broken into two lines cannot be copied: other columns give way first, unless the names
    /// take more than half of the terminal.
    fn keep_names_whole(&self, table: &mut Table, rows: &[Vec<String>]) {
        let longest = rows
            .iter()
            .filter_map(|row| row.first())
            .map(|cell| cell.chars().count());
        let fits = longest.max().is_some_and(|it| it <= self.prose_width() / 2);
        if let (true, Some(column)) = (fits, table.column_mut(0)) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }

    /// Properties, one per line, those without a value left out.
    pub fn properties(
        &self,
        properties: impl IntoIterator<Item = (&'static str, String)>,
    ) -> String {
        let mut table = self.bare_table();
        let present = properties
            .into_iter()
            .filter(|(_, value)| !value.is_empty());
        table.add_rows(present.map(|(name, value)| vec![format!("{name}:"), value]));
        trimmed(&table)
    }

    fn bare_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        match self.width {
            Some(width) if self.format != Format::Wide => table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width),
            _ => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        table
    }

    /// Columns that prose may take: text in one endless line helps nobody, not even in a pipe.
    pub fn prose_width(&self) -> usize {
        usize::from(self.width.unwrap_or(DEFAULT_WIDTH))
    }

    /// Text on stdout. A reader that has gone away (`coax port list | head -1`) is no error.
    pub fn data(&self, text: &str) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(source) => Err(CliError::Stdout { source }),
            Ok(()) => Ok(()),
        }
    }

    /// A remark on stderr, unless `--quiet`.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            complain(text);
        }
    }

    /// A warning on stderr, also with `--quiet`.
    pub fn warn(&self, text: &str) {
        let mark = console::style("warning:")
            .yellow()
            .bold()
            .force_styling(self.colour);
        complain(&format!("{mark} {text}"));
    }
}

/// The width that the environment asks for.
fn columns() -> Option<u16> {
    std::env::var("COLUMNS")
        .ok()?
        .parse()
        .ok()
        .filter(|columns| *columns >= 20)
}

/// A line on stderr. If even that fails there is nobody left to tell.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn lines(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().map(|item| item + "\n").collect()
}

/// Pretty JSON with a newline at its end.
pub fn json(value: &impl Serialize) -> Result<String, CliError> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|source| CliError::Json { source })
}

/// YAML with a newline at its end.
pub fn yaml(value: &impl Serialize) -> Result<String, CliError> {
    let text = serde_saphyr::to_string(value).map_err(|source| CliError::Yaml { source })?;
    Ok(if text.ends_with('\n') {
        text
    } else {
        text + "\n"
    })
}

/// The table's lines without the blanks that pad its first and last column.
fn trimmed(table: &Table) -> String {
    let text = table.to_string();
    lines(text.lines().map(|line| {
        let line = line.strip_prefix(' ').unwrap_or(line);
        line.trim_end().to_owned()
    }))
}

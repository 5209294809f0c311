//! What is on the screen, and what keys change. Nothing is said by colour alone.

use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell as Field, Paragraph, Row, Table as Rows};

use super::table::{Table, View};
use super::view::{Looks, Sample};

/// The keys, on the last line.
const HELP: &str = "q quit  1-4 or Tab view  s sort  r reverse  p pause  ↑ ↓ PgUp PgDn scroll";
/// Rows that a page key goes over.
const PAGE: usize = 10;

/// Everything that is shown.
pub struct Screen {
    looks: Looks,
    view: View,
    /// By which column the view is sorted, and whether the largest comes first.
    order: (usize, bool),
    /// The first row that is shown.
    top: usize,
    interval: Duration,
    paused: bool,
    over: bool,
}

impl Screen {
    /// Before the first look.
    pub fn new(view: View, interval: Duration) -> Self {
        Self {
            looks: Looks::default(),
            view,
            order: view.order(),
            top: 0,
            interval,
            paused: false,
            over: false,
        }
    }

    /// Looked again.
    pub fn take(&mut self, sample: Sample) {
        self.looks.take(sample);
    }

    /// What is looked at.
    pub fn view(&self) -> View {
        self.view
    }

    /// Whether nothing is to change for now.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether somebody wants to leave.
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn show(&mut self, view: View) {
        (self.view, self.order, self.top) = (view, view.order(), 0);
    }

    /// A key was pressed.
    pub fn press(&mut self, key: KeyEvent) {
        if key.kind == KeyEventKind::Release {
            return;
        }
        let place = View::ALL.iter().position(|view| *view == self.view);
        let place = place.unwrap_or(0);
        let step = |by: usize| View::ALL[(place + by) % View::ALL.len()];
        match key.code {
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.over = true;
            }
            KeyCode::Char('q') | KeyCode::Esc => self.over = true,
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Char('r') => self.order.1 = !self.order.1,
            KeyCode::Char('s') => {
                self.order.0 = (self.order.0 + 1) % self.view.columns().len();
            }
            KeyCode::Char(digit @ '1'..='4') => {
                let digit = digit.to_digit(10).unwrap_or(1) as usize;
                self.show(View::ALL[digit - 1]);
            }
            KeyCode::Tab | KeyCode::Right => self.show(step(1)),
            KeyCode::BackTab | KeyCode::Left => self.show(step(View::ALL.len() - 1)),
            KeyCode::Down => self.top += 1,
            KeyCode::Up => self.top = self.top.saturating_sub(1),
            KeyCode::PageDown => self.top += PAGE,
            KeyCode::PageUp => self.top = self.top.saturating_sub(PAGE),
            KeyCode::Home => self.top = 0,
            _ => {}
        }
    }

    /// Draws it.
    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let mut table = self.looks.table(self.view);
        let (column, largest_first) = self.order;
        table.sort(column, largest_first);
        self.top = self.top.min(table.rows.len().saturating_sub(1));
        let [head, body, notes, help] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(1),
            Constraint::Length(u16::from(!table.missing.is_empty())),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(Paragraph::new(self.head(&table)), head);
        match &table.unknown {
            Some(reason) => frame.render_widget(Paragraph::new(reason.as_str()), body),
            None => frame.render_widget(self.rows(&table), body),
        }
        let missing = format!("not in these numbers: {}", table.missing.join(", "));
        frame.render_widget(Paragraph::new(missing), notes);
        frame.render_widget(Paragraph::new(HELP), help);
    }

    /// The views, the present one in brackets, and how old the picture may be.
    fn head(&self, table: &Table) -> Line<'static> {
        let mut spans = vec![Span::styled("coax top ", Modifier::BOLD)];
        for (number, view) in View::ALL.iter().enumerate() {
            let name = format!("{} {}", number + 1, view.title());
            spans.push(match *view == self.view {
                true => Span::styled(format!("[{name}]"), Modifier::REVERSED),
                false => Span::raw(format!(" {name} ")),
            });
        }
        let count = table.rows.len();
        let age = match self.paused {
            true => "paused".to_owned(),
            false => format!("every {} s", self.interval.as_secs_f64()),
        };
        spans.push(Span::raw(format!("  {count} rows, {age}")));
        Line::from(spans)
    }

    fn rows(&self, table: &Table) -> Rows<'static> {
        let columns = self.view.columns();
        let (sorted, largest_first) = self.order;
        let titles = columns.iter().enumerate().map(|(place, column)| {
            let mark = match (place == sorted, largest_first) {
                (true, true) => "▼",
                (true, false) => "▲",
                (false, _) => "",
            };
            Field::from(format!("{}{mark}", column.title))
        });
        let shown = table.rows.iter().skip(self.top);
        let rows = shown.map(|row| {
            Row::new(row.iter().map(|cell| {
                let side = match cell.is_number() {
                    true => Alignment::Right,
                    false => Alignment::Left,
                };
                Field::from(Text::from(cell.text()).alignment(side))
            }))
        });
        let widths = columns.iter().map(|column| Constraint::Min(column.width));
        Rows::new(rows, widths)
            .header(Row::new(titles).style(Style::new().add_modifier(Modifier::BOLD)))
            .column_spacing(1)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::commands::top::view::tests::looks;

    fn drawn(screen: &mut Screen, (width, height): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let lines = buffer.content().chunks(usize::from(width));
        lines
            .map(|line| {
                let line: String = line.iter().map(|cell| cell.symbol()).collect();
                format!("{}\n", line.trim_end())
            })
            .collect()
    }

    fn screen() -> Screen {
        let mut screen = Screen::new(View::Ports, Duration::from_secs(2));
        looks().into_iter().for_each(|look| screen.take(look));
        screen
    }

    fn press(screen: &mut Screen, code: KeyCode) {
        screen.press(KeyEvent::new(code, KeyModifiers::NONE));
    }

    #[test]
    fn the_busiest_port_stands_first() {
        insta::assert_snapshot!(drawn(&mut screen(), (96, 8)));
    }

    #[test]
    fn keys_sort_scroll_and_change_the_view() {
        let mut screen = screen();
        // By name, the last one first; and one row further.
        for code in [KeyCode::Char('s'); 5] {
            press(&mut screen, code);
        }
        press(&mut screen, KeyCode::Down);
        let by_name = drawn(&mut screen, (96, 8));
        assert!(by_name.contains("PORT▼"), "{by_name}");
        assert!(
            !by_name.contains("web-2") && by_name.contains("web-1"),
            "{by_name}"
        );
        press(&mut screen, KeyCode::Char('3'));
        let drops = drawn(&mut screen, (96, 8));
        assert!(
            drops.contains("[3 drops]") && drops.contains("denied"),
            "{drops}"
        );
        press(&mut screen, KeyCode::Tab);
        assert_eq!(screen.view(), View::Connections);
        press(&mut screen, KeyCode::Right);
        assert_eq!(screen.view(), View::Ports);
        press(&mut screen, KeyCode::Char('p'));
        assert!(screen.is_paused() && drawn(&mut screen, (96, 8)).contains("paused"));
        assert!(!screen.is_over());
        screen.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(screen.is_over());
    }

    #[test]
    fn no_terminal_is_too_small() {
        let mut screen = screen();
        for size in [(1, 1), (20, 2), (80, 24), (300, 100)] {
            assert!(!drawn(&mut screen, size).is_empty());
        }
    }
}

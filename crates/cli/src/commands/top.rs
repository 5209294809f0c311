//! `coax top`: what hosts and ports do now, looked at again and again; `--once` prints it as any other list.
//!
//! | module | holds |
//! | --- | --- |
//! | `table` | views, their columns and rows |
//! | `view` | from two looks at the counters to rows with rates; pure |
//! | `screen` | what is on the screen, and what keys change; pure |

mod screen;
mod table;
mod view;

use std::io::IsTerminal;
use std::pin::Pin;
use std::time::{Duration, Instant};

use coax_api::connections::ConnectionFilter;
use coax_api::{Client, ClientError};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::commands::Outcome;
use crate::commands::apply::duration;
use crate::connection::ConnectionArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Format, Output};
use screen::Screen;
use table::{Cell, View};
use view::{Looks, Sample};

/// Looks do not follow each other faster.
const SHORTEST: Duration = Duration::from_millis(100);
/// Keys that wait to be handled.
const KEYS: usize = 64;

/// Flags of `coax top`.
#[derive(Debug, clap::Args)]
pub struct TopArgs {
    /// What is shown first
    #[arg(value_enum, default_value_t)]
    pub view: View,
    /// Print it once, as a table, and end
    #[arg(long)]
    pub once: bool,
    /// Time between two looks
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2s")]
    pub interval: Duration,
    /// Which controller.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs it.
pub async fn run(args: &TopArgs, output: &Output) -> Outcome {
    let client = args.connection.client()?;
    // Where nothing is to be seen at all, the terminal stays as it is.
    let first = needed(look(&client, args.view).await, args.view)?;
    if args.once {
        return once(args, &client, first, output).await;
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(CliError::NoTerminal);
    }
    let mut screen = Screen::new(args.view, args.interval);
    screen.take(first);
    let mut terminal = ratatui::try_init().map_err(terminal_failed)?;
    let ended = follow(&mut terminal, &mut screen, &client, args.interval).await;
    // Whatever happened, the terminal becomes what it was.
    ratatui::restore();
    ended?;
    Ok(Exit::Done)
}

fn terminal_failed(source: std::io::Error) -> CliError {
    CliError::Terminal { source }
}

/// Asks for what a view needs.
async fn look(client: &Client, view: View) -> Sample {
    let (counters, hosts) = tokio::join!(client.counters(), client.hosts());
    let connections = match view {
        View::Connections => Some(client.connections(&ConnectionFilter::default()).await),
        _ => None,
    };
    Sample {
        at: Instant::now(),
        counters,
        hosts,
        connections,
    }
}

/// The look, if what the view is about could be seen.
fn needed(sample: Sample, view: View) -> Result<Sample, ClientError> {
    Ok(match view {
        View::Hosts => Sample {
            hosts: Ok(sample.hosts?),
            ..sample
        },
        View::Connections => Sample {
            connections: sample.connections.transpose()?.map(Ok),
            ..sample
        },
        View::Ports | View::Drops => Sample {
            counters: Ok(sample.counters?),
            ..sample
        },
    })
}

async fn once(args: &TopArgs, client: &Client, first: Sample, output: &Output) -> Outcome {
    let mut looks = Looks::default();
    looks.take(first);
    if args.view.has_rates() {
        tokio::time::sleep(args.interval).await;
        looks.take(needed(look(client, args.view).await, args.view)?);
    }
    let table = looks.table(args.view);
    match output.format {
        Format::Json | Format::Yaml => {
            output.value(&table.objects(), |_| Vec::new(), |_| String::new())?
        }
        Format::Name => output.value(&(), |()| table.names(), |()| String::new())?,
        Format::Table | Format::Wide => {
            let columns: Vec<&str> = args.view.columns().iter().map(|it| it.title).collect();
            let rows = table.rows.iter();
            let rows = rows.map(|row| row.iter().map(Cell::text).collect());
            output.data(&output.table(&columns, rows))?;
        }
    }
    for host in &table.missing {
        output.warn(&format!("{host} is not in these numbers"));
    }
    match table.missing.is_empty() {
        true => Ok(Exit::Done),
        false => Ok(Exit::Warnings),
    }
}

/// Draws what is, until somebody wants to leave.
async fn follow(
    terminal: &mut DefaultTerminal,
    screen: &mut Screen,
    client: &Client,
    interval: Duration,
) -> Result<(), CliError> {
    let mut keys = keys();
    let mut terminated = signal(SignalKind::terminate()).map_err(terminal_failed)?;
    let mut hung_up = signal(SignalKind::hangup()).map_err(terminal_failed)?;
    let mut clock = tokio::time::interval(interval.max(SHORTEST));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock.tick().await;
    let mut asking: Option<Pin<Box<dyn Future<Output = Sample> + '_>>> = None;
    while !screen.is_over() {
        terminal
            .draw(|frame| screen.draw(frame))
            .map_err(terminal_failed)?;
        let view = screen.view();
        tokio::select! {
            biased;
            _ = terminated.recv() => break,
            _ = hung_up.recv() => break,
            event = keys.recv() => match event {
                Some(Event::Key(key)) => screen.press(key),
                Some(_) => {}
                None => break,
            },
            sample = answered(&mut asking) => {
                asking = None;
                screen.take(sample);
            }
            _ = clock.tick(), if asking.is_none() && !screen.is_paused() => {
                asking = Some(Box::pin(look(client, view)));
            }
        }
        if screen.view() != view && screen.view() == View::Connections {
            asking = Some(Box::pin(look(client, View::Connections)));
        }
    }
    Ok(())
}

/// What was asked for, when it comes; never, if nothing was.
async fn answered<F: Future + Unpin>(asking: &mut Option<F>) -> F::Output {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

/// What is typed. Reading waits, so a thread of its own does it, which ends with the process.
fn keys() -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(KEYS);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

//! `coax completion SHELL`, and what its scripts ask for: commands, flags, and the names of objects, which the controller of the line
//! that is being written is asked for.
//!
//! Which word is which object's name is read from the tree of commands, so a new command completes names without a line here.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{EnvCompleter, Shells};

use crate::args;
use crate::commands::Outcome;
use crate::exit::Exit;
use crate::output::Output;

/// By which the scripts ask the program to complete a line instead of running it; its value is the shell's name.
const VARIABLE: &str = "COAX_COMPLETE";
/// Who waits for names has a cursor that does not move.
const PATIENCE: Duration = Duration::from_secs(2);
/// Flags that say who answers, which a request for names takes over from the line.
const WHO_ANSWERS: [&str; 3] = ["--lab", "--api", "--from-bundle"];
/// Verbs whose names are new.
const NEW_NAMES: [&str; 2] = ["create", "invite"];

/// Flags of `coax completion`.
#[derive(Debug, clap::Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints the script.
pub fn run(args: &CompletionArgs, output: &Output) -> Outcome {
    let mut script = Vec::new();
    if let Some(shell) = completer(&args.shell.to_string()) {
        // Memory takes all that is written.
        let _ = shell.write_registration(VARIABLE, "coax", "coax", "coax", &mut script);
    }
    output.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Completes the line of `arguments` (program, `--`, words), if a shell's script asks for it.
pub fn answer(arguments: &[OsString]) -> Option<Exit> {
    let shell = std::env::var(VARIABLE).ok()?;
    let words = arguments.get(2..)?.to_vec();
    let mut tree = with_names(args::command(true), None, &words);
    let mut answer = Vec::new();
    let folder = std::env::current_dir().ok();
    let completed =
        completer(&shell)?.write_complete(&mut tree, words, folder.as_deref(), &mut answer);
    match completed.and_then(|()| std::io::Write::write_all(&mut std::io::stdout(), &answer)) {
        Ok(()) => Some(Exit::Done),
        Err(_) => Some(Exit::Error),
    }
}

fn completer(shell: &str) -> Option<&'static dyn EnvCompleter> {
    const SHELLS: Shells<'static> = Shells::builtins();
    SHELLS.completer(shell)
}

/// The tree with a source of names for every word that is one.
fn with_names(command: clap::Command, noun: Option<&str>, words: &[OsString]) -> clap::Command {
    let named = noun
        .filter(|_| !NEW_NAMES.contains(&command.get_name()))
        .map(str::to_owned);
    let command = command.mut_args(|argument| match kind(&argument, named.as_deref()) {
        Some(kind) => {
            let words = words.to_vec();
            argument.add(ArgValueCompleter::new(move |start: &OsStr| {
                candidates(&kind, &words, start)
            }))
        }
        None => argument,
    });
    let lists = command
        .get_subcommands()
        .any(|below| below.get_name() == "list");
    let noun = command.get_name().to_owned();
    command.mut_subcommands(|below| with_names(below, lists.then_some(&noun), words))
}

/// The noun whose name an argument is, below a noun or not.
fn kind(argument: &clap::Arg, noun: Option<&str>) -> Option<String> {
    if argument.get_value_parser().type_id() != TypeId::of::<String>() {
        return None;
    }
    let value = argument.get_value_names()?.first()?.as_str();
    match (value, argument.get_long()) {
        ("PROJECT" | "HOST" | "PORT" | "LAB", _) => Some(value.to_ascii_lowercase()),
        ("FROM" | "TO", None) => Some("port".to_owned()),
        ("NAME", Some("lab")) => Some("lab".to_owned()),
        ("NAME", None) => noun.map(str::to_owned),
        _ => None,
    }
}

/// Names of a kind that begin as the word does; none if nobody answers.
fn candidates(kind: &str, words: &[OsString], start: &OsStr) -> Vec<CompletionCandidate> {
    let (Some(start), Ok(program)) = (start.to_str(), std::env::current_exe()) else {
        return Vec::new();
    };
    let mut command = Command::new(program);
    command
        .args([kind, "list", "-o", "name", "--quiet"])
        .args(who_answers(kind, words));
    command
        .env_remove(VARIABLE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let text = command.spawn().ok().and_then(printed).unwrap_or_default();
    let names = text
        .lines()
        .filter(|name| name.starts_with(start) && is_plain(name));
    names.map(CompletionCandidate::new).collect()
}

/// The flags of a line that say who answers. Labs are files of this machine.
fn who_answers(kind: &str, words: &[OsString]) -> Vec<String> {
    if kind == "lab" {
        return Vec::new();
    }
    // Some shells make three words of `--lab=NAME`.
    let parts = words.iter().flat_map(|word| {
        let text = word.to_string_lossy().into_owned();
        match text.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => {
                vec![flag.to_owned(), value.to_owned()]
            }
            _ => vec![text],
        }
    });
    let parts: Vec<String> = parts
        .filter(|part| !part.is_empty() && part != "=")
        .collect();
    let pairs = parts.windows(2);
    let flags = pairs.filter(|pair| WHO_ANSWERS.iter().any(|flag| pair[0] == *flag));
    flags.flatten().cloned().collect()
}

/// What a program prints, if it ends in time.
fn printed(mut child: Child) -> Option<String> {
    let mut stdout = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.read_to_string(&mut text);
        // Nobody waits any more if it took too long.
        let _ = sender.send(read.map(|_| text));
    });
    let text = receiver.recv_timeout(PATIENCE).ok().and_then(Result::ok);
    // One that has ended cannot be killed, and need not be.
    let _ = child.kill();
    let _ = child.wait();
    text
}

/// Shells expand some characters of what completes a word, and a dash makes a flag of it. Names have none of them; whoever answers
/// may send others.
fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || "-_./:@".contains(it))
}

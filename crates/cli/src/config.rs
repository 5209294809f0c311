//! Configuration files of the daemons: any flag of `coax controller` or `coax agent` may stand in a
//! file, as `flag: value`. So there is one list of settings, the one that `--help` prints.
//!
//! What is said on the command line counts, then the environment, then the file. A daemon that is started
//! without any flag reads the file of this machine.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::Command;
use coax_model::nearest;

use crate::error::CliError;

/// Where the files of a real machine are.
pub const FOLDER: &str = "/etc/coax";
/// Flags of every command that take a value.
const WITH_VALUE: [&str; 2] = ["-o", "--output"];

/// A value in a file.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Value {
    Switch(bool),
    Number(i64),
    Text(String),
    List(Vec<String>),
}

type Settings = std::collections::BTreeMap<String, Value>;

/// Adds what the configuration file of a daemon says to a command line that starts one.
pub fn expand(arguments: Vec<OsString>, command: &Command) -> Result<Vec<OsString>, CliError> {
    let Some((place, daemon)) = daemon(&arguments, command) else {
        return Ok(arguments);
    };
    let (line, rest) = arguments.split_at(place + 1);
    let given = given_file(rest);
    let path = match given {
        Some(path) => path,
        // Who says how to run a daemon means just that.
        None if !rest.is_empty() => return Ok(arguments),
        None => {
            let path = Path::new(FOLDER).join(format!("{}.yaml", daemon.get_name()));
            if !path.exists() {
                return Ok(arguments);
            }
            path
        }
    };
    let text = std::fs::read_to_string(&path).map_err(|source| CliError::Unreadable {
        path: path.clone(),
        source,
    })?;
    let wrong = |reason: String| CliError::BadConfig {
        path: path.clone(),
        reason,
    };
    let settings: Settings =
        serde_saphyr::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let mut expanded = line.to_vec();
    for (name, value) in settings {
        let argument = daemon
            .get_arguments()
            .find(|argument| argument.get_long() == Some(name.as_str()) && name != "config");
        let Some(argument) = argument else {
            let known = daemon.get_arguments().filter_map(clap::Arg::get_long);
            return Err(wrong(match nearest(&name, known) {
                Some(similar) => format!("`{name}` is no setting; did you mean `{similar}`?"),
                None => format!("`{name}` is no setting"),
            }));
        };
        let said = rest.iter().any(|said| is_flag(said, &name));
        let in_environment = argument.get_env().and_then(std::env::var_os).is_some();
        if !said && !in_environment {
            add(&mut expanded, &name, value);
        }
    }
    expanded.extend(rest.iter().cloned());
    Ok(expanded)
}

/// Which daemon a command line starts, and where its name stands.
fn daemon<'a>(arguments: &[OsString], command: &'a Command) -> Option<(usize, &'a Command)> {
    let mut skip = false;
    let place = arguments.iter().skip(1).position(|argument| {
        let text = argument.to_string_lossy();
        let value = std::mem::replace(&mut skip, WITH_VALUE.contains(&text.as_ref()));
        !value && !text.starts_with('-')
    })? + 1;
    let name = arguments.get(place)?.to_str()?;
    let starts = matches!(name, "controller" | "agent");
    // `coax agent detach` and `coax controller invite` are no starts.
    let other = arguments
        .get(place + 1)
        .is_some_and(|next| next == "detach" || next == "invite");
    let found = command.find_subcommand(name)?;
    (starts && !other).then_some((place, found))
}

fn is_flag(argument: &OsStr, name: &str) -> bool {
    let text = argument.to_string_lossy();
    let flag = text.strip_prefix("--").unwrap_or_default();
    flag.split('=').next() == Some(name)
}

/// The file that `--config` names.
fn given_file(arguments: &[OsString]) -> Option<PathBuf> {
    let place = arguments.iter().position(|it| is_flag(it, "config"))?;
    let argument = arguments.get(place)?.to_string_lossy().into_owned();
    match argument.split_once('=') {
        Some((_, path)) => Some(path.into()),
        None => arguments.get(place + 1).map(PathBuf::from),
    }
}

fn add(arguments: &mut Vec<OsString>, name: &str, value: Value) {
    let mut flag = |value: String| arguments.push(format!("--{name}={value}").into());
    match value {
        Value::Switch(true) => arguments.push(format!("--{name}").into()),
        Value::Switch(false) => {}
        Value::Number(number) => flag(number.to_string()),
        Value::Text(text) => flag(text),
        Value::List(list) => list.into_iter().for_each(flag),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FILE: &str = "host: hv1\ncontroller: [192.0.2.1:7450, 192.0.2.2:7450]\n\
                        uplink: eth0\nstate: /tmp/agent\ntake-over-layout: true\n";

    fn expanded(file: &str, more: &[&str]) -> Result<Vec<String>, CliError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.yaml");
        std::fs::write(&path, file).unwrap();
        let config = format!("--config={}", path.display());
        let mut arguments = vec!["coax", "-o", "json", "agent", config.as_str()];
        arguments.extend(more);
        let arguments = arguments.into_iter().map(OsString::from).collect();
        let expanded = expand(arguments, &crate::args::command(true))?;
        let texts = expanded.into_iter().map(|it| it.into_string().unwrap());
        Ok(texts.collect())
    }

    #[test]
    fn a_file_says_what_flags_say() {
        let line = expanded(FILE, &[]).unwrap();
        assert_eq!(line[..4], ["coax", "-o", "json", "agent"]);
        for flag in [
            "--host=hv1",
            "--controller=192.0.2.1:7450",
            "--controller=192.0.2.2:7450",
            "--uplink=eth0",
            "--take-over-layout",
        ] {
            assert!(line.iter().any(|it| it == flag), "{line:?}");
        }
        crate::args::command(true)
            .try_get_matches_from(line)
            .unwrap();
    }

    #[test]
    fn the_command_line_counts_more() {
        let line = expanded(FILE, &["--host", "hv2", "--controller=192.0.2.9:7450"]).unwrap();
        assert!(!line.iter().any(|it| it == "--host=hv1"), "{line:?}");
        let controllers = line.iter().filter(|it| it.starts_with("--controller="));
        assert_eq!(controllers.count(), 1);
    }

    #[test]
    fn a_mistyped_setting_is_suggested() {
        let error = expanded("uplinks: eth0\n", &[]).unwrap_err();
        assert!(
            error.to_string().contains("did you mean `uplink`"),
            "{error}"
        );
        let error = expanded("host: [\n", &[]).unwrap_err();
        assert_eq!(error.code(), "bad-config");
    }

    #[test]
    fn other_commands_are_left_alone() {
        for line in [
            &["coax", "status"][..],
            &["coax", "agent", "detach", "--pins", "/x"],
            &["coax", "controller", "invite", "--expires", "1h"],
            &["coax"],
        ] {
            let line: Vec<OsString> = line.iter().map(OsString::from).collect();
            let same = expand(line.clone(), &crate::args::command(true)).unwrap();
            assert_eq!(same, line);
        }
    }
}

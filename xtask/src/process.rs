//! Running other programs: what is run is shown when it fails, and nothing runs for ever.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A program to run, with its arguments and surroundings.
pub struct Cmd {
    program: OsString,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, Option<OsString>)>,
    directory: Option<PathBuf>,
    time_limit: Option<Duration>,
    quiet: bool,
    output: Option<File>,
}

impl Cmd {
    /// A program by name (found on PATH) or by path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
            directory: None,
            time_limit: None,
            quiet: false,
            output: None,
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables
            .push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Takes environment variables away.
    pub fn env_remove(mut self, names: &[&str]) -> Self {
        self.variables
            .extend(names.iter().map(|name| (OsString::from(name), None)));
        self
    }

    /// Puts a folder first on PATH.
    pub fn first_on_path(self, folder: &Path) -> Self {
        let mut path = folder.as_os_str().to_owned();
        if let Some(rest) = std::env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        self.env("PATH", path)
    }

    /// Starts it in this folder.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Ends it, with everything it started, after this long (where nobody watches: not on a terminal).
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Shows its output only if it fails.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Writes all it says into a file.
    pub fn into_file(mut self, file: File) -> Self {
        self.output = Some(file);
        self
    }

    /// The command line as one could type it.
    pub fn line(&self) -> String {
        std::iter::once(&self.program)
            .chain(&self.arguments)
            .map(|word| quote(&word.to_string_lossy()))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Runs it to its end; anything but success is an error.
    pub fn run(self) -> Result<()> {
        if self.quiet {
            return self.captured().map(drop);
        }
        let line = self.line();
        let mut command = self.command();
        if let Some(file) = &self.output {
            let copy = || file.try_clone().context("a second handle of an open file");
            command.stdout(copy()?).stderr(copy()?);
        }
        let status = match self.time_limit.filter(|_| !std::io::stdin().is_terminal()) {
            None => command.status().with_context(|| missing(&line))?,
            Some(limit) => {
                // A process group of its own, so that the time-out ends its children too. That takes
                // Ctrl-C away from them: whoever sits at a terminal has that and needs no limit.
                command.process_group(0);
                let child = command.spawn().with_context(|| missing(&line))?;
                wait_at_most(child, limit, &line)?
            }
        };
        if !status.success() {
            bail!("`{line}` failed ({status})");
        }
        Ok(())
    }

    /// Runs it to its end and returns what it wrote to stdout; failure shows all it wrote.
    pub fn captured(self) -> Result<String> {
        let line = self.line();
        let output = self
            .command()
            .stdin(Stdio::null())
            .output()
            .with_context(|| missing(&line))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!(
                "`{line}` failed ({})\n{}{}",
                output.status,
                stdout,
                stderr.trim_end()
            );
        }
        Ok(stdout)
    }

    /// Whether it could be started and succeeded, whatever it wrote.
    pub fn succeeds(self) -> bool {
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }
}

fn wait_at_most(mut child: Child, limit: Duration, line: &str) -> Result<ExitStatus> {
    let group = child.id();
    let (ended, wait_for_end) = mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let status = child.wait();
        // Nobody listens any more after a time-out; that is fine.
        let _ = ended.send(());
        status
    });
    let in_time = wait_for_end.recv_timeout(limit).is_ok();
    if !in_time {
        Cmd::new("kill")
            .args(["-KILL", "--", &format!("-{group}")])
            .succeeds();
    }
    let status = match waiter.join() {
        Ok(status) => status?,
        Err(_) => bail!("the thread that waited for `{line}` ended early"),
    };
    if !in_time {
        bail!(
            "`{line}` had not ended after {} s and was stopped",
            limit.as_secs()
        );
    }
    Ok(status)
}

fn missing(line: &str) -> String {
    format!("cannot start `{line}`")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:+,@%$".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The full path of a program on PATH, or in the folders of system programs that a user's PATH may lack.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(name))
        .find(|program| {
            use std::os::unix::fs::PermissionsExt as _;
            program
                .metadata()
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_an_error_with_its_words() {
        let error = Cmd::new("sh")
            .args(["-c", "echo because >&2; exit 3"])
            .captured()
            .unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("because") && text.contains("exit status: 3"),
            "{text}"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Cmd::new("coax-no-such-program").run().unwrap_err();
        assert!(format!("{error:#}").contains("coax-no-such-program"));
    }

    #[test]
    fn the_time_limit_ends_the_children_too() {
        let start = std::time::Instant::now();
        let limit = Duration::from_millis(50);
        let mut command = Command::new("sh");
        command
            .args(["-c", "tail -f /dev/null & wait"])
            .process_group(0);
        let error = wait_at_most(command.spawn().unwrap(), limit, "sh").unwrap_err();
        assert!(format!("{error:#}").contains("was stopped"));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn variables_are_set_and_removed() {
        let script = "echo ${COAX_XTASK_A-none} ${HOME-none}";
        let output = Cmd::new("sh").args(["-c", script]).env("COAX_XTASK_A", "1");
        assert_eq!(output.env_remove(&["HOME"]).captured().unwrap(), "1 none\n");
    }

    #[test]
    fn lines_can_be_typed_again() {
        assert_eq!(
            Cmd::new("echo").args(["a b", "it's", "-x"]).line(),
            r"echo 'a b' 'it'\''s' -x"
        );
    }
}

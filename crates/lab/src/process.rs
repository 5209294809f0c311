//! Processes of a lab: started in a namespace, remembered by pid and start time, ended by these and
//! never by name. A pid alone would be another process's one day.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coax_netlink::Namespace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// How long a process may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(3);
/// How often a process that is to end is looked at.
const POLL: Duration = Duration::from_millis(2);

/// A process that cannot be taken for another: pids are used again, start times are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did.
    pub started: u64,
}

impl ProcessId {
    /// The process that has this pid now.
    pub fn of(pid: i32) -> Option<Self> {
        let (started, _) = stat(pid)?;
        Some(Self { pid, started })
    }

    /// The calling process.
    pub fn own() -> Option<Self> {
        Self::of(i32::try_from(std::process::id()).ok()?)
    }

    /// Whether it still runs; a zombie does not.
    pub fn is_alive(self) -> bool {
        matches!(stat(self.pid), Some((started, state)) if started == self.started && state != 'Z')
    }

    /// Ends it: `SIGTERM`, and after a grace period `SIGKILL`. Returns when it is gone.
    pub fn stop(self) {
        self.signal(Signal::SIGTERM);
        if !self.wait_gone(GRACE) {
            self.kill();
        }
    }

    /// Ends it with `SIGKILL`, as a crash does. Returns when it is gone.
    pub fn kill(self) {
        self.signal(Signal::SIGKILL);
        self.wait_gone(GRACE);
    }

    /// Sends a signal, if it still is this process.
    pub fn signal(self, signal: Signal) {
        if self.is_alive() {
            // It may end in between: then there is nothing to signal.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    fn wait_gone(self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        loop {
            // Children of this very process stay as zombies until somebody asks for them.
            let _ = waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG));
            if !self.is_alive() {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(POLL);
        }
    }
}

/// Start time and state of a pid.
fn stat(pid: i32) -> Option<(u64, char)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything.
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((started, state))
}

/// Starts a process in the background: its own process group, output to a log that is appended to.
pub fn spawn_logged(
    command: &mut Command,
    namespace: Option<&Namespace>,
    log: &Path,
) -> Result<ProcessId, Error> {
    let out = open_log(log)?;
    let err = out.try_clone().map_err(Error::io("open", log))?;
    command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .process_group(0);
    let child = match namespace {
        Some(namespace) => namespace.spawn(command)?,
        None => {
            let program = command.get_program().to_owned();
            command.spawn().map_err(Error::io("start", program))?
        }
    };
    let pid = i32::try_from(child.id()).ok();
    pid.and_then(ProcessId::of).ok_or_else(|| died(log))
}

fn open_log(log: &Path) -> Result<File, Error> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    let mut options = OpenOptions::new();
    options
        .create(true)
        .append(true)
        .open(log)
        .map_err(Error::io("open", log))
}

/// The error for a process that ended: with the end of its log.
pub fn died(log: &Path) -> Error {
    let process = log
        .file_stem()
        .map(|name| name.to_string_lossy().into_owned());
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(12).collect();
    Error::Died {
        process: process.unwrap_or_default(),
        log: lines.into_iter().rev().collect::<Vec<_>>().join("\n"),
    }
}

/// All processes that are inside one of the given namespaces: shells, captures, servers that somebody
/// started there. They keep a namespace alive, so a lab that goes down takes them along.
pub fn inside(namespaces: &[Namespace]) -> Vec<ProcessId> {
    let identities: Vec<_> = namespaces
        .iter()
        .filter_map(|n| identity(&n.path()))
        .collect();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let own = ProcessId::own();
    let pids = entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let path = format!("/proc/{pid}/ns/net");
        identity(Path::new(&path)).is_some_and(|id| identities.contains(&id))
    })
    .filter_map(ProcessId::of)
    .filter(|process| Some(*process) != own)
    .collect()
}

/// Device and inode: what makes two open namespaces the same one.
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Whether the calling process is root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_pid_and_start_and_ends_when_killed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("logs/cat.log");
        let mut command = Command::new("sleep");
        let process = spawn_logged(command.arg("600"), None, &log).unwrap();
        assert!(process.is_alive());
        let other = ProcessId {
            started: process.started + 1,
            ..process
        };
        assert!(!other.is_alive());
        other.kill();
        assert!(process.is_alive(), "another start time is another process");
        process.stop();
        assert!(!process.is_alive());
    }

    #[test]
    fn the_last_words_of_a_process_are_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("agent-hv1.log");
        fs::write(&log, "one\ntwo\n").unwrap();
        assert_eq!(
            died(&log).to_string(),
            "agent-hv1 ended at once; its last words:\none\ntwo"
        );
    }
}

//! Network namespaces by name, as `ip netns` keeps them: a bind mount in `/run/netns` per namespace.
//!
//! `setns` and `unshare` change the calling thread only. Everything that has to happen inside a namespace runs on an
//! operating-system thread made for it, which ends right afterwards; child processes started from such a thread
//! are born in its namespace, so no code has to run between fork and exec.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use crate::{Error, Netlink};

/// Where named namespaces live; the folder of `ip netns`, so that both see the same ones.
const FOLDER: &str = "/run/netns";

/// The namespace of the calling thread. `/proc/self/ns/net` would be the main thread's.
const OWN: &str = "/proc/thread-self/ns/net";

/// An open network namespace. Clones share the file descriptor; the namespace lives at least as long as they do.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
    file: Arc<File>,
}

impl Namespace {
    /// Creates a named namespace; its loopback device is down, as in every new namespace.
    pub fn create(name: &str) -> Result<Self, Error> {
        let failed = |source| Error::Namespace {
            action: "create",
            name: name.into(),
            source,
        };
        let path = path_of(name).map_err(failed)?;
        prepare_folder().map_err(failed)?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(failed)?;
        let made = on_new_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let none: Option<&str> = None;
            mount(Some(OWN), &path, none, MsFlags::MS_BIND, none)?;
            Ok(())
        });
        let made = made.unwrap_or_else(|| Err(io::Error::other("the creating thread panicked")));
        if let Err(error) = made {
            // Best effort: the error that counts is the first one.
            let _ = std::fs::remove_file(&path);
            return Err(failed(error));
        }
        Self::open(name)
    }

    /// Opens a named namespace.
    pub fn open(name: &str) -> Result<Self, Error> {
        let failed = |source| Error::Namespace {
            action: "open",
            name: name.into(),
            source,
        };
        let file = File::open(path_of(name).map_err(failed)?).map_err(failed)?;
        Ok(Self {
            name: name.into(),
            file: Arc::new(file),
        })
    }

    /// Opens a namespace by the path of its file, for example `/proc/1234/ns/net`.
    pub fn open_path(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Ok(Self {
                name,
                file: Arc::new(file),
            }),
            Err(source) => Err(Error::Namespace {
                action: "open",
                name,
                source,
            }),
        }
    }

    /// The namespace of the calling thread.
    pub fn current() -> Result<Self, Error> {
        Self::open_path(Path::new(OWN))
    }

    /// Removes the name. The namespace itself, with its links, ends when the last process, socket and open file in it is gone.
    pub fn delete(name: &str) -> Result<(), Error> {
        let failed = |source| Error::Namespace {
            action: "delete",
            name: name.into(),
            source,
        };
        let path = path_of(name).map_err(failed)?;
        match umount2(&path, MntFlags::MNT_DETACH) {
            // EINVAL: a plain file, left over from a creation that was killed half-way.
            Ok(()) | Err(nix::errno::Errno::EINVAL) => {}
            Err(error) => return Err(failed(error.into())),
        }
        std::fs::remove_file(&path).map_err(failed)
    }

    /// Names of all named namespaces, sorted.
    pub fn list() -> Result<Vec<String>, Error> {
        let failed = |source| Error::Namespace {
            action: "list",
            name: FOLDER.into(),
            source,
        };
        let entries = match std::fs::read_dir(FOLDER) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(
                entry
                    .map_err(failed)?
                    .file_name()
                    .to_string_lossy()
                    .into_owned(),
            );
        }
        names.sort();
        Ok(names)
    }

    /// The name, or the path for a namespace without a name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A path by which other programs can open this namespace as long as the calling process lives.
    pub fn path(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.file.as_raw_fd()
        ))
    }

    /// Runs `work` on a thread of its own inside this namespace and waits for it.
    ///
    /// This blocks the caller for as long as `work` takes: in async code keep `work` short or use [`Namespace::run_async`].
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let outcome = on_new_thread(|| {
            setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        });
        match outcome {
            Some(Ok(value)) => Ok(value),
            Some(Err(source)) => Err(Error::Namespace {
                action: "enter",
                name: self.name.clone(),
                source,
            }),
            None => Err(Error::ThreadPanicked {
                name: self.name.clone(),
            }),
        }
    }

    /// As [`Namespace::run`], without blocking the async worker that waits for the result.
    pub async fn run_async<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let namespace = self.clone();
        match tokio::task::spawn_blocking(move || namespace.run(work)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::ThreadPanicked {
                name: self.name.clone(),
            }),
        }
    }

    /// Opens a netlink connection in this namespace. Needs a running tokio runtime.
    pub fn netlink(&self) -> Result<Netlink, Error> {
        Netlink::open_in(self)
    }

    /// Starts a process inside this namespace. Mounts are the caller's: `/sys` shows the caller's devices.
    pub fn spawn(&self, command: &mut Command) -> Result<Child, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        self.run(|| command.spawn())?
            .map_err(|source| Error::Spawn {
                program,
                name: self.name.clone(),
                source,
            })
    }

    /// Writes a kernel setting of this namespace; see [`crate::write_sysctl`].
    pub fn write_sysctl(&self, key: &str, value: &str) -> Result<(), Error> {
        self.run(|| crate::write_sysctl(key, value))?
    }
}

/// A namespace whose name is removed when this value is dropped, also by a panic. For tests and other short work.
#[derive(Debug)]
pub struct ScopedNamespace(Namespace);

impl ScopedNamespace {
    /// Creates a namespace under a name that starts with `prefix` and that no other process uses.
    pub fn create(prefix: &str) -> Result<Self, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{}-{count}", std::process::id());
        Namespace::create(&name).map(Self)
    }
}

impl Deref for ScopedNamespace {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.0
    }
}

impl Drop for ScopedNamespace {
    fn drop(&mut self) {
        if let Err(error) = Namespace::delete(self.0.name()) {
            tracing::warn!(%error, "a temporary namespace stays behind");
        }
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Runs `work` on a new thread; `None` if it panicked.
fn on_new_thread<T: Send>(
    work: impl FnOnce() -> Result<T, io::Error> + Send,
) -> Option<Result<T, io::Error>> {
    std::thread::scope(|scope| {
        match std::thread::Builder::new()
            .name("namespace".into())
            .spawn_scoped(scope, work)
        {
            Ok(thread) => thread.join().ok(),
            Err(error) => Some(Err(error)),
        }
    })
}

fn path_of(name: &str) -> Result<PathBuf, io::Error> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') || name.len() > 255 {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    Ok(Path::new(FOLDER).join(name))
}

/// Makes [`FOLDER`] a shared mount, so that names created here are seen in other mount namespaces; under the same
/// lock as `ip netns add`, because two that do it at once would mount it twice.
fn prepare_folder() -> Result<(), io::Error> {
    std::fs::create_dir_all(FOLDER)?;
    let folder = File::open(FOLDER)?;
    let _lock = Flock::lock(folder, FlockArg::LockExclusive)
        .map_err(|(_, error)| io::Error::from(error))?;
    let none: Option<&str> = None;
    let share = || {
        mount(
            Some(""),
            FOLDER,
            none,
            MsFlags::MS_SHARED | MsFlags::MS_REC,
            none,
        )
    };
    if share().is_ok() {
        return Ok(());
    }
    mount(
        Some(FOLDER),
        FOLDER,
        none,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        none,
    )?;
    share().map_err(io::Error::from)
}

//! Fetches a Debian kernel: its image and its modules, unpacked below target/vm and kept there.
//!
//! apt does the work. Where the machine's own sources do not offer the kernel series, a private apt
//! folder with one more suite of the same mirror does, without touching the system.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{Cmd, find_program};
use crate::setup::{is_root, packages};
use crate::workspace::Workspace;

/// A kernel series and where Debian has it.
#[derive(Clone, Copy)]
pub struct Kernel {
    /// The first numbers of its version.
    pub series: &'static str,
    /// The suite that offers it.
    pub suite: &'static str,
}

/// A kernel on disk.
pub struct Image {
    /// The compressed kernel.
    pub vmlinuz: PathBuf,
    /// The folder with lib/modules/RELEASE.
    pub root: PathBuf,
    /// Its release, as `uname -r` says it.
    pub release: String,
}

/// What came of looking for a kernel.
pub enum Lookup {
    /// It is there.
    Found(Image),
    /// No source within reach offers it, and this is why.
    NotOffered(String),
}

/// The package that depends on the newest kernel for virtual machines.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

impl Kernel {
    /// The kernel that was fetched before, or else the newest that apt offers.
    pub fn find_or_download(&self, workspace: &Workspace) -> Result<Lookup> {
        let folder = workspace.path("target/vm").join(self.series);
        let unpacked = folder.join("root");
        if let Some(image) = image_in(&unpacked) {
            return Ok(Lookup::Found(image));
        }
        if find_program("apt-get").is_none() {
            return Ok(Lookup::NotOffered(String::from(
                "there is no apt-get to fetch it with",
            )));
        }
        eprintln!("vm {}: fetching Debian's kernel", self.series);
        fs::create_dir_all(&folder)?;
        let (apt, package) = match self.find_package(&folder) {
            Ok(found) => found,
            Err(error) => return Ok(Lookup::NotOffered(format!("{error:#}"))),
        };
        if let Err(error) = apt
            .command("apt-get")
            .args(["download", &package])
            .current_dir(&folder)
            .quiet()
            .run()
        {
            return Ok(Lookup::NotOffered(format!("{error:#}")));
        }
        unpack(&folder, &package, &unpacked)?;
        let image = image_in(&unpacked);
        image
            .map(Lookup::Found)
            .with_context(|| format!("{package} holds no kernel"))
    }

    /// The package of the newest kernel of this series, and the apt that knows it.
    fn find_package(&self, folder: &Path) -> Result<(Apt, String)> {
        let system = Apt { private: None };
        if let Some(package) = system.newest(self.series) {
            return Ok((system, package));
        }
        if is_root() {
            packages::refresh_lists_once();
            if let Some(package) = system.newest(self.series) {
                return Ok((system, package));
            }
        }
        let private = Apt::private(&folder.join("apt"), self.suite)?;
        let package = private.newest(self.series);
        let package = package.with_context(|| format!("suite {} offers none", self.suite))?;
        Ok((private, package))
    }
}

/// The machine's apt, or one with a folder of its own.
struct Apt {
    private: Option<PathBuf>,
}

impl Apt {
    /// An apt that knows this suite of the mirror that the machine uses.
    fn private(folder: &Path, suite: &str) -> Result<Self> {
        for below in [
            "etc/apt/preferences.d",
            "lists/partial",
            "cache/archives/partial",
        ] {
            fs::create_dir_all(folder.join(below))?;
        }
        let mirror = mirror()?;
        let line = format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
        fs::write(folder.join("sources.list"), line)?;
        fs::write(folder.join("status"), "")?;
        let apt = Self {
            private: Some(folder.to_path_buf()),
        };
        apt.command("apt-get")
            .arg("update")
            .quiet()
            .run()
            .with_context(|| format!("cannot read suite {suite} of {mirror}"))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Cmd {
        let command = Cmd::new(program);
        let Some(folder) = &self.private else {
            return command;
        };
        let option = |name: &str, below: &str| format!("-o{name}={}", folder.join(below).display());
        command
            .arg(option("Dir::Etc::SourceList", "sources.list"))
            .arg("-oDir::Etc::SourceParts=/dev/null")
            .arg(option(
                "Dir::Etc::PreferencesParts",
                "etc/apt/preferences.d",
            ))
            .arg(option("Dir::State::Lists", "lists"))
            .arg(option("Dir::State::status", "status"))
            .arg(option("Dir::Cache", "cache"))
            // Root's apt would drop to a user that cannot write here.
            .arg("-oAPT::Sandbox::User=root")
    }

    /// The kernel package of this series that the meta package depends on.
    fn newest(&self, series: &str) -> Option<String> {
        let text = self
            .command("apt-cache")
            .args(["depends", META_PACKAGE])
            .captured()
            .ok()?;
        kernel_package(&text, series)
    }
}

/// Reads `apt-cache depends`: the kernel package, if it is of this series.
fn kernel_package(depends: &str, series: &str) -> Option<String> {
    let package = depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: linux-image-"))?;
    let of_series = package.strip_prefix(series)?.starts_with('.');
    of_series.then(|| format!("linux-image-{package}"))
}

/// The Debian mirror that the machine's own sources use.
fn mirror() -> Result<String> {
    let format = "$(CREATED_BY) $(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)";
    let text = Cmd::new("apt-get")
        .args(["indextargets", "--format", format])
        .captured()?;
    parse_mirror(&text).context("the apt sources of this machine name no Debian mirror")
}

fn parse_mirror(targets: &str) -> Option<String> {
    targets.lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            // The mirrors of security updates and of others have a dash in their suites' names.
            ["Packages", "Debian", codename, "main", uri] if !codename.contains('-') => {
                Some((*uri).to_owned())
            }
            _ => None,
        }
    })
}

fn unpack(folder: &Path, package: &str, unpacked: &Path) -> Result<()> {
    let mut archive = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with(package) && name.ends_with(".deb") {
            archive = Some(path);
        }
    }
    let Some(archive) = archive else {
        bail!("apt-get downloaded no {package}")
    };
    let partial = folder.join("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    Cmd::new("dpkg-deb")
        .arg("--extract")
        .arg(&archive)
        .arg(&partial)
        .run()?;
    fs::remove_file(&archive)?;
    let image = image_in(&partial).with_context(|| format!("{package} holds no kernel"))?;
    let depmod = find_program("depmod").context("depmod is missing (package kmod)")?;
    // A dpkg root has lib/modules where depmod's base folder wants it.
    Cmd::new(depmod)
        .arg("--basedir")
        .arg(&partial)
        .arg(&image.release)
        .quiet()
        .run()?;
    fs::rename(&partial, unpacked)?;
    Ok(())
}

/// The kernel in an unpacked package.
fn image_in(root: &Path) -> Option<Image> {
    for entry in fs::read_dir(root.join("boot")).ok()? {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_string_lossy().into_owned();
        if let Some(release) = name.strip_prefix("vmlinuz-") {
            return Some(Image {
                vmlinuz: path.clone(),
                root: root.to_path_buf(),
                release: release.to_owned(),
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_package_must_be_of_the_series() {
        let depends = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
        let found = kernel_package(depends, "6.1");
        assert_eq!(found.as_deref(), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(kernel_package(depends, "6.12"), None);
        assert_eq!(
            kernel_package(&depends.replace("6.1.0", "6.12.9"), "6.1"),
            None
        );
        assert_eq!(kernel_package("", "6.1"), None);
    }

    #[test]
    fn the_mirror_is_that_of_the_main_suite() {
        let targets = "Packages Other stable main https://other.example/x/\n\
            Packages Debian bookworm-security main http://mirror.example/security/\n\
            DEP-11 Debian bookworm main http://wrong.example/\n\
            Packages Debian bookworm main http://mirror.example/debian/\n";
        assert_eq!(
            parse_mirror(targets).as_deref(),
            Some("http://mirror.example/debian/")
        );
        assert_eq!(parse_mirror(""), None);
    }
}

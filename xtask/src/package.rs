//! `cargo xtask package`: the Debian packages, by `dpkg-deb`, from a `coax` that is built already. Completion scripts come
//! from that very binary.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::Cmd;
use crate::workspace::Workspace;

/// The packages: name, daemon.
const PACKAGES: [(&str, Option<&str>); 3] = [
    ("coax-cli", None),
    ("coax-agent", Some("agent")),
    ("coax-controller", Some("controller")),
];
/// Maintainer scripts that a package may have.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
/// Where each shell looks for completion.
const COMPLETION: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/coax"),
    ("zsh", "usr/share/zsh/vendor-completions/_coax"),
    ("fish", "usr/share/fish/vendor_completions.d/coax.fish"),
];

/// Makes the packages in `target/packages`, or where `--into` says, of the release build. `--debug` takes the dev build, and
/// does not compress: for tests.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let mut into = workspace.path("target/packages");
    let mut debug = false;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--debug" => debug = true,
            "--into" => into = PathBuf::from(rest.next().context("--into needs a folder")?),
            other => bail!("`{other}` is no argument of `cargo xtask package`"),
        }
    }
    let binary = match debug {
        true => workspace.coax_debug(),
        false => workspace.coax_release(),
    };
    if !binary.exists() {
        bail!(
            "{} is not there: `cargo xtask build` makes it",
            binary.display()
        );
    }
    fs::create_dir_all(&into)?;
    let maker = Maker {
        workspace,
        binary,
        version: version(workspace)?,
        architecture: said(Cmd::new("dpkg").arg("--print-architecture"))?,
        compression: if debug { "none" } else { "xz" },
        into,
    };
    for (package, daemon) in PACKAGES {
        let file = maker.make(package, daemon)?;
        println!("{}", file.display());
    }
    Ok(())
}

/// The version of the workspace.
fn version(workspace: &Workspace) -> Result<String> {
    let manifest: toml::Value = fs::read_to_string(workspace.path("Cargo.toml"))?
        .parse::<toml::Table>()?
        .into();
    let version = manifest["workspace"]["package"]["version"].as_str();
    Ok(version.context("the workspace has no version")?.to_owned())
}

/// What a program prints, without the line end.
fn said(command: Cmd) -> Result<String> {
    Ok(command.captured()?.trim_end().to_owned())
}

struct Maker<'a> {
    workspace: &'a Workspace,
    binary: PathBuf,
    version: String,
    architecture: String,
    compression: &'static str,
    into: PathBuf,
}

impl Maker<'_> {
    fn make(&self, package: &str, daemon: Option<&str>) -> Result<PathBuf> {
        let root = self.into.join(package);
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        match daemon {
            None => self.command(&root)?,
            Some(daemon) => {
                let unit = format!("packaging/systemd/coax-{daemon}.service");
                let to = root.join(format!("usr/lib/systemd/system/coax-{daemon}.service"));
                copy(&self.workspace.path(unit), &to, 0o644)?;
                if daemon == "controller" {
                    self.monitoring(&root)?;
                }
            }
        }
        self.documents(&root, package)?;
        self.control(&root, package)?;
        open_folders(&root)?;
        let file = self.into.join(format!(
            "{package}_{}_{}.deb",
            self.version, self.architecture
        ));
        Cmd::new("dpkg-deb")
            .args(["--root-owner-group", "-Z", self.compression, "--build"])
            .args([&root, &file])
            .quiet()
            .run()?;
        fs::remove_dir_all(&root)?;
        Ok(file)
    }

    /// The binary, with what it says about itself.
    fn command(&self, root: &Path) -> Result<()> {
        copy(&self.binary, &root.join("usr/bin/coax"), 0o755)?;
        for (shell, place) in COMPLETION {
            let script = Cmd::new(&self.binary)
                .args(["completion", shell])
                .captured()?;
            write(&root.join(place), &script, 0o644)?;
        }
        let schema = Cmd::new(&self.binary)
            .args(["schema", "stack"])
            .captured()?;
        write(
            &root.join("usr/share/coax/stack.schema.json"),
            &schema,
            0o644,
        )?;
        let pages = root.join("usr/share/man/man1");
        Cmd::new(&self.binary).arg("man").arg(&pages).captured()?;
        Cmd::new("gzip").arg("-9nr").arg(&pages).quiet().run()?;
        for example in fs::read_dir(self.workspace.path("examples"))? {
            let example = example?;
            let examples = root.join("usr/share/doc/coax-cli/examples");
            if example.file_type()?.is_file() {
                copy(&example.path(), &examples.join(example.file_name()), 0o644)?;
            }
        }
        Ok(())
    }

    /// What a monitoring system is told of Coax.
    fn monitoring(&self, root: &Path) -> Result<()> {
        for file in ["coax.rules.yml", "coax-dashboard.json"] {
            let from = self.workspace.path("packaging/monitoring").join(file);
            copy(
                &from,
                &root.join("usr/share/coax/monitoring").join(file),
                0o644,
            )?;
        }
        Ok(())
    }

    fn documents(&self, root: &Path, package: &str) -> Result<()> {
        let folder = root.join("usr/share/doc").join(package);
        let copyright = self.workspace.path("packaging/debian/copyright");
        copy(&copyright, &folder.join("copyright"), 0o644)?;
        let changes = folder.join("changelog");
        copy(&self.workspace.path("CHANGELOG.md"), &changes, 0o644)?;
        Cmd::new("gzip").arg("-9n").arg(&changes).quiet().run()
    }

    fn control(&self, root: &Path, package: &str) -> Result<()> {
        let source = self.workspace.path("packaging/debian");
        let folder = root.join("DEBIAN");
        for script in SCRIPTS {
            let from = source.join(format!("{package}.{script}"));
            if from.exists() {
                copy(&from, &folder.join(script), 0o755)?;
            }
        }
        let (sums, size) = sums(root)?;
        write(&folder.join("md5sums"), &sums, 0o644)?;
        let rest = fs::read_to_string(source.join(format!("{package}.control")))?;
        let control = format!(
            "Package: {package}\nVersion: {}\nArchitecture: {}\nMaintainer: The Coax authors <coax@example.org>\n\
             Homepage: https://example.org/coax\nInstalled-Size: {}\n{}",
            self.version,
            self.architecture,
            size.div_ceil(1024),
            rest.replace("@VERSION@", &self.version),
        );
        write(&folder.join("control"), &control, 0o644)
    }
}

/// The MD5 sums of all files of a package, and how many bytes they have.
fn sums(root: &Path) -> Result<(String, u64)> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.retain(|path| !path.starts_with(root.join("DEBIAN")));
    files.sort();
    let mut size = 0;
    let mut names = Vec::new();
    for file in &files {
        size += fs::metadata(file)?.len();
        names.push(file.strip_prefix(root)?.to_owned());
    }
    let sums = Cmd::new("md5sum")
        .args(&names)
        .current_dir(root)
        .captured()?;
    Ok((sums, size))
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => collect(&path, into)?,
            false => into.push(path),
        }
    }
    Ok(())
}

/// Folders are everybody's to look into, whatever the umask was.
fn open_folders(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            open_folders(&path)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file without a folder")?)?;
    fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

fn write(to: &Path, content: &str, mode: u32) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file without a folder")?)?;
    fs::write(to, content)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

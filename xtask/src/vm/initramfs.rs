//! Packs what a guest runs: busybox, `ip`, the kernel modules, the `coax` binary with the shared
//! libraries that it names, and the scripts.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel::Image;
use crate::process::{Cmd, find_program};

/// Modules that a real host would load on demand; the guest has nobody to ask.
const MODULES: [&str; 6] = ["veth", "sch_ingress", "cls_bpf", "vxlan", "bridge", "tun"];

const INIT: &str = include_str!("init.sh");
const SMOKE: &str = include_str!("smoke.sh");

/// Builds the archive in this folder and returns its path.
pub fn build(folder: &Path, image: &Image, coax: &Path) -> Result<PathBuf> {
    let root = folder.join("initramfs");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    for below in [
        "bin", "usr/bin", "dev", "proc", "sys", "run", "tmp", "var", "etc", "modules",
    ] {
        fs::create_dir_all(root.join(below))?;
    }
    add_program(&root, "busybox", "bin/busybox")?;
    add_program(&root, "ip", "usr/bin/ip")?;
    add_coax(&root, coax)?;
    add_modules(&root, image)?;
    add_script(&root, "init", INIT)?;
    add_script(&root, "smoke", SMOKE)?;
    pack(folder, &root)
}

fn add_program(root: &Path, name: &str, place: &str) -> Result<()> {
    let program = find_program(name).with_context(|| format!("{name} is missing"))?;
    fs::copy(&program, root.join(place))?;
    add_libraries(root, &program)
}

/// The binary, without its debug information: the guest unpacks it at an emulated pace.
fn add_coax(root: &Path, coax: &Path) -> Result<()> {
    let place = root.join("usr/bin/coax");
    Cmd::new("strip")
        .arg("-o")
        .arg(&place)
        .arg(coax)
        .run()
        .context("cannot strip the binary")?;
    add_libraries(root, coax)
}

fn add_libraries(root: &Path, program: &Path) -> Result<()> {
    // A static program makes ldd fail, and has none.
    let listed = Cmd::new("ldd").arg(program).captured().unwrap_or_default();
    for library in libraries(&listed) {
        let place = root.join(library.trim_start_matches('/'));
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(library, &place).with_context(|| format!("cannot copy {library}"))?;
    }
    Ok(())
}

/// The paths in what `ldd` prints: `libc.so.6 => /lib/libc.so.6 (0x…)` or `/lib64/ld.so (0x…)`.
fn libraries(listed: &str) -> BTreeSet<&str> {
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .collect()
}

fn add_modules(root: &Path, image: &Image) -> Result<()> {
    let modprobe = find_program("modprobe").context("modprobe is missing (package kmod)")?;
    let mut order: Vec<String> = Vec::new();
    for module in MODULES {
        let listed = Cmd::new(&modprobe)
            .args([
                "--show-depends",
                "--set-version",
                &image.release,
                "--dirname",
            ])
            .arg(&image.root)
            .args(["--config", "/dev/null", module])
            .captured()
            .with_context(|| format!("kernel {} has no module {module}", image.release))?;
        for path in module_files(&listed) {
            let name = add_module(root, Path::new(path))?;
            if !order.contains(&name) {
                order.push(name);
            }
        }
    }
    fs::write(root.join("modules/order"), order.join("\n") + "\n")?;
    Ok(())
}

/// The files in what `modprobe --show-depends` prints, in the order in which they are to be loaded.
fn module_files(listed: &str) -> impl Iterator<Item = &str> {
    listed
        .lines()
        .filter_map(|line| line.strip_prefix("insmod "))
        .map(str::trim)
}

/// Copies a module, unpacked, and returns the name of its file.
fn add_module(root: &Path, path: &Path) -> Result<String> {
    let file = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let place = root.join("modules").join(&file);
    fs::copy(path, &place).with_context(|| format!("cannot copy {}", path.display()))?;
    match file.strip_suffix(".xz") {
        Some(unpacked) => {
            Cmd::new("xz")
                .args(["--decompress", "--force"])
                .arg(&place)
                .run()?;
            Ok(unpacked.to_owned())
        }
        None => Ok(file),
    }
}

fn add_script(root: &Path, name: &str, text: &str) -> Result<()> {
    let place = root.join(name);
    fs::write(&place, text)?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn pack(folder: &Path, root: &Path) -> Result<PathBuf> {
    symlink("busybox", root.join("bin/sh"))?;
    let archive = folder.join("initramfs.gz");
    // The first argument of the script is the folder, the second the archive.
    let script = r#"cd "$1" && find . | cpio --quiet -o -H newc | gzip -1 > "$2""#;
    Cmd::new("sh")
        .args(["-c", script, "pack"])
        .arg(root)
        .arg(&archive)
        .quiet()
        .run()?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let listed = "\tlinux-vdso.so.1 (0x00007f)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\tlibmissing.so => not found\n";
        let found: Vec<&str> = libraries(listed).into_iter().collect();
        assert_eq!(found, ["/lib/x/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert!(libraries("\tstatically linked\n").is_empty());
    }

    #[test]
    fn modules_are_read_from_modprobe() {
        let listed = "builtin stp\ninsmod /m/llc.ko \ninsmod /m/bridge.ko.xz \n";
        assert_eq!(
            module_files(listed).collect::<Vec<_>>(),
            ["/m/llc.ko", "/m/bridge.ko.xz"]
        );
    }
}

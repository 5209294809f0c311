//! `cargo xtask vm`: boots Debian's kernels under QEMU's software emulation, loads the same kernel
//! programs there, forwards real packets, and compares the verifier's cost with the budget.
//!
//! [`kernel`] fetches a kernel and its modules, [`initramfs`] packs them with the binary, [`guest`]
//! boots it and reads the verdict from the serial console. No KVM is asked for: CI machines often
//! have none, and the emulated boot takes seconds.

mod guest;
mod initramfs;
mod kernel;

use std::thread;

use anyhow::{Result, bail};

use crate::setup::{self, Need};
use crate::workspace::Workspace;
use crate::{budget, ebpf};
use kernel::{Image, Kernel, Lookup};

/// Debian 12's own kernel. The budget is measured in it, so that the figures do not depend on the
/// machine.
const OWN: Kernel = Kernel {
    series: "6.1",
    suite: "bookworm",
};

/// The kernel of Debian 12's backports.
const BACKPORTED: Kernel = Kernel {
    series: "6.12",
    suite: "bookworm-backports",
};

const KERNELS: [Kernel; 2] = [OWN, BACKPORTED];

/// The command: every kernel, or those named.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    prepare(workspace)?;
    for warning in check(workspace, arguments)? {
        eprintln!("WARNING: {warning}");
    }
    Ok(())
}

/// What the binary for the guest needs: tools, the kernel programs, `coax` in the dev profile.
pub fn prepare(workspace: &Workspace) -> Result<()> {
    setup::ensure(workspace, Need::Test)?;
    ebpf::build(workspace)?;
    workspace.cargo(["build", "--package", "coax"]).run()
}

/// Runs the smoke test under the kernels named (all, if none is), at the same time: each keeps one CPU busy. The dev binary
/// must be built. Returns as warnings which kernels could not be had.
pub fn check(workspace: &Workspace, names: &[String]) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let mut images = Vec::new();
    for kernel in choose(names)? {
        match kernel.find_or_download(workspace)? {
            Lookup::NotOffered(reason) => {
                let warning = format!("NOT TESTED under kernel {}: {reason}", kernel.series);
                eprintln!("vm {}: {warning}", kernel.series);
                warnings.push(warning);
            }
            Lookup::Found(image) => images.push((kernel.series, image)),
        }
    }
    thread::scope(|scope| {
        let guests: Vec<_> = images
            .iter()
            .map(|(series, image)| scope.spawn(|| smoke_test(workspace, series, image)))
            .collect();
        guests.into_iter().try_for_each(|guest| match guest.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread that watched a guest panicked"),
        })
    })?;
    Ok(warnings)
}

fn smoke_test(workspace: &Workspace, series: &str, image: &Image) -> Result<()> {
    let own = series == OWN.series;
    let console = guest::smoke_test(workspace, series, image, own)?;
    if own {
        budget::compare_printed(workspace, guest::budget(&console)?)?;
    }
    Ok(())
}

/// What `coax selftest budget` prints under the kernel that the budget is for.
pub fn measure_budget(workspace: &Workspace) -> Result<String> {
    match OWN.find_or_download(workspace)? {
        Lookup::NotOffered(reason) => bail!("no kernel {}: {reason}", OWN.series),
        Lookup::Found(image) => {
            let console = guest::smoke_test(workspace, OWN.series, &image, true)?;
            guest::budget(&console).map(str::to_owned)
        }
    }
}

fn choose(names: &[String]) -> Result<Vec<Kernel>> {
    if names.is_empty() {
        return Ok(KERNELS.to_vec());
    }
    let mut chosen = Vec::new();
    for name in names {
        match KERNELS.into_iter().find(|kernel| kernel.series == name) {
            Some(kernel) => chosen.push(kernel),
            None => {
                let all: Vec<&str> = KERNELS.iter().map(|kernel| kernel.series).collect();
                bail!("no kernel `{name}`; there are: {}", all.join(", "));
            }
        }
    }
    Ok(chosen)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_chosen_by_series() {
        assert_eq!(choose(&[]).unwrap().len(), KERNELS.len());
        assert_eq!(
            choose(&[String::from("6.12")]).unwrap()[0].suite,
            "bookworm-backports"
        );
        assert!(choose(&[String::from("5.10")]).is_err());
        assert_eq!(choose(&[String::from(OWN.series)]).unwrap().len(), 1);
    }
}

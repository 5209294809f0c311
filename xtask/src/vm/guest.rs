//! Boots a guest, which runs the smoke test by itself, and reads its serial console.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::initramfs;
use super::kernel::Image;
use crate::process::Cmd;
use crate::steps::show;
use crate::workspace::Workspace;

/// Seen: 100 to 250 s, most of it in the verifier; the boot itself takes four.
const TIME_LIMIT_SECONDS: u64 = 600;

/// Everything QEMU emulates but one instruction: QEMU 7.2 now and then leaves rubbish in the flags
/// after cmpxchg16b, which kernel 6.12 uses in its allocator (three boots of four ended in a double
/// fault; without it none of eight did).
const CPU: &str = "max,cx16=off";

/// What init.sh prints last.
const PASS: &str = "COAX-VM-PASS";
const BUDGET_BEGIN: &str = "COAX-BUDGET-BEGIN";
const BUDGET_END: &str = "COAX-BUDGET-END";

/// Boots this kernel with the dev binary and returns what it wrote to the console; with what the verifier counted, if the
/// `budget` is asked for.
pub fn smoke_test(
    workspace: &Workspace,
    series: &str,
    image: &Image,
    with_budget: bool,
) -> Result<String> {
    let folder = workspace.path("target/vm").join(series);
    let initramfs = initramfs::build(&folder, image, &workspace.coax_debug())?;
    let console = folder.join("console.log");
    let start = Instant::now();
    let mut append = "console=ttyS0 quiet panic=-1 oops=panic".to_owned();
    if with_budget {
        append.push_str(" coax.budget");
    }
    let qemu = Cmd::new("timeout")
        .args([
            "--kill-after=5",
            &TIME_LIMIT_SECONDS.to_string(),
            "qemu-system-x86_64",
        ])
        .args([
            "-accel", "tcg", "-cpu", CPU, "-M", "q35", "-m", "512", "-smp", "1",
        ])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .arg("-kernel")
        .arg(&image.vmlinuz)
        .arg("-initrd")
        .arg(&initramfs)
        .args(["-append", &append])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .captured();
    let text = fs::read(&console).with_context(|| format!("no {}", console.display()))?;
    let text = String::from_utf8_lossy(&text).replace('\r', "");
    if !text.lines().any(|line| line == PASS) {
        eprintln!("{text}");
        let ended = qemu
            .err()
            .map_or_else(String::new, |error| format!(": {error:#}"));
        bail!(
            "the smoke test did not pass under kernel {}{ended}",
            image.release
        );
    }
    eprintln!(
        "vm {series}: kernel {} passed in {}",
        image.release,
        show(start.elapsed())
    );
    Ok(text)
}

/// What `coax selftest budget` printed in the guest.
pub fn budget(console: &str) -> Result<&str> {
    let (_, rest) = console
        .split_once(BUDGET_BEGIN)
        .context("the guest printed no budget")?;
    let (budget, _) = rest
        .split_once(BUDGET_END)
        .context("the guest's budget has no end")?;
    Ok(budget)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_cut_out_of_the_console() {
        let console = "boot\nCOAX-BUDGET-BEGIN\n[a]\nstack = 1\nCOAX-BUDGET-END\nCOAX-VM-PASS\n";
        assert_eq!(budget(console).unwrap(), "\n[a]\nstack = 1\n");
        assert!(budget("nothing").is_err());
        assert!(budget("COAX-BUDGET-BEGIN").is_err());
    }

    #[test]
    fn the_scripts_print_what_is_looked_for() {
        let init = include_str!("init.sh");
        assert!(init.contains(PASS));
        let smoke = include_str!("smoke.sh");
        assert!(smoke.contains(BUDGET_BEGIN) && smoke.contains(BUDGET_END));
    }
}

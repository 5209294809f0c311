//! Tells the crate where the kernel program is that `cargo xtask ebpf` built.

use std::path::PathBuf;

fn main() {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let object = match std::env::var_os("COAX_EBPF_OBJECT") {
        Some(path) => PathBuf::from(path),
        None => here.join("../../target/ebpf/coax.o"),
    };
    println!("cargo::rerun-if-env-changed=COAX_EBPF_OBJECT");
    println!("cargo::rerun-if-changed={}", object.display());
    if !object.exists() {
        println!(
            "cargo::error=the kernel program {} is not there: run `cargo xtask ebpf` first",
            object.display()
        );
        return;
    }
    println!("cargo::rustc-env=COAX_EBPF_OBJECT={}", object.display());
}

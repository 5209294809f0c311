//! A whole lab, driven by the real binary as a user does.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use coax_lab::LabName;
use serde_json::Value;

/// A lab that is gone with the test, whatever becomes of the test.
pub struct Lab(LabName);

pub fn example(file: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    path.join(file).to_string_lossy().into_owned()
}

impl Lab {
    /// The example's leaves and spines with the VMs of a stack file. `letters` tell the labs of tests apart.
    pub fn up(letters: &str, stack: &str) -> Self {
        let name: LabName = format!("{letters}{}", std::process::id()).parse().unwrap();
        let lab = Self(name);
        let file = example("leaf-spine.yaml");
        lab.done(&["lab", "up", &file, "--name", lab.0.as_str()]);
        lab.done(&["apply", "-f", stack]);
        lab.done(&["lab", "status", lab.0.as_str(), "--wait", "30s"]);
        lab
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.0.as_str().to_owned()
    }

    /// Runs `coax` in this lab.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coax"));
        command
            .args(arguments)
            .env_remove("COAX_API")
            .env("COAX_LAB", self.0.as_str());
        command.output().unwrap()
    }

    /// Starts `coax`, which is killed when the value is dropped.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coax"));
        command
            .args(arguments)
            .env_remove("COAX_API")
            .env("COAX_LAB", self.0.as_str());
        Running(command.spawn().unwrap())
    }

    /// As [`Self::start`], with what it prints in a file.
    pub fn start_into(&self, arguments: &[&str], path: &Path) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coax"));
        command
            .args(arguments)
            .env_remove("COAX_API")
            .env("COAX_LAB", self.0.as_str())
            .stdout(std::fs::File::create(path).unwrap());
        Running(command.spawn().unwrap())
    }

    /// Runs `coax`, which has to succeed, and returns what it printed.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let command = arguments.join(" ");
        assert!(output.status.success(), "coax {command}:\n{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a program in a node or VM.
    pub fn at(&self, node: &str, program: &str) -> String {
        let words: Vec<&str> = ["lab", "exec", node, "--"]
            .into_iter()
            .chain(program.split(' '))
            .collect();
        self.done(&words)
    }

    /// The namespace of a port's VM, by name.
    pub fn vm_namespace(&self, port: &str) -> String {
        self.0.vm_namespace(port)
    }

    /// The same, open.
    pub fn namespace(&self, port: &str) -> coax_netlink::Namespace {
        coax_netlink::Namespace::open(&self.vm_namespace(port)).unwrap()
    }

    /// The device of a port on its host.
    pub fn device(&self, port: &str) -> String {
        self.port(port)["device"].as_str().unwrap().to_owned()
    }

    /// A port as the API shows it.
    pub fn port(&self, port: &str) -> Value {
        let port = self.done(&["port", "show", port, "-o", "json"]);
        serde_json::from_str(&port).unwrap()
    }
}

/// A process that ends with the value.
pub struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let gone = self.run(&["lab", "down", self.0.as_str()]);
        assert!(std::thread::panicking() || gone.status.success());
    }
}

/// Asks until the answer is right, and says what it was when it does not become so.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(wrong) => assert!(Instant::now() < end, "{what}: {wrong}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

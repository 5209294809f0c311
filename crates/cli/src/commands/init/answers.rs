//! The answers of `coax init`: from flags, a file, questions, and what was found.

use std::io::{self, BufRead, IsTerminal, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use coax_controller::{EtcdAddresses, EtcdFlags};
use coax_store::EtcdAccess;
use serde::{Deserialize, Serialize};

use super::InitArgs;
use crate::detect::Machine;
use crate::error::CliError;

/// Where controllers listen for agents.
const AGENT_PORT: u16 = 7450;

/// What was decided: printed, and taken by `--from`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// Where hosts reach the controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Name of this machine; none: it is no host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Devices that lead to the other hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uplinks: Vec<String>,
    /// Where tunnels end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vteps: Vec<IpAddr>,
    /// The largest packet between hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub underlay_mtu: Option<u32>,
    /// The etcd to store in; none: a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// The certificates that sign etcd's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_cacert: Option<PathBuf>,
    /// What is shown to etcd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_cert: Option<PathBuf>,
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_key: Option<PathBuf>,
    /// As whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_user: Option<String>,
    /// With the password in this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_password_file: Option<PathBuf>,
}

impl Answers {
    /// The etcd to store in; none: a file.
    pub fn etcd(&self) -> Result<Option<EtcdAccess>, CliError> {
        let store = self.store.as_ref();
        let read = |text: &String| {
            text.parse().map_err(|error| CliError::BadAnswer {
                question: "store",
                answer: text.clone(),
                reason: format!("{error}"),
            })
        };
        let addresses: Option<EtcdAddresses> = store.map(read).transpose()?;
        let flags = EtcdFlags {
            store_cacert: self.store_cacert.clone(),
            store_cert: self.store_cert.clone(),
            store_key: self.store_key.clone(),
            store_user: self.store_user.clone(),
            store_password_file: self.store_password_file.clone(),
        };
        let access = flags.access(addresses.as_ref());
        access.map_err(|error| coax_controller::Error::from(error).into())
    }
}

/// Whether somebody is there to be asked.
pub fn may_ask(args: &InitArgs) -> bool {
    !args.yes && args.from.is_none() && io::stdin().is_terminal()
}

/// Where hosts reach the controller: what was said, or the answer to a question that proposes what was found.
pub fn address(said: Option<String>, found: Option<IpAddr>, ask: bool) -> Result<String, CliError> {
    let address = match said {
        Some(address) => address,
        None => {
            let found = found.map(|address| with_port(&address.to_string()));
            let found = found.unwrap_or_default();
            question("Where do hosts reach this controller?", &found, ask)?
        }
    };
    if address.is_empty() {
        return Err(CliError::NoAnswer {
            question: "the address at which hosts reach this controller",
            flag: "--address",
        });
    }
    Ok(with_port(&address))
}

/// From flags, a file, questions and what was found.
pub fn decide(args: &InitArgs, machine: &Machine) -> Result<Answers, CliError> {
    let said = match &args.from {
        Some(path) => read_answers(path)?,
        None => Answers::default(),
    };
    let from_file = args.from.is_some();
    let ask = may_ask(args);
    let host = match (args.no_host, &args.host, said.host, from_file) {
        (true, ..) => None,
        (_, Some(host), ..) => Some(host.to_string()),
        (_, None, Some(host), _) => Some(host),
        // A file without a host is one of a controller only.
        (_, None, None, true) => None,
        (_, None, None, false) => Some(machine.name.to_string()),
    };
    let mut uplinks = first([&args.uplinks, &said.uplinks]);
    if uplinks.is_empty() && host.is_some() {
        let found = machine.uplinks.join(",");
        uplinks = list(&question(
            "Which devices lead to the other hosts?",
            &found,
            ask,
        )?);
    }
    if uplinks.is_empty() && host.is_some() {
        return Err(CliError::NoAnswer {
            question: "the devices that lead to the other hosts",
            flag: "--uplink",
        });
    }
    let mut vteps = first([&args.vteps, &said.vteps]);
    if vteps.is_empty() && host.is_some() {
        let found = [
            machine.ipv4.map(IpAddr::from),
            machine.ipv6.map(IpAddr::from),
        ];
        let found: Vec<String> = found.iter().flatten().map(IpAddr::to_string).collect();
        let found = found.join(",");
        vteps = addresses(&question(
            "Where do tunnels to this machine end?",
            &found,
            ask,
        )?)?;
    }
    let found = vteps.first().copied().or(machine.address());
    let address = address(args.address.clone().or(said.address), found, ask)?;
    let store = args.store.as_ref().map(EtcdAddresses::to_string);
    let flags = args.etcd.clone();
    let mtu = args.underlay_mtu.or(said.underlay_mtu);
    Ok(Answers {
        address: Some(address),
        store: store.or(said.store),
        store_cacert: flags.store_cacert.or(said.store_cacert),
        store_cert: flags.store_cert.or(said.store_cert),
        store_key: flags.store_key.or(said.store_key),
        store_user: flags.store_user.or(said.store_user),
        store_password_file: flags.store_password_file.or(said.store_password_file),
        host,
        underlay_mtu: mtu.or(machine.mtu(&uplinks)),
        uplinks,
        vteps,
    })
}

/// The first of two lists that says something.
fn first<T: Clone>([one, other]: [&Vec<T>; 2]) -> Vec<T> {
    if one.is_empty() { other } else { one }.clone()
}

fn read_answers(path: &Path) -> Result<Answers, CliError> {
    let text = std::fs::read_to_string(path).map_err(|source| CliError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    serde_saphyr::from_str(&text).map_err(|error| CliError::BadConfig {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// Asks on the terminal; what was found is the answer to an empty line, and where nobody is asked.
fn question(text: &str, found: &str, ask: bool) -> Result<String, CliError> {
    if !ask {
        return Ok(found.to_owned());
    }
    let failed = |source| CliError::Stdout { source };
    let mut terminal = io::stderr();
    write!(terminal, "{text} [{found}] ").map_err(failed)?;
    terminal.flush().map_err(failed)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(failed)?;
    Ok(match line.trim() {
        "" => found.to_owned(),
        said => said.to_owned(),
    })
}

fn list(text: &str) -> Vec<String> {
    let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn addresses(text: &str) -> Result<Vec<IpAddr>, CliError> {
    let read = |part: String| {
        part.parse().map_err(|_| CliError::BadAnswer {
            question: "tunnel endpoint",
            answer: part,
            reason: "this is no IP address".into(),
        })
    };
    list(text).into_iter().map(read).collect()
}

/// `ADDRESS:PORT`, with the usual port where none is written.
fn with_port(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{AGENT_PORT}"),
        Ok(address) => format!("{address}:{AGENT_PORT}"),
        Err(_) if address.contains(':') => address.to_owned(),
        Err(_) => format!("{address}:{AGENT_PORT}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::Ipv4Addr;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: InitArgs,
    }

    fn machine() -> Machine {
        Machine {
            name: "hv1".parse().unwrap(),
            uplinks: vec!["eth0".into()],
            ipv4: Some(Ipv4Addr::new(192, 0, 2, 1)),
            ipv6: Some("2001:db8::1".parse().unwrap()),
            mtus: vec![("eth0".into(), 1600)],
        }
    }

    fn decided(line: &str) -> Result<Answers, CliError> {
        let line = format!("init --yes {line}");
        let program = Program::try_parse_from(line.split_whitespace()).unwrap();
        decide(&program.args, &machine())
    }

    #[test]
    fn nothing_said_is_what_was_found() {
        let answers = decided("").unwrap();
        assert_eq!(answers.address.as_deref(), Some("192.0.2.1:7450"));
        assert_eq!(answers.host.as_deref(), Some("hv1"));
        assert_eq!(answers.uplinks, ["eth0"]);
        assert_eq!(answers.vteps.len(), 2);
        assert_eq!(answers.underlay_mtu, Some(1600));
    }

    #[test]
    fn flags_count_more_and_ports_are_optional() {
        let answers = decided("--address 2001:db8::9 --host a --vtep 192.0.2.7").unwrap();
        assert_eq!(answers.address.as_deref(), Some("[2001:db8::9]:7450"));
        assert_eq!(answers.host.as_deref(), Some("a"));
        assert_eq!(answers.vteps, [IpAddr::from([192, 0, 2, 7])]);
        for (written, meant) in [
            ("coax.example.org", "coax.example.org:7450"),
            ("192.0.2.1:1", "192.0.2.1:1"),
            ("[2001:db8::1]:1", "[2001:db8::1]:1"),
        ] {
            assert_eq!(with_port(written), meant);
        }
    }

    #[test]
    fn what_was_printed_answers_everything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.yaml");
        for line in [
            "--host a --uplink x,y",
            "--no-host --store etcd://[::1]:2379",
            "--store https://[fd00::1]:2379 --store-cacert a --store-cert b --store-key c",
        ] {
            let answers = decided(line).unwrap();
            std::fs::write(&path, serde_saphyr::to_string(&answers).unwrap()).unwrap();
            let again = decided(&format!("--from {}", path.display())).unwrap();
            assert_eq!(again, answers);
        }
    }
}

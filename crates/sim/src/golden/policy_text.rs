//! The form of firewall rows in a golden file.

use super::row_text::{Words, address, flags, row_address, words};
use super::rows_text::sorted;
use crate::SimRows;
use coax_tables::{ClassKey, ClassRow, DomainId, DomainRow, PolicyKey, PolicyRow, ServiceKey};
use serde::{Deserialize, Serialize};
use serde_saphyr::FlowMap;
use std::net::IpAddr;

const FLAGS: Words = &[
    ("log", PolicyRow::LOG as u32),
    ("audit", PolicyRow::AUDIT as u32),
];

const ACTIONS: [(&str, u8); 3] = [
    ("allow", PolicyRow::ALLOW),
    ("deny", PolicyRow::DENY),
    ("reject", PolicyRow::REJECT),
];

fn action_name(action: u8) -> String {
    let found = ACTIONS.iter().find(|(_, own)| *own == action);
    found.map_or_else(|| action.to_string(), |(name, _)| (*name).to_owned())
}

fn action(name: &str) -> Result<u8, String> {
    let found = ACTIONS.iter().find(|(own, _)| *own == name);
    match found {
        Some((_, action)) => Ok(*action),
        None => name.parse().map_err(|_| format!("no action `{name}`")),
    }
}

/// A policy domain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct DomainText {
    pub domain: u32,
    pub table: u32,
    pub generation: u32,
    pub quota: u32,
    pub kinds: u32,
    pub otherwise: String,
    pub flags: String,
}

/// The class of a prefix of addresses; `bits` are those of the address in mapped form.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ClassText {
    pub table: u32,
    pub scope: u32,
    pub address: IpAddr,
    pub bits: u32,
    pub class: u32,
}

/// The class of a prefix of services; `bits` are those of the port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct ServiceText {
    pub table: u32,
    pub protocol: u8,
    pub port: u16,
    pub bits: u32,
    pub class: u32,
}

/// What a combination of classes may do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct PolicyText {
    pub table: u32,
    pub source: u32,
    pub destination: u32,
    pub service: u32,
    pub order: u32,
    pub rule: u32,
    pub action: String,
    pub flags: String,
}

/// All firewall rows, each in one line.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct PolicyTexts {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<FlowMap<DomainText>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<FlowMap<ClassText>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<FlowMap<ServiceText>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<FlowMap<PolicyText>>,
}

impl PolicyTexts {
    /// True when there are no firewall rows.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The text of the firewall's rows.
    pub fn of(rows: &SimRows) -> Self {
        Self {
            domains: sorted(&rows.domains, |key, row| DomainText {
                domain: key.0,
                table: row.table,
                generation: row.generation,
                quota: row.quota,
                kinds: row.kinds,
                otherwise: action_name(row.default_action),
                flags: words(row.flags.into(), FLAGS),
            }),
            classes: sorted(&rows.classes, |key, row| ClassText {
                table: u32::from_be_bytes(key.table),
                scope: u32::from_be_bytes(key.scope),
                address: address(key.address),
                bits: key.prefix_length - ClassKey::SCOPE_BITS,
                class: row.class,
            }),
            services: sorted(&rows.services, |key, row| ServiceText {
                table: u32::from_be_bytes(key.table),
                protocol: key.protocol,
                port: u16::from_be_bytes(key.port),
                bits: key.prefix_length - ServiceKey::PROTOCOL_BITS,
                class: row.class,
            }),
            policies: sorted(&rows.policies, |key, row| PolicyText {
                table: key.table,
                source: key.source,
                destination: key.destination,
                service: key.service,
                order: row.order,
                rule: row.rule,
                action: action_name(row.action),
                flags: words(row.flags.into(), FLAGS),
            }),
        }
    }

    /// Puts the rows to others.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn put(&self, rows: &mut SimRows) -> Result<(), String> {
        for FlowMap(text) in &self.domains {
            let row = DomainRow {
                table: text.table,
                generation: text.generation,
                quota: text.quota,
                kinds: text.kinds,
                default_action: action(&text.otherwise)?,
                flags: flags(&text.flags, FLAGS)? as u8,
                zero: [0; 2],
            };
            rows.domains.insert(DomainId(text.domain), row);
        }
        for FlowMap(text) in &self.classes {
            let address = row_address(text.address);
            let key = ClassKey::new(text.table, text.scope, address, text.bits);
            rows.classes.insert(key, ClassRow { class: text.class });
        }
        for FlowMap(text) in &self.services {
            let key = ServiceKey::new(text.table, text.protocol, text.port, text.bits);
            rows.services.insert(key, ClassRow { class: text.class });
        }
        for FlowMap(text) in &self.policies {
            let key = PolicyKey {
                table: text.table,
                source: text.source,
                destination: text.destination,
                service: text.service,
            };
            let row = PolicyRow {
                order: text.order,
                rule: text.rule,
                action: action(&text.action)?,
                flags: flags(&text.flags, FLAGS)? as u8,
                zero: [0; 2],
            };
            rows.policies.insert(key, row);
        }
        Ok(())
    }
}

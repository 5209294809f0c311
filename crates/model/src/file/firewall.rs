//! A firewall and its rules as they are written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::firewall::{
    DefaultAction, FirewallRule, Mode, RuleAction, RuleOrder, Selector, one_or_list,
};
use crate::name::Name;
use crate::schema::OneOrMore;
use crate::service::Service;
use crate::written::{is_default, one_or_more};

/// A firewall as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FirewallEntry {
    /// What becomes of connections that no rule matches: `deny`, if nothing is written.
    #[serde(default)]
    pub default: DefaultAction,
    /// Whether rules and default are enforced.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
    /// The rules; the first one that matches decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleEntry>,
}

/// A rule as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["allow"] }, { "required": ["deny"] }, { "required": ["reject"] }]))]
pub struct RuleEntry {
    /// Its name: what drops, flows and traces call it.
    pub name: Name,
    /// Who opens the connection.
    #[serde(serialize_with = "one_or_list", deserialize_with = "one_or_more")]
    #[schemars(with = "OneOrMore<Selector>")]
    pub from: Vec<Selector>,
    /// Who is connected to.
    #[serde(serialize_with = "one_or_list", deserialize_with = "one_or_more")]
    #[schemars(with = "OneOrMore<Selector>")]
    pub to: Vec<Selector>,
    /// Connections that are admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<Service>>,
    /// Connections that are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<Vec<Service>>,
    /// Connections that are refused, so that who opens them knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject: Option<Vec<Service>>,
    /// Report every match.
    #[serde(default, skip_serializing_if = "is_default")]
    pub log: bool,
    /// Whether the rule is enforced.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
}

impl RuleEntry {
    /// What is written, by action: one, if the rule is right.
    pub fn actions(&self) -> Vec<(RuleAction, &[Service])> {
        let written = [
            (RuleAction::Allow, &self.allow),
            (RuleAction::Deny, &self.deny),
            (RuleAction::Reject, &self.reject),
        ];
        let present = written.into_iter();
        present
            .filter_map(|(action, services)| Some((action, services.as_deref()?)))
            .collect()
    }

    /// The rule at its place; nothing if it has no action or several.
    pub(crate) fn at(&self, order: RuleOrder) -> Option<FirewallRule> {
        let actions = self.actions();
        let &[(action, services)] = actions.as_slice() else {
            return None;
        };
        Some(FirewallRule {
            order,
            from: self.from.clone(),
            to: self.to.clone(),
            action,
            services: services.to_vec(),
            log: self.log,
            mode: self.mode,
        })
    }

    /// The entry that makes a rule.
    pub(crate) fn of(name: &Name, rule: &FirewallRule) -> Self {
        let services = |action| (rule.action == action).then(|| rule.services.clone());
        Self {
            name: name.clone(),
            from: rule.from.clone(),
            to: rule.to.clone(),
            allow: services(RuleAction::Allow),
            deny: services(RuleAction::Deny),
            reject: services(RuleAction::Reject),
            log: rule.log,
            mode: rule.mode,
        }
    }
}

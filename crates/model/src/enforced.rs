//! What the file format has words for and no vSwitch carries out yet. Such a file is refused as a whole:
//! a rule that nobody enforces looks like protection.
//! A line goes from here when the last stage of its way, from the file to the packet, is there.

use crate::FieldPath;
use crate::file::{File, StackFile};
use crate::rule::{Refusals, Rule};

/// Refuses what this version does not carry out, in a file of either kind.
///
/// # Errors
/// Every field that asks for something of the kind.
pub fn check_file(file: &File) -> Result<(), Refusals> {
    match file {
        File::Stack(file) => check(file),
        File::Rails(file) => {
            let mut refusals = Refusals::default();
            if !file.rails.rules.is_empty() {
                let path = FieldPath::keys(&["rails", "rules"]);
                refusals.push(path, Rule::NotEnforced { what: "rails" });
            }
            refusals.or(())
        }
    }
}

/// Refuses what this version does not carry out.
///
/// # Errors
/// Every field that asks for something of the kind.
pub fn check(file: &StackFile) -> Result<(), Refusals> {
    let mut refusals = Refusals::default();
    let mut refuse = |asked: bool, path: &[&str], what: &'static str| {
        if asked {
            refusals.push(FieldPath::keys(path), Rule::NotEnforced { what });
        }
    };
    refuse(file.firewall.is_some(), &["firewall"], "firewalls");
    refusals.or(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_carries_out_is_refused_with_its_field() {
        let text = "
version: 1
project: shop
networks:
  web: { subnets: [10.10.1.0/24], type: routed }
  app: { subnets: [10.10.2.0/24] }
ports:
  web-1: { network: web, isolated: true }
routers:
  gw: { networks: [web, app] }
firewall: { default: deny }
";
        let file = StackFile::parse(text).unwrap();
        let refusals = check(&file).unwrap_err();
        let paths: Vec<String> = refusals
            .0
            .iter()
            .map(|refusal| refusal.path.to_string())
            .collect();
        assert_eq!(paths, ["firewall"]);
    }

    #[test]
    fn rails_are_refused_as_long_as_rules_are() {
        let rails = include_str!("../../../examples/rails.yaml");
        let refusals = check_file(&File::parse(rails).unwrap()).unwrap_err();
        assert_eq!(refusals.0[0].path.to_string(), "rails.rules");
    }

    #[test]
    fn what_works_is_let_through() {
        for text in [
            include_str!("../../../examples/shop.yaml"),
            include_str!("../../../examples/bank.yaml"),
            "version: 1
project: p
networks:
  web: { subnets: [10.0.0.0/24], dhcp: true, dns: { domain: a.example } }
  app: { subnets: [10.0.1.0/24], type: routed }
routers:
  gw: { networks: [web, app] }
",
        ] {
            assert_eq!(check(&StackFile::parse(text).unwrap()), Ok(()));
        }
    }
}

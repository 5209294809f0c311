//! The policy and the router of that system.

use coax_api::*;

pub fn groups() -> Vec<Group> {
    vec![
        Group {
            id: "shop/web".into(),
            name: "web".into(),
            project: "shop".into(),
            revision: 12,
            vm: Some("web-*".into()),
            labels: Default::default(),
            ports: Vec::new(),
            members: vec!["web-1".into(), "web-2".into()],
            rules: vec!["users".into()],
        },
        Group {
            id: "shop/db".into(),
            name: "db".into(),
            project: "shop".into(),
            revision: 12,
            vm: None,
            labels: [("role".to_owned(), "database".to_owned())].into(),
            ports: vec!["spare".into()],
            members: vec!["spare".into()],
            rules: Vec::new(),
        },
    ]
}

pub fn address_groups() -> Vec<AddressGroup> {
    vec![AddressGroup {
        id: "rails/management".into(),
        name: "management".into(),
        project: "rails".into(),
        revision: 4,
        prefixes: vec!["192.0.2.0/28".into(), "2001:db8::/64".into()],
        rules: vec!["ssh".into()],
    }]
}

pub fn firewalls() -> Vec<Firewall> {
    let firewall = |project: &str, own: bool| Firewall {
        id: project.into(),
        name: project.into(),
        project: project.into(),
        revision: if own { 12 } else { 0 },
        own,
        default: if own {
            RuleAction::Deny
        } else {
            RuleAction::Allow
        },
        mode: Mode::Enforce,
        rules: if own { 2 } else { 0 },
        rails: 1,
    };
    vec![firewall("bank", false), firewall("shop", true)]
}

pub fn rules() -> Vec<FirewallRule> {
    let rule = |project: &str, name: &str, position, from: &str, to: &str, action| FirewallRule {
        id: format!("{project}/{name}"),
        name: name.into(),
        project: project.into(),
        revision: 12,
        position,
        from: vec![from.into()],
        to: vec![to.into()],
        action,
        services: vec!["tcp/443".into(), "icmp/8".into()],
        log: position == 2,
        mode: Mode::Enforce,
    };
    vec![
        rule(
            "rails",
            "ssh",
            1,
            "address-group/management",
            "any",
            RuleAction::Deny,
        ),
        rule("shop", "users", 1, "any", "group/web", RuleAction::Allow),
        rule(
            "shop",
            "rest",
            2,
            "network/web",
            "10.9.0.0/16",
            RuleAction::Reject,
        ),
    ]
}

pub fn routers() -> Vec<Router> {
    let interface = |network: &str, subnet: &str, address: &str| RouterInterface {
        network: network.into(),
        subnet: subnet.into(),
        address: address.into(),
    };
    vec![Router {
        id: "shop/gw".into(),
        name: "gw".into(),
        project: "shop".into(),
        revision: 12,
        mac: "02:c0:a0:00:00:01".into(),
        interfaces: vec![
            interface("db", "10.10.3.0/24", "10.10.3.1"),
            interface("web", "10.10.1.0/24", "10.10.1.1"),
            interface("web", "fd00:10:1::/64", "fd00:10:1::1"),
        ],
        routes: vec![Route {
            to: "0.0.0.0/0".into(),
            via: "10.10.3.9".into(),
        }],
        status: ObjectStatus {
            desired_revision: 12,
            realized: [("hv1".to_owned(), 12)].into(),
            conditions: Vec::new(),
        },
    }]
}

pub fn checks() -> Vec<Check> {
    let check = |place, title: &str, state, sentence: &str| Check {
        project: "shop".into(),
        place,
        title: title.into(),
        from: vec!["group/web".into()],
        to: vec!["group/db".into()],
        port: vec!["tcp/5432".into()],
        expect: "deny".into(),
        state,
        sentence: sentence.into(),
        rule: None,
    };
    let said = "group/web must not reach group/db on tcp/5432";
    let broken = format!("{said}, but web-1 may reach db-1 on tcp/5432: rule web-to-db allows it");
    vec![
        check(0, said, ProofState::Holds, said),
        check(1, "web-not-to-db", ProofState::Fails, &broken),
        check(
            2,
            said,
            ProofState::Idle,
            &format!("{said}: group/web has no ports"),
        ),
    ]
}

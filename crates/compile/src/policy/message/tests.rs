//! What was said is what is read.

use proptest::prelude::*;

use super::*;
use crate::policy::samples::{edit, edit_policy, policy};

fn over_the_wire<T: Message + Default>(message: &T) -> T {
    T::decode(message.encode_to_vec().as_slice()).unwrap()
}

proptest! {
    #[test]
    fn policies_and_steps_survive_the_wire(
        policy in policy(),
        edits in prop::collection::vec(edit(), 0..4),
    ) {
        let slice = over_the_wire(&PolicySlice::new(3, "shop", 7, &policy));
        prop_assert_eq!((slice.project.as_str(), slice.revision), ("shop", 7));
        let mut read = slice.policy().unwrap();
        prop_assert_eq!(&read, &policy);

        let mut goal = policy.clone();
        edits.into_iter().for_each(|edit| edit_policy(&mut goal, edit));
        let change = policy.change_to(&goal);
        let delta = over_the_wire(&PolicyDelta::new("shop", 7, 8, &change));
        let read_change = delta.change().unwrap();
        prop_assert_eq!(&read_change, &change);
        read.apply(&read_change);
        prop_assert_eq!(read, goal);
        prop_assert_eq!(change.is_empty(), delta == PolicyDelta {
            project: "shop".into(),
            from_revision: 7,
            to_revision: 8,
            ..PolicyDelta::default()
        });
    }

    #[test]
    fn noise_is_refused_or_read(noise in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(slice) = PolicySlice::decode(noise.as_slice()) {
            let _ = slice.policy();
        }
        if let Ok(delta) = PolicyDelta::decode(noise.as_slice()) {
            let _ = delta.change();
        }
    }
}

#[test]
fn what_no_controller_says_is_refused_with_its_values() {
    let verdict = Some(VerdictMessage {
        action: 1,
        ..VerdictMessage::default()
    });
    let settings = Some(PolicySettings {
        default: verdict,
        quota: 0,
    });
    let rule = RuleMessage {
        name: "shop/r".into(),
        verdict,
        ..RuleMessage::default()
    };
    let refused = |rule: RuleMessage| {
        let rules = vec![rule];
        let slice = PolicySlice {
            settings,
            rules,
            ..PolicySlice::default()
        };
        slice.policy().unwrap_err()
    };
    let service = RangeMessage {
        protocol: 6,
        first: 90,
        last: 80,
    };
    let services = Some(ServicesMessage {
        ranges: vec![service],
    });
    assert_eq!(
        refused(RuleMessage {
            services,
            ..rule.clone()
        })
        .to_string(),
        "rule shop/r has ports 90 to 80 of protocol 6"
    );
    let element = ElementMessage {
        address: vec![10, 0, 0, 1],
        length: 33,
        ..ElementMessage::default()
    };
    let from = Some(EndMessage {
        groups: Vec::new(),
        prefixes: vec![element],
    });
    assert_eq!(
        refused(RuleMessage {
            from,
            ..rule.clone()
        })
        .to_string(),
        "shop/r has a prefix of 33 bits of an address of 4 bytes"
    );
    let bad = RuleMessage {
        verdict: None,
        ..rule
    };
    assert_eq!(
        refused(bad).to_string(),
        "shop/r has action 0, which is none"
    );
}

//! dig as the resolver of a VM.

use crate::bed::Bed;
use coax_services::stand::Stand;

/// A VM that has its addresses and knows the gateways.
fn bed() -> Bed {
    let bed = Bed::new(Stand::routed());
    for address in ["10.10.1.11/24", "fd00:10:1::11/64"] {
        bed.must(&["ip", "addr", "add", address, "dev", &bed.device]);
    }
    for gateway in ["10.10.1.1", "fd00:10:1::1", "fe80::c0:a0ff:fe00:1"] {
        bed.know_gateway(gateway);
    }
    bed
}

fn dig(bed: &Bed, arguments: &[&str]) -> String {
    let command = ["dig", "+tries=1", "+time=3", "+norecurse"];
    bed.must(&[&command[..], arguments].concat())
}

#[test]
fn dig_finds_names_and_addresses_over_both_families() {
    let bed = bed();
    let link_local = format!("@fe80::c0:a0ff:fe00:1%{}", bed.device);
    for server in ["@10.10.1.1", "@fd00:10:1::1", &link_local] {
        for (question, expected) in [
            (&["web-1.web.shop", "A"][..], "10.10.1.11"),
            (&["web-1.web.shop", "AAAA"], "fd00:10:1::11"),
            (&["app-1.app.shop.cloud.example", "A"], "10.10.3.7"),
            (&["-x", "10.10.1.11"], "web-1.web.shop.cloud.example."),
            (&["-x", "fd00:10:1::11"], "web-1.web.shop.cloud.example."),
            (&["web.shop", "A"], "10.10.1.1"),
        ] {
            let text = dig(&bed, &[&[server, "+short"][..], question].concat());
            assert_eq!(text.trim(), expected, "{server} {question:?}");
        }
    }
}

#[test]
fn dig_tells_no_name_no_data_and_refusal_apart() {
    let bed = bed();
    for (question, status, soa) in [
        (&["web-9.web.shop", "A"][..], "NXDOMAIN", true),
        (&["app-1.app.shop", "AAAA"], "NOERROR", true),
        (&["-x", "10.10.1.99"], "NXDOMAIN", true),
        (&["www.example.org", "A"], "REFUSED", false),
        (&["version.bind", "CH", "TXT"], "REFUSED", false),
    ] {
        let text = dig(&bed, &[&["@10.10.1.1"][..], question].concat());
        assert!(
            text.contains(&format!("status: {status}")),
            "{question:?}\n{text}"
        );
        assert!(text.contains("ANSWER: 0"), "{question:?}\n{text}");
        assert_eq!(text.contains("\tSOA\t"), soa, "{question:?}\n{text}");
        assert!(!text.to_lowercase().contains("malformed"), "{text}");
    }
}

#[test]
fn dig_reads_zones_whole_names_and_any_case() {
    let bed = bed();
    let text = dig(&bed, &["@10.10.1.1", "web.shop.", "SOA", "+short"]);
    assert!(
        text.starts_with("web.shop. hostmaster.web.shop. 17 "),
        "{text}"
    );
    let text = dig(&bed, &["@10.10.1.1", "web.shop.", "NS", "+short"]);
    assert_eq!(text.trim(), "web.shop.");
    let text = dig(&bed, &["@10.10.1.1", "wEb-1.WEB.shop", "ANY", "+notcp"]);
    assert!(
        text.contains("ANSWER: 2") && text.contains("wEb-1.WEB.shop."),
        "{text}"
    );
    assert!(
        text.contains("10.10.1.11") && text.contains("fd00:10:1::11"),
        "{text}"
    );
}

#[test]
fn dig_speaks_of_extensions() {
    let bed = bed();
    let question = ["@10.10.1.1", "web-1.web.shop", "A"];
    let text = dig(&bed, &question);
    assert!(
        text.contains("EDNS: version: 0") && text.contains("udp: 1232"),
        "{text}"
    );
    let text = dig(&bed, &[&question[..], &["+edns=1", "+noednsneg"]].concat());
    assert!(text.contains("status: BADVERS"), "{text}");
    let text = dig(&bed, &[&question[..], &["+noedns"]].concat());
    assert!(
        !text.contains("EDNS") && text.contains("10.10.1.11"),
        "{text}"
    );
}

#[test]
fn dig_is_told_of_truncation() {
    let bed = bed();
    {
        let mut stand = bed.stand.lock().unwrap();
        let many = &mut stand.directory.networks[0].2[1];
        many.addresses = (0..100u8).map(|last| [10, 10, 1, last].into()).collect();
    }
    let question = ["@10.10.1.1", "web-2.web.shop", "A", "+ignore", "+noedns"];
    let text = dig(&bed, &question);
    assert!(text.contains(" tc") && text.contains("ANSWER: 0"), "{text}");
}

#[test]
fn dig_gets_nothing_where_there_is_no_dns() {
    let bed = bed();
    bed.stand.lock().unwrap().network.dns.answered = false;
    let (success, text) = bed.run(&["dig", "+tries=1", "+time=1", "@10.10.1.1", "web-1.web.shop"]);
    assert!(!success, "{text}");
    bed.wait_for("dns ignored");
}

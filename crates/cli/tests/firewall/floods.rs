//! More new flows than an agent can note: what is lost is counted, and the agent still does what it is asked.

use serde_json::Value;

use super::Tiers;
use super::lab::until;

/// A flood of new flows is counted where it cannot be noted; what guards drop is noted, too.
pub fn are_outlasted(tiers: &Tiers) {
    let flood = "import socket,time\n\
         s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); end=time.time()+1.5; n=0\n\
         while time.time()<end:\n \
          n+=1\n \
          s.sendto(b'x',('10.20.2.%d'%(n%250+2),n%65535+1))\n";
    let path = tiers.folder.path().join("flood.py");
    std::fs::write(&path, flood).unwrap();
    tiers
        .lab
        .at("client-2", &format!("python3 {}", path.display()));
    let last = tiers
        .lab
        .run(&["flows", "--host", "hv4", "--last", "5", "-o", "json"]);
    let said = String::from_utf8_lossy(&last.stderr).into_owned();
    assert!(said.contains("decisions were not noted"), "{said}");
    let flows: Value = serde_json::from_slice(&last.stdout).unwrap();
    assert_eq!(flows.as_array().unwrap().len(), 5, "{said}");
    assert_eq!(flows[4]["from"]["port"], "tiers/client-2");
    // The agent still does what it is asked.
    let connections = ["conntrack", "list", "--host", "hv4"];
    assert!(tiers.lab.run(&connections).status.success());
    // What guards drop is a flow, too, of the port that sent it.
    let forged = "ping -c 1 -W 1 -I 10.20.0.77 10.20.1.5";
    tiers
        .lab
        .at("client-2", "ip address add 10.20.0.77/32 dev lo");
    let words = format!("lab exec client-2 -- {forged}");
    tiers.lab.run(&words.split(' ').collect::<Vec<_>>());
    let guarded = [
        "flows",
        "--from",
        "client-2",
        "--reason",
        "forged-address",
        "-o",
        "json",
    ];
    until("the forged sender", || {
        let flows: Value = serde_json::from_str(&tiers.lab.done(&guarded)).unwrap();
        let found = flows.as_array().unwrap().last().cloned();
        found
            .filter(|flow| flow["verdict"] == "drop")
            .ok_or_else(|| flows.to_string())
    });
}

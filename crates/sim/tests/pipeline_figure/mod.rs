//! The figure of the pipeline: every stage of the table has its place in it, and the lines are
//! those that simulated frames really take.

use coax_pipeline::Stage;
use coax_sim::golden::{self, Case};
use coax_sim::{Side, Stand};
use std::collections::BTreeSet;
use std::fmt::Write;

const WIDTH: i32 = 104;
const HEIGHT: i32 = 36;

/// Centre of a stage's box.
const fn place(stage: Stage) -> (i32, i32) {
    match stage {
        Stage::Port => (190, 60),
        Stage::Parse => (320, 60),
        Stage::Guard => (450, 60),
        Stage::Mtu => (450, 130),
        Stage::Resolve => (580, 60),
        Stage::Punt => (450, 200),
        Stage::Route => (580, 290),
        Stage::Firewall => (580, 130),
        Stage::Decapsulate => (320, 270),
        Stage::Forward => (580, 200),
        Stage::Deliver => (740, 60),
        Stage::Replicate => (740, 340),
        Stage::Encapsulate => (740, 200),
        Stage::Underlay => (870, 200),
    }
}

/// Pairs of stages that follow each other on the way of some golden frame.
type Steps = BTreeSet<(Stage, Stage)>;

/// Last stages of frames that leave, and to which side.
type Exits = BTreeSet<(Stage, Side)>;

/// The ways of all golden frames.
fn ways() -> (Steps, Exits) {
    let stand = Stand::default();
    let (mut steps, mut exits) = (BTreeSet::new(), BTreeSet::new());
    for name in golden::names().unwrap() {
        for outcome in Case::read(&name, &stand).unwrap().outcomes {
            steps.extend(outcome.stages.windows(2).map(|pair| (pair[0], pair[1])));
            let last = outcome.stages.last().copied().unwrap();
            let answer = matches!(last, Stage::Mtu | Stage::Resolve | Stage::Firewall);
            for (device, _) in outcome.sent() {
                let uplink = stand.device(device).unwrap().is_uplink();
                if !answer {
                    exits.insert((last, if uplink { Side::Uplink } else { Side::Port }));
                }
            }
        }
    }
    (steps, exits)
}

/// The figure as SVG.
pub fn draw() -> String {
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-20 0 1100 400\" font-family=\"sans-serif\" font-size=\"14\">\n\
         <title>The stages of the pipeline and the ways of frames through them</title>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\" fill=\"#345\"/></marker></defs>\n\
         <rect x=\"-20\" width=\"1100\" height=\"400\" fill=\"#fff\"/>\n",
    );
    let (steps, exits) = ways();
    line(&mut svg, (100, 60), edge_towards(Stage::Port, (100, 60)));
    line(
        &mut svg,
        (100, 200),
        edge_towards(Stage::Decapsulate, (100, 200)),
    );
    for (from, to) in &steps {
        let start = edge_towards(*from, place(*to));
        line(&mut svg, start, edge_towards(*to, place(*from)));
    }
    for (stage, side) in &exits {
        let end = match (stage, side) {
            (Stage::Replicate, Side::Port) => (960, 325),
            (Stage::Replicate, Side::Uplink) => (960, 355),
            (stage, _) => (960, place(*stage).1),
        };
        line(&mut svg, edge_towards(*stage, end), end);
    }
    for stage in Stage::ALL {
        let (x, y) = place(*stage);
        let _ = writeln!(
            svg,
            "<a href=\"{name}.md\"><rect x=\"{}\" y=\"{}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\" \
             fill=\"#e8f0f8\" stroke=\"#345\"/><text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{name}</text></a>",
            x - WIDTH / 2,
            y - HEIGHT / 2,
            y + 5,
            name = stage.name(),
        );
    }
    for (x, y, anchor, words) in [
        (92, 65, "end", "from a VM"),
        (92, 205, "end", "from the fabric"),
        (966, 65, "start", "to a VM"),
        (966, 205, "start", "to the fabric"),
        (966, 330, "start", "copies to VMs"),
        (966, 360, "start", "to the fabric"),
    ] {
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"#555\" font-size=\"12\">{words}</text>"
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where a line from `other` meets the box of a stage.
fn edge_towards(stage: Stage, other: (i32, i32)) -> (i32, i32) {
    let (x, y) = place(stage);
    let (dx, dy) = (other.0 - x, other.1 - y);
    if dx.abs() * HEIGHT >= dy.abs() * WIDTH {
        let half = WIDTH / 2 * dx.signum();
        (x + half, y + dy * half / dx)
    } else {
        let half = HEIGHT / 2 * dy.signum();
        (x + dx * half / dy, y + half)
    }
}

fn line(svg: &mut String, from: (i32, i32), to: (i32, i32)) {
    let _ = writeln!(
        svg,
        "<path d=\"M{} {}L{} {}\" stroke=\"#345\" fill=\"none\" marker-end=\"url(#tip)\"/>",
        from.0, from.1, to.0, to.1
    );
}

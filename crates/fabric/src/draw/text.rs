//! The drawing for a terminal: one row of boxes per tier, VMs under their hosts, and a list of
//! links, because lines between boxes are unreadable in characters beyond a handful of nodes.

use std::fmt::Write;

use super::Drawing;
use crate::topology::{NodeId, Tier};

/// Space between two boxes.
const GAP: usize = 2;

pub(super) fn render(drawing: &Drawing) -> String {
    let mut out = format!("{}\n", drawing.title);
    let rows = Tier::ALL.map(|tier| row(drawing, tier));
    let width = rows.iter().map(|row| row.width()).max().unwrap_or(0);
    for row in &rows {
        out.push('\n');
        row.render(width, &mut out);
    }
    out.push('\n');
    links(drawing, &mut out);
    out
}

/// The boxes of a tier.
struct Row {
    tier: Tier,
    boxes: Vec<Vec<String>>,
}

fn row(drawing: &Drawing, tier: Tier) -> Row {
    let content = |id| {
        let mut lines = vec![drawing.topology.name(id).to_string()];
        lines.extend(drawing.vms_of(id).iter().map(|vm| {
            let mark = if vm.active { "" } else { " (down)" };
            format!("{}{mark}", vm.name)
        }));
        lines
    };
    Row {
        tier,
        boxes: drawing
            .topology
            .tier(tier)
            .map(|(id, _)| content(id))
            .collect(),
    }
}

impl Row {
    fn widths(&self) -> impl Iterator<Item = usize> {
        let longest = |lines: &Vec<String>| lines.iter().map(|l| l.chars().count()).max();
        self.boxes.iter().map(move |b| longest(b).unwrap_or(0) + 4)
    }

    fn width(&self) -> usize {
        self.widths()
            .map(|w| w + GAP)
            .sum::<usize>()
            .saturating_sub(GAP)
    }

    fn render(&self, width: usize, out: &mut String) {
        let height = self.boxes.iter().map(Vec::len).max().unwrap_or(0);
        let indent = " ".repeat((width - self.width()) / 2);
        let edges = |left, right| {
            let bars = self
                .widths()
                .map(|w| format!("{left}{}{right}", "─".repeat(w - 2)));
            bars.collect::<Vec<_>>().join(&" ".repeat(GAP))
        };
        let _ = writeln!(out, "{:<6}{indent}{}", self.tier.name(), edges('┌', '┐'));
        for line in 0..height {
            let cells = self.boxes.iter().zip(self.widths()).map(|(lines, width)| {
                let text = lines.get(line).map_or("", String::as_str);
                format!("│ {text:<pad$} │", pad = width - 4)
            });
            let cells = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
            let _ = writeln!(out, "{:<6}{indent}{cells}", "");
        }
        let _ = writeln!(out, "{:<6}{indent}{}", "", edges('└', '┘'));
    }
}

/// Every leaf and host with the nodes above it; dead links are marked in words.
fn links(drawing: &Drawing, out: &mut String) {
    let topology = drawing.topology;
    let uplinks = |node: NodeId| {
        let links = topology
            .links_of(node)
            .iter()
            .map(|id| (*id, topology.link(*id)));
        let up = links
            .filter(move |(_, link)| link.lower == node)
            .map(|(id, link)| {
                let mark = if drawing.state.is_up(id) {
                    ""
                } else {
                    " (down)"
                };
                format!("{}{mark}", topology.name(link.upper))
            });
        up.collect::<Vec<_>>().join(", ")
    };
    for tier in [Tier::Leaf, Tier::Host] {
        for (id, node) in topology.tier(tier) {
            let _ = writeln!(out, "{:<12} up to {}", node.name, uplinks(id));
        }
    }
}

//! The drawing as SVG: tiers top to bottom, each centred; VMs as coloured labels in their host's
//! box. Colours come from the document's own style sheet, with a dark variant; what is down is
//! also dashed, so that nothing depends on colour alone.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Drawing, Vm};
use crate::topology::{NodeId, Tier};

const BOX_WIDTH: usize = 132;
const BOX_HEIGHT: usize = 34;
const VM_HEIGHT: usize = 22;
const COLUMN: usize = BOX_WIDTH + 24;
const ROW: usize = 120;
const MARGIN: usize = 32;
/// Left of the boxes: the names of the tiers.
const LABELS: usize = 64;
/// Colours that stay apart for the colour-blind (Okabe and Ito).
const PALETTE: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8a7b00",
];

const STYLE: &str = "\
svg { background: #fff; font: 13px system-ui, sans-serif }
.node { fill: #f4f5f7; stroke: #444 }
.link { stroke: #888; stroke-width: 1.5 }
.down { stroke: #c00; stroke-dasharray: 5 4 }
text { fill: #111; text-anchor: middle }
.tier { fill: #777; text-anchor: start }
.vm { fill: #fff; font-size: 12px }
.off { opacity: .45 }
@media (prefers-color-scheme: dark) {
svg { background: #16181d }
.node { fill: #23262e; stroke: #aaa }
text { fill: #eee }
}";

pub(super) fn render(drawing: &Drawing) -> String {
    let places = layout(drawing);
    let columns = widest(drawing);
    let tallest = Tier::ALL
        .map(|tier| tallest(drawing, tier))
        .into_iter()
        .max();
    let width = 2 * MARGIN + LABELS + columns * COLUMN;
    let legend = 24 * usize::from(!drawing.vms.is_empty());
    let height = 2 * MARGIN + 24 + 2 * ROW + tallest.unwrap_or(BOX_HEIGHT) + legend;
    let mut out = String::new();
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">"#
    );
    let title = escape(drawing.title);
    let _ = writeln!(out, "<title>{title}</title>\n<style>\n{STYLE}\n</style>");
    let _ = writeln!(
        out,
        r#"<text x="{}" y="{MARGIN}">{title}</text>"#,
        width / 2
    );
    lines(drawing, &places, &mut out);
    for (row, tier) in Tier::ALL.into_iter().enumerate() {
        let y = top(row) + 21;
        let _ = writeln!(
            out,
            r#"<text class="tier" x="{MARGIN}" y="{y}">{}</text>"#,
            tier.name()
        );
    }
    for (id, (x, y)) in &places {
        node(drawing, *id, *x, *y, &mut out);
    }
    key(drawing, height, &mut out);
    out.push_str("</svg>\n");
    out
}

fn top(row: usize) -> usize {
    MARGIN + 24 + row * ROW
}

fn widest(drawing: &Drawing) -> usize {
    let counts = Tier::ALL.map(|tier| drawing.topology.tier(tier).count());
    counts.into_iter().max().unwrap_or(1)
}

fn box_height(drawing: &Drawing, id: NodeId) -> usize {
    BOX_HEIGHT + VM_HEIGHT * drawing.vms_of(id).len()
}

fn tallest(drawing: &Drawing, tier: Tier) -> usize {
    let heights = drawing
        .topology
        .tier(tier)
        .map(|(id, _)| box_height(drawing, id));
    heights.max().unwrap_or(BOX_HEIGHT)
}

/// Upper left corner of every node's box.
fn layout(drawing: &Drawing) -> BTreeMap<NodeId, (usize, usize)> {
    let columns = widest(drawing);
    let mut places = BTreeMap::new();
    for (row, tier) in Tier::ALL.into_iter().enumerate() {
        let count = drawing.topology.tier(tier).count();
        let left = MARGIN + LABELS + (columns - count) * COLUMN / 2;
        for (index, (id, _)) in drawing.topology.tier(tier).enumerate() {
            places.insert(id, (left + index * COLUMN, top(row)));
        }
    }
    places
}

fn lines(drawing: &Drawing, places: &BTreeMap<NodeId, (usize, usize)>, out: &mut String) {
    for (id, link) in drawing.topology.links() {
        let (Some((x1, y1)), Some((x2, y2))) = (places.get(&link.upper), places.get(&link.lower))
        else {
            continue;
        };
        let class = if drawing.state.is_up(id) {
            "link"
        } else {
            "link down"
        };
        let (x1, x2) = (x1 + BOX_WIDTH / 2, x2 + BOX_WIDTH / 2);
        let y1 = y1 + BOX_HEIGHT;
        let _ = writeln!(
            out,
            r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#
        );
    }
}

fn node(drawing: &Drawing, id: NodeId, x: usize, y: usize, out: &mut String) {
    let height = box_height(drawing, id);
    let middle = x + BOX_WIDTH / 2;
    let _ = writeln!(
        out,
        r#"<rect class="node" x="{x}" y="{y}" width="{BOX_WIDTH}" height="{height}" rx="5"/>"#
    );
    let name = drawing.topology.name(id);
    let _ = writeln!(out, r#"<text x="{middle}" y="{}">{name}</text>"#, y + 21);
    for (index, vm) in drawing.vms_of(id).into_iter().enumerate() {
        let y = y + BOX_HEIGHT - 4 + index * VM_HEIGHT;
        label(drawing, vm, x + 6, y, out);
    }
}

fn label(drawing: &Drawing, vm: &Vm, x: usize, y: usize, out: &mut String) {
    let class = if vm.active { "" } else { r#" class="off""# };
    let colour = colour(drawing, &vm.network);
    let (width, height) = (BOX_WIDTH - 12, VM_HEIGHT - 4);
    let down = if vm.active { "" } else { " (down)" };
    let (middle, base, name) = (x + width / 2, y + 13, escape(&vm.name));
    let network = escape(&vm.network);
    let _ = writeln!(
        out,
        r#"<g{class}><title>{name} on {network}{down}</title><rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" fill="{colour}"/><text class="vm" x="{middle}" y="{base}">{name}</text></g>"#
    );
}

fn colour(drawing: &Drawing, network: &str) -> &'static str {
    let networks = drawing.networks();
    let place = networks.iter().position(|n| *n == network).unwrap_or(0);
    PALETTE[place % PALETTE.len()]
}

/// Which colour is which network.
fn key(drawing: &Drawing, height: usize, out: &mut String) {
    let y = height - MARGIN / 2;
    for (index, network) in drawing.networks().into_iter().enumerate() {
        let x = MARGIN + LABELS + index * COLUMN;
        let fill = colour(drawing, network);
        let (top, text, network) = (y - 11, x + 18, escape(network));
        let _ = writeln!(
            out,
            r#"<rect x="{x}" y="{top}" width="12" height="12" fill="{fill}"/><text class="tier" x="{text}" y="{y}">{network}</text>"#
        );
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

//! The form of a golden case in its file.

use super::Case;
use super::punt_text::{LimitText, PuntText};
use super::rows_text::RowsText;
use crate::{Device, Enters, Outcome, Scenario, Side, Stand, Tally};
use coax_pipeline::{Stage, Verdict};
use coax_tables::{Counters, DropReason};
use serde::{Deserialize, Serialize};
use serde_saphyr::FlowMap;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// A whole file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseText {
    /// What the case shows.
    pub about: String,
    /// Why it is not played through the kernel's test-run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_test_run: Option<String>,
    /// Why it is not played with real packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_packets: Option<String>,
    /// The host's rows.
    pub rows: RowsText,
    /// What ports did too often already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exhausted: Vec<FlowMap<LimitText>>,
    /// The frames with what becomes of them.
    pub frames: Vec<FrameText>,
    /// Counters by slot after the last frame.
    pub counters: BTreeMap<u32, SlotText>,
    /// What each firewall rule decided, by its number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hits: BTreeMap<u32, u64>,
}

/// A frame and its outcome.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameText {
    /// The device by which it enters.
    pub enters: String,
    /// The side, where the device's name does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<String>,
    /// The bytes.
    pub bytes: String,
    /// Payload of each segment.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub segment_payload: u32,
    /// Milliseconds that pass before it enters.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub after: u32,
    /// The stages that it enters.
    pub stages: String,
    /// The verdict.
    pub verdict: String,
    /// Why it is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Copies that leave before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<CopyText>,
    /// What the agent gets to know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub punt: Option<FlowMap<PuntText>>,
    /// The device by which it leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves: Option<String>,
    /// The bytes with which it leaves, or which the agent gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
}

/// A copy and the device by which it leaves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyText {
    /// The device.
    pub leaves: String,
    /// The bytes.
    pub frame: String,
}

macro_rules! slot_text {
    ($($field:ident),+) => {
        /// Counters of one slot; zeros are left out.
        #[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct SlotText {
            $(
                /// As in the counters' row.
                #[serde(default, skip_serializing_if = "is_nothing")]
                pub $field: u64,
            )+
            /// Drops by reason.
            #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
            pub drops: BTreeMap<String, u64>,
        }

        impl SlotText {
            fn of(tally: &Tally) -> Self {
                let drops = tally.drops.iter();
                Self {
                    $($field: tally.counters.$field,)+
                    drops: drops.map(|(reason, count)| (reason.name().to_owned(), *count)).collect(),
                }
            }

            fn tally(&self) -> Result<Tally, String> {
                let mut drops = BTreeMap::new();
                for (name, count) in &self.drops {
                    drops.insert(reason_named(name)?, *count);
                }
                Ok(Tally { counters: Counters { $($field: self.$field),+ }, drops })
            }
        }
    };
}

slot_text!(
    received_frames,
    received_bytes,
    sent_frames,
    sent_bytes,
    answered,
    flooded,
    copies,
    unknown_unicast,
    punted
);

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_nothing(number: &u64) -> bool {
    *number == 0
}

const VERDICTS: [(Verdict, &str); 9] = [
    (Verdict::Next, "next"),
    (Verdict::Pass, "pass"),
    (Verdict::Drop, "drop"),
    (Verdict::Deliver, "deliver"),
    (Verdict::Send, "send"),
    (Verdict::SendUnresolved, "send-unresolved"),
    (Verdict::Answer, "answer"),
    (Verdict::Flood, "flood"),
    (Verdict::Punt, "punt"),
];

fn verdict_named(name: &str) -> Result<Verdict, String> {
    let found = VERDICTS.iter().find(|(_, own)| *own == name);
    found
        .map(|(verdict, _)| *verdict)
        .ok_or_else(|| format!("no verdict `{name}`"))
}

fn verdict_name(verdict: Verdict) -> String {
    let found = VERDICTS.iter().find(|(own, _)| *own == verdict);
    found
        .map(|(_, name)| (*name).to_owned())
        .unwrap_or_default()
}

fn reason_named(name: &str) -> Result<DropReason, String> {
    let found = DropReason::ALL.iter().find(|reason| reason.name() == name);
    found.copied().ok_or_else(|| format!("no reason `{name}`"))
}

fn stage_named(name: &str) -> Result<Stage, String> {
    let found = Stage::ALL.iter().find(|stage| stage.name() == name);
    found.copied().ok_or_else(|| format!("no stage `{name}`"))
}

pub(super) fn device_named(name: &str) -> Result<Device, String> {
    Device::named(name).ok_or_else(|| format!("no device `{name}`"))
}

pub(super) fn device_name(stand: &Stand, index: u32) -> String {
    stand
        .device(index)
        .map_or_else(|| format!("#{index}"), |device| device.name().to_owned())
}

/// Equal bytes in a row from which on they are counted instead of written.
const RUN: usize = 48;

/// Sixteen bytes in a line; many equal ones as `78 times 1000`.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut rest = bytes;
    let mut column = 16;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|byte| *byte == first).count();
        if run >= RUN {
            lines.push(format!("{first:02x} times {run}"));
            rest = &rest[run..];
            column = 16;
            continue;
        }
        if column == 16 {
            lines.push(String::new());
            column = 0;
        }
        let gap = match column {
            0 => "",
            8 => "  ",
            _ => " ",
        };
        if let Some(line) = lines.last_mut() {
            let _ = write!(line, "{gap}{first:02x}");
        }
        rest = &rest[1..];
        column += 1;
    }
    lines.join("\n")
}

pub(super) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let byte =
        |text: &str| u8::from_str_radix(text, 16).map_err(|error| format!("`{text}`: {error}"));
    let mut bytes = Vec::new();
    for line in text.lines() {
        if let Some((value, count)) = line.split_once(" times ") {
            let count: usize = count
                .trim()
                .parse()
                .map_err(|error| format!("`{line}`: {error}"))?;
            bytes.extend(std::iter::repeat_n(byte(value.trim())?, count));
        } else {
            for text in line.split_whitespace() {
                bytes.push(byte(text)?);
            }
        }
    }
    Ok(bytes)
}

impl FrameText {
    fn of(frame: &Enters, outcome: &Outcome, stand: &Stand) -> Self {
        let name = |index| device_name(stand, index);
        let stages: Vec<&str> = outcome.stages.iter().map(|stage| stage.name()).collect();
        let usual = Enters::new(frame.device, Vec::new()).side;
        let copies = outcome.copies.iter().map(|(index, bytes)| CopyText {
            leaves: name(*index),
            frame: hex(bytes),
        });
        let punt = outcome.punt.as_ref();
        let frame_out = punt.map(|punt| &punt.frame).or(outcome.frame.as_ref());
        Self {
            enters: frame.device.name().to_owned(),
            side: (frame.side != usual).then(|| side_name(frame.side).to_owned()),
            bytes: hex(&frame.bytes),
            segment_payload: frame.segment_payload,
            after: frame.after.as_millis() as u32,
            stages: stages.join(" "),
            verdict: verdict_name(outcome.verdict),
            reason: outcome.reason.map(|reason| reason.name().to_owned()),
            copies: copies.collect(),
            punt: punt.map(|punt| FlowMap(PuntText::of(punt, stand))),
            leaves: outcome.device.map(name),
            frame: frame_out.map(|bytes| hex(bytes)),
        }
    }

    fn enters(&self) -> Result<Enters, String> {
        let mut enters = Enters::new(device_named(&self.enters)?, unhex(&self.bytes)?);
        enters.segment_payload = self.segment_payload;
        enters.after = Duration::from_millis(self.after.into());
        match self.side.as_deref() {
            None => {}
            Some("port") => enters.side = Side::Port,
            Some("uplink") => enters.side = Side::Uplink,
            Some(other) => return Err(format!("no side `{other}`")),
        }
        Ok(enters)
    }

    fn outcome(&self, stand: &Stand) -> Result<Outcome, String> {
        let index = |name: &str| device_named(name).map(|device| stand.index(device));
        let stages = self.stages.split_whitespace().map(stage_named);
        let copies = self
            .copies
            .iter()
            .map(|copy| Ok((index(&copy.leaves)?, unhex(&copy.frame)?)));
        let frame = self.frame.as_deref().map(unhex).transpose()?;
        let (frame, punt) = match (&self.punt, frame) {
            (Some(FlowMap(punt)), frame) => {
                (None, Some(punt.punt(frame.unwrap_or_default(), stand)?))
            }
            (None, frame) => (frame, None),
        };
        Ok(Outcome {
            verdict: verdict_named(&self.verdict)?,
            reason: self.reason.as_deref().map(reason_named).transpose()?,
            device: self.leaves.as_deref().map(index).transpose()?,
            frame,
            copies: copies.collect::<Result<_, String>>()?,
            punt,
            stages: stages.collect::<Result<_, String>>()?,
        })
    }
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Port => "port",
        Side::Uplink => "uplink",
    }
}

impl CaseText {
    /// The text of a case that was played on `stand`.
    pub fn of(case: &Case, stand: &Stand) -> Self {
        let frames = case.scenario.frames.iter().zip(&case.outcomes);
        let slots = case.tallies.iter();
        let exhausted = case.scenario.exhausted.iter();
        Self {
            about: case.about.clone(),
            no_test_run: case.no_test_run.clone(),
            no_packets: case.no_packets.clone(),
            rows: RowsText::of(&case.scenario.rows, stand),
            exhausted: exhausted.map(|of| FlowMap(LimitText::of(of))).collect(),
            frames: frames
                .map(|(frame, outcome)| FrameText::of(frame, outcome, stand))
                .collect(),
            counters: slots
                .map(|(slot, tally)| (*slot, SlotText::of(tally)))
                .collect(),
            hits: case.hits.clone(),
        }
    }

    /// The case for a stand.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn case(&self, stand: &Stand) -> Result<Case, String> {
        let frames = self.frames.iter().map(FrameText::enters);
        let outcomes = self.frames.iter().map(|frame| frame.outcome(stand));
        let exhausted = self.exhausted.iter().map(|FlowMap(text)| text.exhausted());
        let tallies = self
            .counters
            .iter()
            .map(|(slot, text)| Ok((*slot, text.tally()?)));
        Ok(Case {
            about: self.about.clone(),
            no_test_run: self.no_test_run.clone(),
            no_packets: self.no_packets.clone(),
            scenario: Scenario {
                rows: self.rows.rows(stand)?,
                frames: frames.collect::<Result<_, String>>()?,
                exhausted: exhausted.collect::<Result<_, String>>()?,
            },
            outcomes: outcomes.collect::<Result<_, String>>()?,
            tallies: tallies.collect::<Result<_, String>>()?,
            hits: self.hits.clone(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_so_that_people_can_read_them() {
        let mut bytes: Vec<u8> = (0..20).collect();
        bytes.extend([7; 100]);
        bytes.push(8);
        let text = hex(&bytes);
        assert!(text.ends_with("\n10 11 12 13\n07 times 100\n08"), "{text}");
        assert_eq!(unhex(&text).unwrap(), bytes);
        assert_eq!(unhex("").unwrap(), []);
        assert!(unhex("0g").is_err() && unhex("00 times x").is_err());
    }
}

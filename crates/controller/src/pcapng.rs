//! Captured frames as a pcapng file (draft-ietf-opsawg-pcapng): a section with one interface, then one enhanced packet
//! block for each frame, with its direction and, as comment, what the vSwitch did with it.

use coax_api::question::CapturedFrame;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const ETHERNET: u16 = 1;
const END: u16 = 0;
const COMMENT: u16 = 1;
/// Of a section: the program that wrote it.
const APPLICATION: u16 = 4;
/// Of an interface.
const NAME: u16 = 2;
const DESCRIPTION: u16 = 3;
const RESOLUTION: u16 = 9;
const NANOSECONDS: u8 = 9;
/// Of a packet: bits 0 and 1 are the direction.
const FLAGS: u16 = 2;
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// What a file starts with: a section and its only interface, the port.
pub fn start(port: &str, host: &str) -> Vec<u8> {
    let mut section = Vec::new();
    section.extend(BYTE_ORDER.to_le_bytes());
    // Version 1.0, and a length that is not known yet.
    section.extend([1, 0, 0, 0]);
    section.extend([0xff; 8]);
    let application = format!("coax {}", env!("CARGO_PKG_VERSION"));
    option(&mut section, APPLICATION, application.as_bytes());
    option(&mut section, END, &[]);

    let mut interface = Vec::new();
    interface.extend(ETHERNET.to_le_bytes());
    interface.extend([0; 2]);
    // No limit to the length of frames.
    interface.extend([0; 4]);
    option(&mut interface, NAME, port.as_bytes());
    let description = format!("the vSwitch of {host}; inbound is from the VM");
    option(&mut interface, DESCRIPTION, description.as_bytes());
    option(&mut interface, RESOLUTION, &[NANOSECONDS]);
    option(&mut interface, END, &[]);
    [
        block(SECTION_HEADER, &section),
        block(INTERFACE, &interface),
    ]
    .concat()
}

/// One frame.
pub fn packet(frame: &CapturedFrame) -> Vec<u8> {
    let length = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
    let mut body = Vec::new();
    body.extend([0; 4]);
    body.extend(((frame.nanoseconds >> 32) as u32).to_le_bytes());
    body.extend((frame.nanoseconds as u32).to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(length.to_le_bytes());
    padded(&mut body, &frame.bytes);
    if !frame.comment.is_empty() {
        option(&mut body, COMMENT, frame.comment.as_bytes());
    }
    let direction = if frame.to_vm { OUTBOUND } else { INBOUND };
    option(&mut body, FLAGS, &direction.to_le_bytes());
    option(&mut body, END, &[]);
    block(ENHANCED_PACKET, &body)
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 12)
        .unwrap_or(u32::MAX)
        .to_le_bytes();
    let mut block = kind.to_le_bytes().to_vec();
    block.extend(length);
    block.extend(body);
    block.extend(length);
    block
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    padded(body, value);
}

/// Everything starts at a multiple of four bytes.
fn padded(body: &mut Vec<u8>, value: &[u8]) {
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::Command;

    fn frame(to_vm: bool, comment: &str) -> CapturedFrame {
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
        bytes.extend([7; 33]);
        CapturedFrame {
            nanoseconds: 1_700_000_000_123_456_789,
            to_vm,
            bytes,
            comment: comment.to_owned(),
        }
    }

    /// tshark reads what is written, as it is meant.
    #[test]
    fn tshark_reads_frames_directions_and_comments() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&start("shop/web-1", "hv1")).unwrap();
        file.write_all(&packet(&frame(false, "dropped as forged-source")))
            .unwrap();
        file.write_all(&packet(&frame(true, "handed to shop/web-1")))
            .unwrap();
        let tshark = Command::new("tshark")
            .arg("-r")
            .arg(file.path())
            .args(["-T", "fields", "-E", "separator=|"])
            .args([
                "-e",
                "frame.time_epoch",
                "-e",
                "frame.len",
                "-e",
                "frame.interface_name",
            ])
            .args(["-e", "frame.packet_flags_direction", "-e", "frame.comment"])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&tshark.stderr).into_owned();
        assert!(tshark.status.success(), "{errors}");
        let text = String::from_utf8(tshark.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        for (line, direction, comment) in [
            (lines[0], "1", "dropped as forged-source"),
            (lines[1], "2", "handed to shop/web-1"),
        ] {
            let fields: Vec<&str> = line.split('|').collect();
            assert_eq!(fields[0], "1700000000.123456789");
            assert_eq!(fields[1..3], ["47", "shop/web-1"]);
            assert!(fields[3].ends_with(direction), "{line}");
            assert_eq!(fields[4], comment);
        }
    }
}

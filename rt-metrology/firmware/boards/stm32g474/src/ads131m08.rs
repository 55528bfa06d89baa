//! Frames of the ADS131M08: ten words of 24 bits each way; command or status first, then a word per channel, then the
//! CRC (data sheet SBAS950, 8.5.1).

use metrology_dsp::CHANNELS;

/// Channels of the converter. The last one is not used.
const CONVERTER_CHANNELS: usize = 8;
/// Bytes of a frame.
pub const FRAME: usize = (1 + CONVERTER_CHANNELS + 1) * WORD;
const WORD: usize = 3;
const CRC_AT: usize = FRAME - WORD;

/// Clock at the converter's CLKIN, Hz. The modulator runs at half of it.
pub const CLKIN_HZ: u32 = 8_192_000;

const WREG: u16 = 0x6000;
const REG_MODE: u16 = 0x02;
const REG_CLOCK: u16 = 0x03;
/// Words of 24 bits, time-out of unfinished frames, data-ready as a level that falls for the latest of all channels; the
/// bit that tells of a reset is cleared.
const MODE: u16 = 0x0110;
/// All channels on.
const CLOCK_CHANNELS: u16 = 0xFF00;
/// High resolution.
const CLOCK_POWER: u16 = 0b10;

/// STATUS: the registers have changed in a way that nobody asked for.
const STATUS_REG_MAP: u16 = 1 << 13;
/// STATUS: the converter was reset, so its registers stand at what it starts with.
const STATUS_RESET: u16 = 1 << 10;
/// STATUS: new data in the channels that are used.
const STATUS_NEW: u16 = (1 << CHANNELS) - 1;

/// Why a frame is no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The check at the end is wrong: damaged on the way, or no converter is there.
    Crc,
    /// The converter was reset or its registers changed: it must be set up again.
    Reset,
    /// A channel has nothing new.
    Stale,
}

/// The samples of a frame: U1 U2 U3 I1 I2 I3 IN, counts of 24 bits with sign.
///
/// # Errors
/// See [`Fault`]. A damaged frame says nothing else.
pub fn decode(frame: &[u8; FRAME]) -> Result<[i32; CHANNELS], Fault> {
    let (checked, check) = frame.split_at(CRC_AT);
    if crc16(checked) != u16::from_be_bytes([check[0], check[1]]) {
        return Err(Fault::Crc);
    }
    let status = u16::from_be_bytes([frame[0], frame[1]]);
    if status & (STATUS_RESET | STATUS_REG_MAP) != 0 {
        return Err(Fault::Reset);
    }
    if status & STATUS_NEW != STATUS_NEW {
        return Err(Fault::Stale);
    }
    let mut counts = [0; CHANNELS];
    for (count, word) in counts.iter_mut().zip(frame[WORD..].chunks_exact(WORD)) {
        // Into the upper bits and back down, which carries the sign.
        *count = i32::from_be_bytes([word[0], word[1], word[2], 0]) >> 8;
    }
    Ok(counts)
}

/// Frames that set the converter up for a rate, in this order. `None` for a rate it is not used at.
pub fn set_up(rate_hz: u32) -> Option<[[u8; FRAME]; 2]> {
    // Oversampling by 128, 256 or 512.
    let oversampling: u16 = match CLKIN_HZ / 2 / rate_hz.max(1) {
        128 => 0,
        256 => 1,
        512 => 2,
        _ => return None,
    };
    let clock = CLOCK_CHANNELS | oversampling << 2 | CLOCK_POWER;
    Some([write(REG_MODE, MODE), write(REG_CLOCK, clock)])
}

/// Writes one register. The converter looks at the check of a command only when told to, and is not.
fn write(register: u16, value: u16) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    frame[..2].copy_from_slice(&(WREG | register << 7).to_be_bytes());
    frame[WORD..WORD + 2].copy_from_slice(&value.to_be_bytes());
    frame
}

/// CRC-16 with polynomial 0x1021, begun with all ones (data sheet, 8.5.1.8).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| crc << 8 ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

/// 27 bytes for each sample: bit by bit they would take 4 % of the processor at 32 kS/s.
static TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(status: u16, words: [i32; CONVERTER_CHANNELS]) -> [u8; FRAME] {
        let mut frame = [0; FRAME];
        frame[..2].copy_from_slice(&status.to_be_bytes());
        for (at, word) in words.iter().enumerate() {
            frame[3 + at * 3..6 + at * 3].copy_from_slice(&word.to_be_bytes()[1..]);
        }
        seal(&mut frame);
        frame
    }

    fn seal(frame: &mut [u8; FRAME]) {
        // Bit by bit, beside the table.
        let mut crc = 0xFFFF_u16;
        for byte in &frame[..27] {
            for bit in (0..8).rev() {
                let feedback = (crc >> 15) ^ u16::from(byte >> bit & 1);
                crc = crc << 1 ^ if feedback == 1 { 0x1021 } else { 0 };
            }
        }
        frame[27..29].copy_from_slice(&crc.to_be_bytes());
    }

    const ALL_NEW: u16 = 0x05FF & !STATUS_RESET;
    const COUNTS: [i32; 8] = [0x7F_FFFF, -0x80_0000, 0, 1, -1, 0x12_3456, -0x12_3456, 77];

    #[test]
    fn the_check_is_the_known_one() {
        // The value that catalogues of CRCs give for CRC-16/IBM-3740.
        assert_eq!(crc16(b"123456789"), 0x29B1);
    }

    #[test]
    fn words_become_signed_counts_in_order() {
        assert_eq!(decode(&frame(ALL_NEW, COUNTS)), Ok([0x7F_FFFF, -0x80_0000, 0, 1, -1, 0x12_3456, -0x12_3456]));
    }

    #[test]
    fn any_damaged_bit_is_found() {
        let good = frame(ALL_NEW, COUNTS);
        for bit in 0..29 * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad), Err(Fault::Crc), "bit {bit}");
        }
    }

    #[test]
    fn a_line_that_is_stuck_is_no_sample() {
        assert_eq!(decode(&[0; FRAME]), Err(Fault::Crc));
        assert_eq!(decode(&[0xFF; FRAME]), Err(Fault::Crc));
    }

    #[test]
    fn resets_and_stale_channels_are_told() {
        assert_eq!(decode(&frame(ALL_NEW | STATUS_RESET, COUNTS)), Err(Fault::Reset));
        assert_eq!(decode(&frame(ALL_NEW | STATUS_REG_MAP, COUNTS)), Err(Fault::Reset));
        assert_eq!(decode(&frame(ALL_NEW & !(1 << 3), COUNTS)), Err(Fault::Stale));
        // The eighth channel is nobody's.
        assert!(decode(&frame(ALL_NEW & !(1 << 7), COUNTS)).is_ok());
    }

    #[test]
    fn rates_are_set_by_oversampling() {
        let clock = |rate| set_up(rate).map(|frames| (frames[1][0], frames[1][1], frames[1][3], frames[1][4]));
        // WREG of register 3, one word; then its value.
        assert_eq!(clock(8_000), Some((0x61, 0x80, 0xFF, 0x0A)));
        assert_eq!(clock(16_000), Some((0x61, 0x80, 0xFF, 0x06)));
        assert_eq!(clock(32_000), Some((0x61, 0x80, 0xFF, 0x02)));
        assert_eq!(clock(0), None);
        assert_eq!(clock(8_001), None);
        let [mode, _] = set_up(8_000).unwrap();
        assert_eq!((mode[0], mode[1], mode[3], mode[4]), (0x61, 0x00, 0x01, 0x10));
    }
}

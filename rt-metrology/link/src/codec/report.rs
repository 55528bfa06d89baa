//! Layouts of reports.

use super::{PageError, Reader, Wire, Writer, wire_struct};
use crate::payload::{
    CHANNELS, HARMONIC_ORDERS, HarmonicChannel, HarmonicReport, INTERVAL_VALUES, Interval, OCCURRENCES, PHASES,
    REPORT_DATA, ReportFlags, ReportKind, ReportRecord, TEN_SECONDS, WAVE_CHANNELS, WAVE_SAMPLES, WavePiece,
};

impl Wire for ReportKind {
    const LEN: usize = 1;
    fn put(&self, w: &mut Writer<'_>) {
        w.u8(self.0);
    }
    fn take(r: &mut Reader<'_>) -> Result<ReportKind, PageError> {
        Ok(ReportKind(r.u8()?))
    }
}

impl Wire for ReportFlags {
    const LEN: usize = 2;
    fn put(&self, w: &mut Writer<'_>) {
        w.u16(self.0);
    }
    fn take(r: &mut Reader<'_>) -> Result<ReportFlags, PageError> {
        Ok(ReportFlags(r.u16()?))
    }
}

impl Wire for ReportRecord {
    const LEN: usize = 41 + REPORT_DATA;
    fn put(&self, w: &mut Writer<'_>) {
        w.u64(self.seq);
        w.u32(self.boot_id);
        self.kind.put(w);
        self.flags.put(w);
        w.u64(self.begin);
        w.u64(self.end);
        w.i64(self.utc_us);
        w.u16(self.bytes().len() as u16);
        w.bytes(self.bytes());
    }
    fn take(r: &mut Reader<'_>) -> Result<Self, PageError> {
        let mut record = ReportRecord {
            seq: r.u64()?,
            boot_id: r.u32()?,
            kind: ReportKind::take(r)?,
            flags: ReportFlags::take(r)?,
            begin: r.u64()?,
            end: r.u64()?,
            utc_us: r.i64()?,
            len: r.u16()?,
            ..ReportRecord::default()
        };
        let len = usize::from(record.len);
        record.data.get_mut(..len).ok_or(PageError::Length)?.copy_from_slice(r.bytes(len)?);
        Ok(record)
    }
}

wire_struct!(Interval {
    parts: u32,
    valid: u32,
    values: [u32; INTERVAL_VALUES],
    flicker_valid: u8,
    flicker: [u32; PHASES],
    occurrences: [u32; OCCURRENCES],
    f_uhz: [u32; TEN_SECONDS],
});
wire_struct!(HarmonicChannel { fundamental: u32, largest: u32, share: [u16; HARMONIC_ORDERS - 1] });
wire_struct!(HarmonicReport { channels: u8, parts: u32, channel: [HarmonicChannel; CHANNELS] });

impl Wire for WavePiece {
    const LEN: usize = 29 + 2 * WAVE_SAMPLES;
    fn put(&self, w: &mut Writer<'_>) {
        w.u64(self.event);
        w.u64(self.trigger);
        w.u16(self.piece);
        w.u8(self.channels);
        w.u8(self.count);
        w.u8(self.step);
        w.u32(self.u_full_scale_mv);
        w.u32(self.i_full_scale_ua);
        let len = self.width() * usize::from(self.count);
        for code in self.codes.get(..len).unwrap_or(&self.codes) {
            w.u16(*code);
        }
    }
    fn take(r: &mut Reader<'_>) -> Result<Self, PageError> {
        let mut piece = WavePiece {
            event: r.u64()?,
            trigger: r.u64()?,
            piece: r.u16()?,
            channels: r.u8()?,
            count: r.u8()?,
            step: r.u8()?,
            u_full_scale_mv: r.u32()?,
            i_full_scale_ua: r.u32()?,
            ..WavePiece::default()
        };
        if piece.channels >> WAVE_CHANNELS != 0 {
            return Err(PageError::Value("channels of a waveform"));
        }
        let len = piece.width() * usize::from(piece.count);
        for code in piece.codes.get_mut(..len).ok_or(PageError::Length)? {
            *code = r.u16()?;
        }
        Ok(piece)
    }
}

const _: () = assert!(Interval::LEN <= REPORT_DATA && HarmonicReport::LEN <= REPORT_DATA);
const _: () = assert!(WavePiece::LEN <= REPORT_DATA);

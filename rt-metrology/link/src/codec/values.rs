//! Layouts of measured values: the fields of each struct in the order of its declaration, without gaps.

use super::{PageError, Reader, Wire, Writer, wire_enum, wire_struct};
use crate::payload::{
    Billing, ClockQuality, Counters, EnergySet, Grid, HistoryKind, HistoryRecord, Inputs, PHASES, PULSE_INPUTS,
    PhaseSecond, PhaseSums, Second, Snapshot, Sums, Suspect, Valid,
};

wire_struct!(EnergySet { a_plus: u64, a_minus: u64, r: [u64; 4], e_plus: u64, e_minus: u64 });
wire_struct!(Counters { phase: [EnergySet; PHASES], total: EnergySet });
wire_struct!(PhaseSums {
    windows: u64,
    u_mv: u64,
    i_ua: u64,
    pf_windows: u64,
    pf_ppm: i64,
    thd_windows: u64,
    thd_u_ppm: u64,
    thd_i_windows: u64,
    thd_i_ppm: u64,
});
wire_struct!(Sums { phase: [PhaseSums; PHASES], f_windows: u64, f_uhz: u64 });
wire_enum!(ClockQuality, "clock quality", Invalid, Holdover, Valid);
wire_struct!(Grid { id: u32, anchor: u64, utc_us: i64, rate_q16: u64, quality: ClockQuality });
wire_struct!(Snapshot {
    t_samples: u64,
    window: u64,
    counters: Counters,
    sums: Sums,
    inputs: Inputs,
    pulses: [u64; PULSE_INPUTS],
    boots: u32,
    down_us: u64,
    clipped_windows: u64,
    lost_samples: u64,
    suspect_windows: u32,
    config_hash: [u8; 8],
});
wire_struct!(PhaseSecond {
    u_mv: u32,
    i_ua: u32,
    p_mw: i32,
    q_mvar: i32,
    s_mva: u32,
    pf_ppm: i32,
    phi_mdeg: i32,
    angle_mdeg: i32,
    thd_u_ppm: u32,
    thd_i_ppm: u32,
    p1_mw: i32,
    u_dc_mv: i32,
    i_dc_ua: i32,
});
wire_struct!(Second {
    number: u64,
    t_samples: u64,
    valid: Valid,
    phase: [PhaseSecond; PHASES],
    i_n_ua: u32,
    i_n_computed_ua: u32,
    u2_ppm: u32,
    u0_ppm: u32,
    p_mw: i64,
    q_mvar: i64,
    s_mva: u64,
    pf_ppm: i32,
    f_uhz: u32,
    temperature_mdeg: i32,
    suspect: Suspect,
});
wire_struct!(Billing { snapshot: Snapshot, second: Second, history_last: u64, event_last: u64, grid: Grid });
wire_enum!(HistoryKind, "history kind", Minute, InputEdge, GridChange, Boot, ConfigChange, PowerFail);
wire_struct!(HistoryRecord {
    seq: u64,
    kind: HistoryKind,
    minute: i64,
    grid: Grid,
    old_utc_us: i64,
    snapshot: Snapshot,
});

impl Wire for Inputs {
    const LEN: usize = 4;
    fn put(&self, w: &mut Writer<'_>) {
        w.u32(self.0);
    }
    fn take(r: &mut Reader<'_>) -> Result<Inputs, PageError> {
        Ok(Inputs(r.u32()?))
    }
}

impl Wire for Valid {
    const LEN: usize = 4;
    fn put(&self, w: &mut Writer<'_>) {
        w.u32(self.0);
    }
    fn take(r: &mut Reader<'_>) -> Result<Valid, PageError> {
        Ok(Valid(r.u32()?))
    }
}

impl Wire for Suspect {
    const LEN: usize = 4;
    fn put(&self, w: &mut Writer<'_>) {
        w.u32(self.0);
    }
    fn take(r: &mut Reader<'_>) -> Result<Suspect, PageError> {
        Ok(Suspect(r.u32()?))
    }
}

//! Measured values: cumulative snapshots, the last second, and the records of the history ring.
//!
//! Every cumulative value only ever grows for the life of the coprocessor's non-volatile memory, so any number of
//! lost pages loses no energy: the next page says it all again.

/// Phases measured (L1, L2, L3).
pub const PHASES: usize = 3;
/// Pulse inputs counted in non-volatile memory.
pub const PULSE_INPUTS: usize = 4;

/// One four-quadrant set of cumulative energies. Unit: millijoule, millivar-second, millivolt-ampere-second.
///
/// u64 millijoules last 4200 years at 69 kW. Quadrants as in IEC 62053-23: R1 import inductive, R2 export
/// capacitive, R3 export inductive, R4 import capacitive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EnergySet {
    /// Active energy import (Q1 + Q4), mJ.
    pub a_plus: u64,
    /// Active energy export (Q2 + Q3), mJ.
    pub a_minus: u64,
    /// Reactive energy per quadrant Q1 to Q4, mvar·s.
    pub r: [u64; 4],
    /// Apparent energy while importing (Q1 + Q4), mVA·s.
    pub e_plus: u64,
    /// Apparent energy while exporting (Q2 + Q3), mVA·s.
    pub e_minus: u64,
}

/// All energies: per phase, and the legal total formed by the sealed calculation method and topology.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// L1 to L3.
    pub phase: [EnergySet; PHASES],
    /// The legal total. Never recomputed on Linux.
    pub total: EnergySet,
}

/// Cumulative sums of the per-window values of one phase, with the number of windows that had a value.
/// The mean over any interval is a difference of sums over a difference of counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseSums {
    /// Windows summed into `u_mv`, `i_ua`.
    pub windows: u64,
    /// Sum of RMS voltage, mV.
    pub u_mv: u64,
    /// Sum of RMS current, µA.
    pub i_ua: u64,
    /// Windows in which a power factor existed (current above the starting threshold).
    pub pf_windows: u64,
    /// Sum of the signed power factor, ppm.
    pub pf_ppm: i64,
    /// Windows in which the voltage's THD was computed (0 without spectra).
    pub thd_windows: u64,
    /// Sum of voltage THD, ppm.
    pub thd_u_ppm: u64,
    /// Windows in which the current's THD was computed: those with a current to relate it to.
    pub thd_i_windows: u64,
    /// Sum of current THD over those windows, ppm.
    pub thd_i_ppm: u64,
}

/// Cumulative sums of all phases and of the frequency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// L1 to L3.
    pub phase: [PhaseSums; PHASES],
    /// Windows in which the frequency was tracked.
    pub f_windows: u64,
    /// Sum of frequency, µHz.
    pub f_uhz: u64,
}

/// Digital inputs as a bit set; a bit set to 1 means active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inputs(pub u32);

impl Inputs {
    /// Hardware tariff inputs 1 to 3 (bits 0 to 2): an edge stores a history record.
    pub const TARIFF: u32 = 0b111;
    /// Alarm input.
    pub const ALARM: u32 = 1 << 3;
    /// Synchronisation input.
    pub const SYNC: u32 = 1 << 4;
    /// Left push-button.
    pub const BUTTON_LEFT: u32 = 1 << 5;
    /// Right push-button.
    pub const BUTTON_RIGHT: u32 = 1 << 6;
    /// Main cover open.
    pub const COVER_MAIN: u32 = 1 << 7;
    /// Terminal cover open.
    pub const COVER_TERMINAL: u32 = 1 << 8;
    /// Magnetic field detected.
    pub const MAGNET: u32 = 1 << 9;
    /// Breaker feedback: contact measured closed.
    pub const BREAKER_CLOSED: u32 = 1 << 10;
    /// Auxiliary power supply present.
    pub const APS: u32 = 1 << 11;
    /// Power is failing: the hold-up reserve is being used.
    pub const POWER_FAIL: u32 = 1 << 12;
    /// Load relay 1 and 2 feedback.
    pub const RELAY_1: u32 = 1 << 13;
    /// See [`Inputs::RELAY_1`].
    pub const RELAY_2: u32 = 1 << 14;
    /// Status input of the load control.
    pub const LOAD_STATUS: u32 = 1 << 15;
}

/// How far the coprocessor's real-time clock can be believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum ClockQuality {
    /// Never set, or the back-up ran empty: the time means nothing.
    #[default]
    Invalid = 0,
    /// Ran on back-up or without reference for long.
    Holdover = 1,
    /// Set, and within its stated accuracy.
    Valid = 2,
}

/// Meter time as a line on the sample clock. Only registerd programs it.
///
/// `utc(t) = utc_us + (t - anchor) * 1e6 / (rate_q16 / 65536)`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    /// Grows with each programming; 0 = derived from the coprocessor's own clock at boot.
    pub id: u32,
    /// Sample clock at the anchor.
    pub anchor: u64,
    /// UTC at the anchor, µs since 1970.
    pub utc_us: i64,
    /// Samples per second times 65536, as disciplined.
    pub rate_q16: u64,
    /// Quality of the time.
    pub quality: ClockQuality,
}

impl Grid {
    /// Meter time of sample `t`, µs since 1970 (floor).
    pub fn utc_us_at(&self, t: u64) -> i64 {
        let ticks = i128::from(t) - i128::from(self.anchor);
        let us = (ticks * 65_536_000_000).div_euclid(i128::from(self.rate_q16.max(1)));
        self.utc_us.saturating_add(i64::try_from(us).unwrap_or(if us < 0 { i64::MIN } else { i64::MAX }))
    }

    /// First sample whose meter time is at or after `utc_us`; 0 when it lies before the sample clock began.
    pub fn sample_at(&self, utc_us: i64) -> u64 {
        let us = i128::from(utc_us) - i128::from(self.utc_us);
        let ticks = (us * i128::from(self.rate_q16) + 65_535_999_999).div_euclid(65_536_000_000);
        u64::try_from(ticks + i128::from(self.anchor)).unwrap_or(0)
    }
}

/// Everything cumulative at the end of one measuring window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Sample clock at the end of the window. Continues over resets (never goes back, counts the down-time by the RTC).
    pub t_samples: u64,
    /// Number of the window since the non-volatile memory was created.
    pub window: u64,
    /// Energies.
    pub counters: Counters,
    /// Sums for means.
    pub sums: Sums,
    /// State of the inputs.
    pub inputs: Inputs,
    /// Counted pulse inputs.
    pub pulses: [u64; PULSE_INPUTS],
    /// Coprocessor starts since the memory was created.
    pub boots: u32,
    /// Total time without metering, µs (outages and resets, by the RTC).
    pub down_us: u64,
    /// Windows marked by overload (clipped samples).
    pub clipped_windows: u64,
    /// Samples that never arrived while the coprocessor ran: their time passed, their energy was not counted.
    pub lost_samples: u64,
    /// Windows whose energy may be wrong: those with a bit of [`Suspect::ENERGY`].
    pub suspect_windows: u32,
    /// First 8 bytes of the hash of configuration and calibration in force.
    pub config_hash: [u8; 8],
}

/// Which values of [`Second`] exist. A value that does not exist is absent, never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Valid(pub u32);

impl Valid {
    /// Voltage of phase 1 (bits 0, 1, 2 for L1 to L3): the channel exists.
    pub const U: u32 = 1 << 0;
    /// Current of phase 1 (bits 3 to 5): the channel exists.
    pub const I: u32 = 1 << 3;
    /// Power factor of phase 1 (bits 6 to 8): current above the starting threshold.
    pub const PF: u32 = 1 << 6;
    /// THD of the voltage of phase 1 (bits 9 to 11).
    pub const THD: u32 = 1 << 9;
    /// Frequency tracked and inside 42.5 to 69 Hz.
    pub const F: u32 = 1 << 12;
    /// Frequency out of the tracker's range (then `F` is clear).
    pub const F_OUT_OF_RANGE: u32 = 1 << 13;
    /// Neutral current channel exists.
    pub const I_N: u32 = 1 << 14;
    /// Total power factor.
    pub const PF_TOTAL: u32 = 1 << 15;
    /// Temperature sensor answered.
    pub const TEMPERATURE: u32 = 1 << 16;
    /// THD of the current of phase 1 (bits 17 to 19): there was a fundamental current to relate to.
    pub const THD_I: u32 = 1 << 17;
    /// Computed neutral current: all three phase currents are measured.
    pub const I_N_COMPUTED: u32 = 1 << 20;
    /// Unbalance `u2`: three voltages, one rotation prevailing.
    pub const U2: u32 = 1 << 21;
    /// Unbalance `u0`: as for `u2`, and voltages against the neutral.
    pub const U0: u32 = 1 << 22;

    /// Whether the per-phase flag `first` (its L1 bit) is set for phase `k` (0 to 2).
    pub fn phase(self, first: u32, k: usize) -> bool {
        self.0 & (first << k) != 0
    }

    /// Whether all bits of `flag` are set.
    pub fn has(self, flag: u32) -> bool {
        self.0 & flag == flag
    }
}

/// What is wrong with the samples, as far as samples can tell. Nothing in here changes what is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspect(pub u32);

impl Suspect {
    /// The first channel gave one and the same code, not zero, while another moved (bits 0 to 6 for the channels).
    pub const STUCK: u32 = 1 << 0;
    /// The first channel exceeded the range of its converter or of its correction (bits 7 to 13).
    pub const CLIPPED: u32 = 1 << 7;
    /// The first channel is configured but gave nothing but the code zero while another moved (bits 14 to 20).
    pub const MISSING: u32 = 1 << 14;
    /// The currents fit the voltages of other phases: each lags or leads its own by 120 degrees.
    pub const SWAPPED: u32 = 1 << 21;
    /// The voltages rotate backwards: L1, L3, L2.
    pub const REVERSED: u32 = 1 << 22;
    /// Samples were lost.
    pub const LOST: u32 = 1 << 23;
    /// The energy may be wrong. A reversed rotation alone is a wiring that counts correctly.
    pub const ENERGY: u32 = ((1 << 22) - 1) | Self::LOST;

    /// Whether the per-channel flag `first` (its U1 bit) is set for `channel`.
    pub fn channel(self, first: u32, channel: usize) -> bool {
        self.0 & (first << channel) != 0
    }

    /// Whether all bits of `flag` are set.
    pub fn has(self, flag: u32) -> bool {
        self.0 & flag == flag
    }
}

/// One phase over one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhaseSecond {
    /// RMS voltage, mV.
    pub u_mv: u32,
    /// RMS current, µA.
    pub i_ua: u32,
    /// Active power, mW; positive = import.
    pub p_mw: i32,
    /// Fundamental reactive power, mvar; positive = inductive while importing (Q1 + Q2).
    pub q_mvar: i32,
    /// Apparent power, mVA.
    pub s_mva: u32,
    /// Power factor P/S with the sign of P, ppm.
    pub pf_ppm: i32,
    /// Angle by which the fundamental current lags its voltage, millidegrees, -180 000 to 180 000; positive =
    /// inductive while importing. 0 without a power factor.
    pub phi_mdeg: i32,
    /// Angle of the fundamental voltage against L1, millidegrees.
    pub angle_mdeg: i32,
    /// Voltage THD, ppm.
    pub thd_u_ppm: u32,
    /// Current THD, ppm.
    pub thd_i_ppm: u32,
    /// Fundamental active power, mW. The displacement power factor is `cos(phi)` = P1/S1 with the fundamental
    /// apparent power `S1 = √(p1² + q²)`; total reactive power is `√(s² − p²)`, without a sign.
    pub p1_mw: i32,
    /// Direct component of the voltage, mV. It is part of all other values.
    pub u_dc_mv: i32,
    /// Direct component of the current, µA. It is part of all other values.
    pub i_dc_ua: i32,
}

/// The last full second of measured values (five 10-cycle windows at 50 Hz).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// Number of the second since boot.
    pub number: u64,
    /// Sample clock at its end.
    pub t_samples: u64,
    /// Which of the values exist.
    pub valid: Valid,
    /// L1 to L3.
    pub phase: [PhaseSecond; PHASES],
    /// Neutral current as measured, µA.
    pub i_n_ua: u32,
    /// RMS of minus the sum of the phase currents, sample by sample, µA: what the neutral must carry.
    pub i_n_computed_ua: u32,
    /// Weaker to stronger rotating component of the fundamental voltages, ppm.
    pub u2_ppm: u32,
    /// Zero component to the stronger rotating component, ppm.
    pub u0_ppm: u32,
    /// Total active power by calculation method, mW.
    pub p_mw: i64,
    /// Total fundamental reactive power by calculation method, mvar.
    pub q_mvar: i64,
    /// Total apparent power by calculation method, mVA.
    pub s_mva: u64,
    /// Total power factor, ppm.
    pub pf_ppm: i32,
    /// Frequency, µHz.
    pub f_uhz: u32,
    /// Temperature, millidegrees Celsius.
    pub temperature_mdeg: i32,
    /// What was wrong with the samples in any of its windows.
    pub suspect: Suspect,
}

/// The way energy flows in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the grid.
    Import,
    /// Into the grid.
    Export,
}

impl Second {
    /// Direction of the current of phase `k` (0 to 2), for a display's indicators: the sign of its active power. Absent
    /// while the phase registers nothing (2.3 W are 10 mA at 230 V).
    pub fn direction(&self, k: usize) -> Option<Direction> {
        let phase = self.phase.get(k).filter(|_| self.valid.phase(Valid::PF, k))?;
        Some(if phase.p_mw < 0 { Direction::Export } else { Direction::Import })
    }
}

/// Class *billing*: idempotent, every window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Billing {
    /// Cumulative values.
    pub snapshot: Snapshot,
    /// Last one-second values.
    pub second: Second,
    /// Newest sequence number in the history ring (0 = empty; sequence numbers begin at 1).
    pub history_last: u64,
    /// Newest event sequence number (0 = none yet).
    pub event_last: u64,
    /// The grid in force.
    pub grid: Grid,
}

/// Why a history record was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HistoryKind {
    /// A meter-time minute ended; `minute` is UTC minutes since 1970. The snapshot is the last window that ended at
    /// or before it.
    Minute = 1,
    /// A tariff input changed; the snapshot is the last window before the edge and `inputs` the state after it.
    InputEdge = 2,
    /// registerd programmed another grid; `grid` is the new one, `previous` time is told by the record before.
    GridChange = 3,
    /// First record after a start of the coprocessor; `snapshot.down_us` has grown by the time lost.
    Boot = 4,
    /// Configuration or calibration changed (a new hash).
    ConfigChange = 5,
    /// Power is failing.
    PowerFail = 6,
}

/// Class *history*: one record of the coprocessor's non-volatile minute ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRecord {
    /// Grows by one; begins at 1.
    pub seq: u64,
    /// Why it was stored.
    pub kind: HistoryKind,
    /// UTC minutes since 1970 of the boundary, for [`HistoryKind::Minute`]; else the minute that `grid` gives.
    pub minute: i64,
    /// The grid in force (after the change, for a grid change).
    pub grid: Grid,
    /// Meter time by the *old* grid at the change, µs; equals the new one's when nothing jumped. Only for grid changes.
    pub old_utc_us: i64,
    /// The cumulative values.
    pub snapshot: Snapshot,
}

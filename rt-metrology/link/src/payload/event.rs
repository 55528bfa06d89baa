//! Class *event*: kept in non-volatile memory until acknowledged, delivered exactly once.

/// What happened. Unknown codes pass through, so an older host can store what a newer coprocessor tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventCode(pub u16);

impl EventCode {
    /// The coprocessor started. args: boots, reset cause, down-time µs, 1 when the memory was empty or unreadable.
    pub const BOOT: EventCode = EventCode(1);
    /// Inputs changed. args: new state, mask of changed bits (see `Inputs`).
    pub const INPUTS_CHANGED: EventCode = EventCode(2);
    /// Power is failing.
    pub const POWER_FAIL: EventCode = EventCode(3);
    /// Power came back without a reset.
    pub const POWER_RETURN: EventCode = EventCode(4);
    /// Samples were clipped. args: clipped windows so far. Told at the first clipped window after a clean second.
    pub const CLIPPED: EventCode = EventCode(5);
    /// The breaker was opened. args: 0 = command, 1 = overvoltage.
    pub const BREAKER_OPENED: EventCode = EventCode(6);
    /// The breaker was closed.
    pub const BREAKER_CLOSED: EventCode = EventCode(7);
    /// A breaker operation was refused. args: reply status, wait in ms.
    pub const BREAKER_REFUSED: EventCode = EventCode(8);
    /// The feedback contradicts the operation (stuck or welded). args: 1 = commanded closed, 1 = measured closed.
    pub const BREAKER_FEEDBACK_WRONG: EventCode = EventCode(9);
    /// A configuration came into force. args: first 8 bytes of the new hash, big endian.
    pub const CONFIG_WRITTEN: EventCode = EventCode(10);
    /// A calibration came into force. args: first 8 bytes of the new hash, ident.
    pub const CALIBRATION_WRITTEN: EventCode = EventCode(11);
    /// A grid was programmed. args: grid id, new minus old time µs, rate Q16.
    pub const GRID_SET: EventCode = EventCode(12);
    /// A non-volatile record was unreadable and skipped or recovered. args: area, count.
    pub const NV_ERROR: EventCode = EventCode(13);
    /// Voltage dip (IEC 61000-4-30 5.4). args: mask of the voltages that took part, lowest voltage mV, duration µs (-1 when
    /// it begins: it is told again when it is over), sample clock at its begin.
    pub const DIP: EventCode = EventCode(14);
    /// Voltage swell. args: mask, highest voltage mV, duration µs or -1, begin, as for a dip.
    pub const SWELL: EventCode = EventCode(15);
    /// The coprocessor opened the breaker by itself. args: voltage mV, duration ms.
    pub const OVERVOLTAGE_TRIP: EventCode = EventCode(16);
    /// A command was refused. args: command kind, reply status, detail.
    pub const COMMAND_REFUSED: EventCode = EventCode(17);
    /// A complete image is staged. args: image id, bytes.
    pub const IMAGE_STAGED: EventCode = EventCode(18);
    /// Voltage interruption (5.5), all voltages below 5 %. args: as for a dip, which it is a part of.
    pub const INTERRUPTION: EventCode = EventCode(19);
    /// Rapid voltage change (5.11). args: mask of its one voltage and, above bit 8, dUss in mV; dUmax mV, duration µs, begin.
    pub const RAPID_VOLTAGE_CHANGE: EventCode = EventCode(20);

    /// Channels or their wiring look wrong, or right again. args: what does now, what changed, as bits of `Suspect` (without
    /// clipping and losses); windows marked so far.
    pub const SUSPECT_SAMPLES: EventCode = EventCode(21);
    /// Samples were lost. args: samples lost so far. Told at the first marked window after a clean second.
    pub const SAMPLES_LOST: EventCode = EventCode(22);
    /// A calibration was refused: written, or found in memory at the start. args: reason (`Impossible`), ident, 1 = at the
    /// start. What was in force (at the start: what the factory left) stays in force.
    pub const CALIBRATION_REFUSED: EventCode = EventCode(23);
    /// A pulse output cannot follow its counter: it is behind, it begins to drop pulses, or it has caught up. args: output
    /// (0 light, 2 and 3 module), pulses that wait, pulses dropped since it fell behind.
    pub const PULSES_LATE: EventCode = EventCode(24);
    /// The light and S0 follow something else. args: mode (0 A+, 1 active, 2 reactive energy of the quadrant).
    pub const VERIFICATION: EventCode = EventCode(25);
    /// All voltages were below the presence threshold for more than a second: everything is stored and the processor
    /// shuts down. args: highest voltage mV, threshold mV.
    pub const SHUT_DOWN: EventCode = EventCode(26);

    /// Name for people; `None` for a code this version does not know.
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 26] = [
            "boot",
            "inputs-changed",
            "power-fail",
            "power-return",
            "clipped",
            "breaker-opened",
            "breaker-closed",
            "breaker-refused",
            "breaker-feedback-wrong",
            "config-written",
            "calibration-written",
            "grid-set",
            "nv-error",
            "dip",
            "swell",
            "overvoltage-trip",
            "command-refused",
            "image-staged",
            "interruption",
            "rapid-voltage-change",
            "suspect-samples",
            "samples-lost",
            "calibration-refused",
            "pulses-late",
            "verification",
            "shut-down",
        ];
        NAMES.get(usize::from(self.0).checked_sub(1)?).copied()
    }
}

/// One event. Its identity is (`boot_id`, `seq`); `seq` grows by one over the life of the memory, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventRecord {
    /// Sequence number.
    pub seq: u64,
    /// Boot in which it happened.
    pub boot_id: u32,
    /// Sample clock.
    pub t_samples: u64,
    /// Meter time by the grid of the moment, µs since 1970 UTC.
    pub utc_us: i64,
    /// What happened.
    pub code: EventCode,
    /// Phase 1 to 3 where it applies, else 0.
    pub phase: u8,
    /// Meaning by [`EventCode`].
    pub args: [i64; 4],
}

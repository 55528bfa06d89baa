//! The hardware below the application: non-volatile memory, clock, inputs and outputs.

use crate::pq::PowerQuality;
use crate::pulses::Pulse;
use metrology_link::payload::{Calibration, ClockQuality, Inputs, LcdFrame, MeterConfig, Outputs, PULSE_INPUTS};

/// What a board provides. Nothing here may block for longer than a sample period times the depth of the board's sample
/// queue; the non-volatile memory is FRAM or as fast as one.
pub trait Board {
    /// Bytes of non-volatile memory, at least [`super::NV_BYTES`]. What is more stages firmware images.
    fn nv_size(&self) -> usize;
    /// Reads from the memory. Bytes outside of it read as zero.
    fn nv_read(&self, at: usize, out: &mut [u8]);
    /// Writes to the memory. May be cut anywhere by a loss of power; bytes written in order.
    fn nv_write(&mut self, at: usize, bytes: &[u8]);
    /// The real-time clock: µs since 1970 UTC, and how far it can be believed.
    fn rtc(&self) -> (i64, ClockQuality);
    /// Sets the real-time clock.
    fn set_rtc(&mut self, utc_us: i64, quality: ClockQuality);
    /// Levels of the inputs now, not debounced.
    fn inputs(&mut self) -> Inputs;
    /// Pulses counted by the hardware since the board started, per input; they wrap.
    fn pulses(&mut self) -> [u64; PULSE_INPUTS];
    /// Drives the outputs. A breaker operation in it is carried out once.
    fn set_outputs(&mut self, outputs: &Outputs);
    /// Shows a frame.
    fn lcd(&mut self, frame: &LcdFrame);
    /// Temperature of the front end, millidegrees Celsius; `None` when the sensor does not answer.
    fn temperature_mdeg(&self) -> Option<i32>;
    /// SHA-256 of the running firmware.
    fn firmware_id(&self) -> [u8; 32];
    /// Unique number of the hardware.
    fn device_id(&self) -> [u8; 8];
    /// Ed25519 key of the laboratory whose calibrations are believed. Without one, as it is by default, all are refused.
    fn laboratory_key(&self) -> Option<[u8; 32]> {
        None
    }
    /// Configuration and calibration in force as long as the memory holds none: what this type of board leaves the
    /// factory with.
    fn factory(&self) -> (MeterConfig, Calibration) {
        (MeterConfig::default(), Calibration::default())
    }
    /// Lends the memory in which power quality is watched, some 70 KiB, to `f`. A board without it gives `None`, as it
    /// is by default: then there are no spectra and no voltage events, and distortions are absent.
    fn with_power_quality<R>(&mut self, f: impl FnOnce(&mut PowerQuality) -> R) -> Option<R> {
        let _ = f;
        None
    }
    /// Gives a pulse: a timer's compare unit begins it, `LEAD_MS` from now at the latest, and ends it after its width. A
    /// reset ends all pulses, and one that has not begun does not begin. A board without outputs has nothing to do.
    fn pulse(&mut self, pulse: &Pulse) {
        let _ = pulse;
    }
    /// The light is lit from now on, until it is told not to be: there is no consumption. No pulse comes meanwhile.
    fn light_rests(&mut self, lit: bool) {
        let _ = lit;
    }
    /// Everything is stored, and there is no voltage: the processor stops and starts anew when voltage is back. A board
    /// whose supply ends with the voltage, or that has another one, may go on.
    fn shut_down(&mut self) {}
    /// Restarts the processor. A board that is simulated notes it and restarts later.
    fn reset(&mut self, warm: bool);
}

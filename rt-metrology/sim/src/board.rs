//! The virtual board: memory, clock, breaker, inputs, outputs and display of the coprocessor.
//!
//! The hardware outlives the coprocessor's processor: a [`VirtualBoard`] is a handle that is given to each new start,
//! while [`Hardware`] keeps contacts, memory and levels, as real parts do.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use metrology_dsp::coprocessor::Board;
use metrology_dsp::pq::PowerQuality;
use metrology_dsp::pulses::{OUTPUTS, Pulse};
use metrology_link::payload::{
    BreakerDrive, Calibration, ClockQuality, Inputs, LcdFrame, MeterConfig, Outputs, PULSE_INPUTS,
};
use sha2::{Digest, Sha256};

use crate::noise;
use crate::nvfile::NvMemory;
use crate::scenario::InputName;

/// What is wrong with the breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerFault {
    /// Nothing.
    #[default]
    Ok,
    /// The mechanism does not move, in either direction.
    Stuck,
    /// The contacts are welded: it cannot open any more.
    Welded,
}

/// A reset that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetRequest {
    /// By the coprocessor's own application (the host's reset command).
    Application {
        /// Memory that is not initialised is kept.
        warm: bool,
    },
    /// By the reset line.
    Line {
        /// Memory that is not initialised is kept.
        warm: bool,
    },
}

/// Pulses remembered: a minute of all four outputs at 25 Hz, and reserve.
const PULSES_REMEMBERED: usize = 8192;

/// What a pulse counter at each output and a laboratory's time stamper have seen, over resets of the processor.
#[derive(Clone, Debug, Default)]
pub struct GivenPulses {
    /// Pulses since the process began, in the order of [`OUTPUTS`].
    pub counts: [u64; OUTPUTS.len()],
    /// The newest pulses.
    pub newest: VecDeque<Pulse>,
}

impl GivenPulses {
    fn add(&mut self, pulse: Pulse) {
        if self.newest.len() == PULSES_REMEMBERED {
            self.newest.pop_front();
        }
        self.counts[pulse.output as usize] += 1;
        self.newest.push_back(pulse);
    }

    /// The processor stopped at sample clock `t`: what its timers had not begun does not come.
    pub(crate) fn stop(&mut self, t: u64) {
        for pulse in self.newest.iter().filter(|pulse| pulse.begin.sample >= t) {
            self.counts[pulse.output as usize] -= 1;
        }
        self.newest.retain(|pulse| pulse.begin.sample < t);
    }
}

/// The parts around the processor.
#[derive(Debug)]
pub struct Hardware {
    pub(crate) nv: NvMemory,
    /// True UTC of the world, µs.
    pub(crate) utc_us: i64,
    /// The real-time clock minus true UTC, µs.
    pub(crate) rtc_offset_us: i64,
    pub(crate) rtc_quality: ClockQuality,
    /// Levels by the scenario.
    pub(crate) scheduled: u32,
    /// Levels that somebody holds by hand: (bits held, their values).
    pub(crate) held: (u32, u32),
    /// Buttons held down until a time, by bit.
    pub(crate) pressed: Vec<(u32, i64)>,
    pub(crate) power_fail: bool,
    pub(crate) has_breaker: bool,
    pub(crate) breaker_closed: bool,
    pub(crate) breaker_fault: BreakerFault,
    /// Operations the breaker's coil was driven for, whether it moved or not.
    pub(crate) breaker_operations: u64,
    pub(crate) outputs: Outputs,
    pub(crate) pulses: [u64; PULSE_INPUTS],
    pub(crate) frame: LcdFrame,
    pub(crate) reset: Option<ResetRequest>,
    /// The processor has shut itself down for want of a voltage.
    pub(crate) shut_down: bool,
    /// Pulses that were given, and when.
    pub(crate) given: GivenPulses,
    pub(crate) light_rests_lit: bool,
    /// The processor's memory for power quality; begun anew with each start.
    power_quality: Box<PowerQuality>,
    device_id: [u8; 8],
    seed: u64,
    factory: (MeterConfig, Calibration),
}

impl Hardware {
    pub(crate) fn new(nv: NvMemory, seed: u64, factory: (MeterConfig, Calibration)) -> Hardware {
        Hardware {
            nv,
            utc_us: 0,
            rtc_offset_us: 0,
            rtc_quality: ClockQuality::Invalid,
            scheduled: 0,
            held: (0, 0),
            pressed: Vec::new(),
            power_fail: false,
            has_breaker: factory.0.breaker,
            breaker_closed: true,
            breaker_fault: BreakerFault::Ok,
            breaker_operations: 0,
            outputs: Outputs::default(),
            pulses: [0; PULSE_INPUTS],
            frame: LcdFrame::default(),
            reset: None,
            shut_down: false,
            given: GivenPulses::default(),
            light_rests_lit: false,
            power_quality: Box::new(PowerQuality::new()),
            device_id: noise::mix(seed ^ 0xD1CE).to_le_bytes(),
            seed,
            factory,
        }
    }

    /// Whether load current can flow.
    pub(crate) fn passes_current(&self) -> bool {
        !self.has_breaker || self.breaker_closed
    }

    fn levels(&mut self) -> Inputs {
        let now = self.utc_us;
        self.pressed.retain(|(_, until)| now < *until);
        let (mask, value) = self.held;
        let mut bits = (self.scheduled & !mask) | (value & mask);
        for (bit, _) in &self.pressed {
            bits |= bit;
        }
        for (on, bit) in [
            (self.power_fail, Inputs::POWER_FAIL),
            (self.has_breaker && self.breaker_closed, Inputs::BREAKER_CLOSED),
            (self.outputs.relays & 1 != 0, Inputs::RELAY_1),
            (self.outputs.relays & 2 != 0, Inputs::RELAY_2),
        ] {
            if on {
                bits |= bit;
            }
        }
        Inputs(bits)
    }

    /// Moves the breaker as far as its fault lets it.
    pub(crate) fn drive_breaker(&mut self, drive: BreakerDrive) {
        if !self.has_breaker || drive == BreakerDrive::Keep {
            return;
        }
        self.breaker_operations += 1;
        match (self.breaker_fault, drive) {
            (BreakerFault::Stuck, _) | (BreakerFault::Welded, BreakerDrive::Open) => {}
            (_, BreakerDrive::Open) => self.breaker_closed = false,
            _ => self.breaker_closed = true,
        }
    }
}

/// Bit of an input, `None` for a pulse input.
pub(crate) fn input_bit(name: InputName) -> Option<u32> {
    Some(match name {
        InputName::Tariff1 => 1,
        InputName::Tariff2 => 2,
        InputName::Tariff3 => 4,
        InputName::Alarm => Inputs::ALARM,
        InputName::Sync => Inputs::SYNC,
        InputName::ButtonLeft => Inputs::BUTTON_LEFT,
        InputName::ButtonRight => Inputs::BUTTON_RIGHT,
        InputName::CoverMain => Inputs::COVER_MAIN,
        InputName::CoverTerminal => Inputs::COVER_TERMINAL,
        InputName::Magnet => Inputs::MAGNET,
        InputName::LoadStatus => Inputs::LOAD_STATUS,
        InputName::Pulse1 | InputName::Pulse2 | InputName::Pulse3 | InputName::Pulse4 => return None,
    })
}

/// Index of a pulse input, `None` for a level input.
pub(crate) fn pulse_index(name: InputName) -> Option<usize> {
    Some(match name {
        InputName::Pulse1 => 0,
        InputName::Pulse2 => 1,
        InputName::Pulse3 => 2,
        InputName::Pulse4 => 3,
        _ => return None,
    })
}

/// The coprocessor's view of the hardware.
#[derive(Clone, Debug)]
pub struct VirtualBoard(pub(crate) Rc<RefCell<Hardware>>);

impl Board for VirtualBoard {
    fn nv_size(&self) -> usize {
        self.0.borrow().nv.size()
    }

    fn nv_read(&self, at: usize, out: &mut [u8]) {
        self.0.borrow().nv.read(at, out);
    }

    fn nv_write(&mut self, at: usize, bytes: &[u8]) {
        self.0.borrow_mut().nv.write(at, bytes);
    }

    fn rtc(&self) -> (i64, ClockQuality) {
        let hw = self.0.borrow();
        (hw.utc_us.saturating_add(hw.rtc_offset_us), hw.rtc_quality)
    }

    fn set_rtc(&mut self, utc_us: i64, quality: ClockQuality) {
        let mut hw = self.0.borrow_mut();
        hw.rtc_offset_us = utc_us.saturating_sub(hw.utc_us);
        hw.rtc_quality = quality;
    }

    fn inputs(&mut self) -> Inputs {
        self.0.borrow_mut().levels()
    }

    fn pulses(&mut self) -> [u64; PULSE_INPUTS] {
        self.0.borrow().pulses
    }

    fn set_outputs(&mut self, outputs: &Outputs) {
        let mut hw = self.0.borrow_mut();
        hw.drive_breaker(outputs.breaker);
        hw.outputs = Outputs { breaker: BreakerDrive::Keep, ..*outputs };
    }

    fn lcd(&mut self, frame: &LcdFrame) {
        self.0.borrow_mut().frame = *frame;
    }

    fn laboratory_key(&self) -> Option<[u8; 32]> {
        Some(crate::laboratory::public_key())
    }

    fn temperature_mdeg(&self) -> Option<i32> {
        let hw = self.0.borrow();
        // A cabinet: 22 °C ± 6 °C, within an hour.
        let walk = noise::walk(hw.seed, 600, hw.utc_us as f64 / 1e6, 3600.0);
        Some(22_000 + (walk * 6000.0) as i32)
    }

    fn firmware_id(&self) -> [u8; 32] {
        // A simulator has no image of its own; its version stands for it.
        Sha256::digest(concat!("virtual coprocessor ", env!("CARGO_PKG_VERSION")).as_bytes()).into()
    }

    fn device_id(&self) -> [u8; 8] {
        self.0.borrow().device_id
    }

    fn factory(&self) -> (MeterConfig, Calibration) {
        self.0.borrow().factory
    }

    fn with_power_quality<R>(&mut self, f: impl FnOnce(&mut PowerQuality) -> R) -> Option<R> {
        Some(f(&mut self.0.borrow_mut().power_quality))
    }

    fn pulse(&mut self, pulse: &Pulse) {
        self.0.borrow_mut().given.add(*pulse);
    }

    fn light_rests(&mut self, lit: bool) {
        self.0.borrow_mut().light_rests_lit = lit;
    }

    fn shut_down(&mut self) {
        self.0.borrow_mut().shut_down = true;
    }

    fn reset(&mut self, warm: bool) {
        self.0.borrow_mut().reset = Some(ResetRequest::Application { warm });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hardware() -> Hardware {
        let config = MeterConfig { breaker: true, ..MeterConfig::default() };
        Hardware::new(NvMemory::in_ram(10), 1, (config, Calibration::default()))
    }

    #[test]
    fn the_breaker_moves_as_its_fault_allows() {
        let mut hw = hardware();
        let mut drive = |fault, drive| {
            hw.breaker_fault = fault;
            hw.drive_breaker(drive);
            (hw.breaker_closed, hw.levels().0 & Inputs::BREAKER_CLOSED != 0)
        };
        assert_eq!(drive(BreakerFault::Welded, BreakerDrive::Open), (true, true));
        assert_eq!(drive(BreakerFault::Stuck, BreakerDrive::Open), (true, true));
        assert_eq!(drive(BreakerFault::Ok, BreakerDrive::Open), (false, false));
        assert_eq!(drive(BreakerFault::Stuck, BreakerDrive::Close), (false, false));
        assert_eq!(drive(BreakerFault::Ok, BreakerDrive::Keep), (false, false));
        assert_eq!(drive(BreakerFault::Welded, BreakerDrive::Close), (true, true));
        assert_eq!(hw.breaker_operations, 5);
    }

    #[test]
    fn levels_are_schedule_hand_and_buttons() {
        let mut hw = hardware();
        hw.scheduled = 1 | Inputs::MAGNET;
        assert_eq!(hw.levels().0, 1 | Inputs::MAGNET | Inputs::BREAKER_CLOSED);
        hw.held = (1 | Inputs::ALARM, Inputs::ALARM);
        assert_eq!(hw.levels().0, Inputs::ALARM | Inputs::MAGNET | Inputs::BREAKER_CLOSED);
        hw.pressed.push((Inputs::BUTTON_LEFT, 100));
        assert_ne!(hw.levels().0 & Inputs::BUTTON_LEFT, 0);
        hw.utc_us = 100;
        assert_eq!(hw.levels().0 & Inputs::BUTTON_LEFT, 0);
    }

    #[test]
    fn the_clock_is_an_offset_to_the_world() {
        let mut board = VirtualBoard(Rc::new(RefCell::new(hardware())));
        board.0.borrow_mut().utc_us = 1_000;
        board.set_rtc(5_000, ClockQuality::Valid);
        board.0.borrow_mut().utc_us = 1_500;
        assert_eq!(board.rtc(), (5_500, ClockQuality::Valid));
    }
}

//! The whole device in one thread: world, front end, coprocessor and the parts around it, without sockets.
//!
//! [`InProcess`] is what the virtual coprocessor's process runs, and what tests use directly. It moves in stretches of
//! at most one cycle; supply, resets and inputs are looked at between them. Metering does not depend on anybody asking:
//! pages are exchanged with [`InProcess::exchange`] or not at all.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use metrology_dsp::coprocessor::{Coprocessor, NV_BYTES, NoInit};
use metrology_link::Page;
use metrology_link::payload::{ClockQuality, Inputs, PULSE_INPUTS, ResetCause};

use crate::SimError;
use crate::board::{GivenPulses, Hardware, ResetRequest, VirtualBoard, input_bit, pulse_index};
use crate::grid::running;
use crate::nvfile::{NvMemory, WorldRecord};
use crate::scenario::InputEvent;
use crate::world::{World, WorldOptions};

/// Room for firmware images behind the coprocessor's own memory: the STM32G474 has 512 KiB of flash.
pub(crate) const IMAGE_ROOM: usize = 512 * 1024;
/// Below this part of nominal voltage the power supply of the meter fails; above [`SUPPLY_RETURNS`] it starts. A
/// wide-range supply for 160 V to 265 V (the described meter's limit for "all phases gone") has about these.
const SUPPLY_FAILS: f64 = 0.5;
/// See [`SUPPLY_FAILS`].
const SUPPLY_RETURNS: f64 = 0.6;
/// A processor that has shut itself down below its presence threshold starts at so many times that threshold: the
/// comparator that wakes it has a hysteresis.
const PRESENCE_HYSTERESIS: f64 = 1.05;
/// A warm start takes two cycles: no supply to wait for, no memory to check.
const WARM_BOOT_S: f64 = 0.04;
/// The world page of the memory file is renewed so often, in stretches: about each window of the coprocessor.
const STORE_EVERY: u32 = 10;

/// Whether the processor runs.
enum Processor {
    Running(Box<Coprocessor<VirtualBoard>>),
    /// Held in reset or without supply.
    Down {
        /// Seconds until it starts, once the supply is there.
        left_s: f64,
        cause: ResetCause,
        no_init: Option<Box<NoInit>>,
    },
}

/// See the module.
pub struct InProcess {
    world: World,
    hardware: Rc<RefCell<Hardware>>,
    processor: Processor,
    inputs: Vec<InputEvent>,
    hold_up_s: f64,
    boot_s: f64,
    /// A recorded grid is measured with the auxiliary supply connected: what the record shows must not end with the
    /// voltage that it shows vanishing.
    auxiliary_supply: bool,
    rtc_ppm: f64,
    rtc_drift_us: f64,
    dark_s: f64,
    /// The processor has shut itself down and waits for a voltage.
    shut_down: bool,
    pulses_before: [u64; PULSE_INPUTS],
    stretches: u32,
    starts: u64,
}

impl InProcess {
    /// A device with memory in RAM, whose world begins at `start_us` (UTC, µs). It is already running.
    ///
    /// # Errors
    /// See [`World::new`].
    pub fn new(options: &WorldOptions, start_us: i64) -> Result<InProcess, SimError> {
        Self::with_memory(options, start_us, NvMemory::in_ram(NV_BYTES + IMAGE_ROOM), None)
    }

    /// A device with its memory in a file. An existing file continues its world: the clock has run on by the real time
    /// since, times `pace`. A new one begins at `start_us`, or now.
    ///
    /// # Errors
    /// See [`World::new`] and [`crate::nvfile::NvError`].
    pub fn with_file(
        options: &WorldOptions,
        path: &Path,
        start_us: Option<i64>,
        pace: f64,
    ) -> Result<InProcess, SimError> {
        let nv = NvMemory::open(path, NV_BYTES + IMAGE_ROOM)?;
        let known = nv.load_world().map(|(mut record, passed)| {
            record.utc_us += (passed as f64 * pace) as i64;
            record
        });
        let start = start_us.unwrap_or_else(crate::nvfile::wall_us);
        Self::with_memory(options, start, nv, known)
    }

    fn with_memory(
        options: &WorldOptions,
        start_us: i64,
        nv: NvMemory,
        known: Option<WorldRecord>,
    ) -> Result<InProcess, SimError> {
        let begin = known.as_ref().map_or(start_us, |k| k.utc_us);
        let mut world = World::new(options, begin)?;
        let factory = (*world.config(), world.calibration(&options.scenario));
        let mut hardware = Hardware::new(nv, options.seed, factory);
        hardware.rtc_quality = ClockQuality::Valid;
        hardware.utc_us = begin;
        if let Some(record) = known {
            world.set_origin(record.origin_us);
            // A record continues only another of its kind: a waveform knows no reactive truth.
            if record.truth.has_reactive() == world.truth.has_reactive() {
                world.truth = record.truth;
            }
            hardware.rtc_offset_us = record.rtc_offset_us;
            hardware.rtc_quality = record.rtc_quality;
            hardware.breaker_closed = record.breaker_closed;
        }
        let mut device = InProcess {
            world,
            hardware: Rc::new(RefCell::new(hardware)),
            processor: Processor::Down { left_s: 0.0, cause: ResetCause::PowerOn, no_init: None },
            inputs: options.scenario.inputs.clone(),
            hold_up_s: options.scenario.supply.hold_up_ms / 1e3,
            boot_s: options.scenario.supply.boot_ms / 1e3,
            auxiliary_supply: options.waveform.is_some(),
            rtc_ppm: options.scenario.front_end.rtc_ppm,
            rtc_drift_us: 0.0,
            dark_s: 0.0,
            shut_down: false,
            pulses_before: [0; PULSE_INPUTS],
            stretches: 0,
            starts: 0,
        };
        device.look_at_inputs();
        device.start(ResetCause::PowerOn, None);
        Ok(device)
    }

    fn start(&mut self, cause: ResetCause, no_init: Option<Box<NoInit>>) {
        // The pulse counters of the hardware begin at zero with the processor.
        self.pulses_before = self.pulse_counts();
        self.hardware.borrow_mut().pulses = [0; PULSE_INPUTS];
        let board = VirtualBoard(Rc::clone(&self.hardware));
        let coprocessor = Coprocessor::start(board, cause, no_init.as_deref());
        self.processor = Processor::Running(Box::new(coprocessor));
        self.starts += 1;
    }

    /// Moves the world by one stretch of at most `most` samples, and gives how many it had.
    pub fn step(&mut self, most: u32) -> u32 {
        let metering = self.is_running();
        let closed = self.hardware.borrow().passes_current();
        let stretch = self.world.begin(most, closed, metering);
        let seconds = f64::from(stretch.samples) / self.world.rate();
        self.look_at_supply(stretch.supply, seconds);
        if let Processor::Running(coprocessor) = &mut self.processor {
            for _ in 0..stretch.samples {
                let counts = self.world.sample();
                coprocessor.sample(&counts);
            }
        }
        self.rtc_drift_us += seconds * self.rtc_ppm;
        self.look_at_inputs();
        self.look_at_resets(seconds);
        self.stretches += 1;
        if self.stretches.is_multiple_of(STORE_EVERY) {
            self.store();
        }
        stretch.samples
    }

    /// Runs at least `seconds` of simulated time.
    pub fn run(&mut self, seconds: f64) {
        let end = self.world.elapsed_s() + seconds - 1e-9;
        while self.world.elapsed_s() < end {
            let left = ((end - self.world.elapsed_s()) * self.world.rate()).ceil();
            self.step(left.clamp(1.0, f64::from(u32::MAX)) as u32);
        }
    }

    fn look_at_supply(&mut self, supply: f64, seconds: f64) {
        if self.auxiliary_supply {
            return;
        }
        let presence = f64::from(self.world.config().presence_permille) / 1000.0;
        let returns = if self.shut_down { presence * PRESENCE_HYSTERESIS } else { SUPPLY_RETURNS };
        let failing = if self.dark_s > 0.0 { supply < returns } else { supply < SUPPLY_FAILS };
        self.dark_s = if failing { self.dark_s + seconds } else { 0.0 };
        self.shut_down &= failing;
        self.hardware.borrow_mut().power_fail = failing;
        if failing && self.dark_s > self.hold_up_s {
            // Without supply nothing is kept but the non-volatile memory and the clock.
            self.stop(self.boot_s, ResetCause::PowerOn, None);
            self.hardware.borrow_mut().reset = None;
        }
    }

    /// The processor stops, and its timers with it.
    fn stop(&mut self, left_s: f64, cause: ResetCause, no_init: Option<Box<NoInit>>) {
        if let Processor::Running(coprocessor) = &self.processor {
            let mut hw = self.hardware.borrow_mut();
            hw.given.stop(coprocessor.t_samples());
            hw.light_rests_lit = false;
        }
        self.processor = Processor::Down { left_s, cause, no_init };
    }

    fn look_at_inputs(&mut self) {
        let t = self.world.elapsed_s();
        let mut levels = if self.auxiliary_supply { Inputs::APS } else { 0 };
        for input in &self.inputs {
            if let Some(bit) = input_bit(input.input)
                && running(input.at, input.every, input.duration, t)
            {
                levels |= bit;
            }
        }
        let counts = self.pulse_counts();
        let mut hw = self.hardware.borrow_mut();
        hw.utc_us = self.world.utc_us();
        let drift = self.rtc_drift_us.trunc();
        hw.rtc_offset_us += drift as i64;
        self.rtc_drift_us -= drift;
        hw.scheduled = levels;
        for (k, pulses) in hw.pulses.iter_mut().enumerate() {
            *pulses = counts[k] - self.pulses_before[k];
        }
    }

    /// Pulses of each input since the world began.
    fn pulse_counts(&self) -> [u64; PULSE_INPUTS] {
        let t = self.world.elapsed_s();
        let mut counts = [0; PULSE_INPUTS];
        for input in &self.inputs {
            if let Some(k) = pulse_index(input.input)
                && t >= input.at
            {
                counts[k] += 1 + input.every.map_or(0, |period| ((t - input.at) / period) as u64);
            }
        }
        counts
    }

    fn look_at_resets(&mut self, seconds: f64) {
        let request = self.hardware.borrow_mut().reset.take();
        if core::mem::take(&mut self.hardware.borrow_mut().shut_down) && self.is_running() {
            // Held as if there were no supply, until there is a voltage.
            self.stop(self.boot_s, ResetCause::PowerOn, None);
            self.shut_down = true;
            self.dark_s = self.dark_s.max(seconds);
            return;
        }
        match (&mut self.processor, request) {
            (Processor::Running(coprocessor), Some(request)) => {
                let (warm, cause) = match request {
                    ResetRequest::Application { warm } => (warm, ResetCause::Requested),
                    ResetRequest::Line { warm: true } => (true, ResetCause::Warm),
                    ResetRequest::Line { warm: false } => (false, ResetCause::PowerOn),
                };
                let no_init = warm.then(|| Box::new(coprocessor.no_init()));
                let left_s = if warm { WARM_BOOT_S } else { self.boot_s };
                self.stop(left_s, cause, no_init);
            }
            (Processor::Down { left_s, cause, no_init }, _) => {
                if self.dark_s > 0.0 {
                    return;
                }
                *left_s -= seconds;
                if *left_s <= 0.0 {
                    let (cause, no_init) = (*cause, no_init.take());
                    self.start(cause, no_init);
                }
            }
            (Processor::Running(_), None) => {}
        }
    }

    /// One exchange with a host: the page it gets, `None` while the processor is down.
    pub fn exchange(&mut self, host: &Page) -> Option<Page> {
        match &mut self.processor {
            Processor::Running(coprocessor) => Some(coprocessor.exchange(host)),
            Processor::Down { .. } => None,
        }
    }

    /// Level of the data-ready line.
    pub fn data_ready(&self) -> bool {
        self.coprocessor().is_some_and(Coprocessor::data_ready)
    }

    /// The coprocessor, `None` while it is down.
    pub fn coprocessor(&self) -> Option<&Coprocessor<VirtualBoard>> {
        match &self.processor {
            Processor::Running(coprocessor) => Some(coprocessor),
            Processor::Down { .. } => None,
        }
    }

    /// Whether the processor runs.
    pub fn is_running(&self) -> bool {
        matches!(self.processor, Processor::Running(_))
    }

    /// Starts of the processor in this run.
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The pulses that were given.
    pub fn given_pulses(&self) -> GivenPulses {
        self.hardware.borrow().given.clone()
    }

    /// The parts around the processor.
    pub(crate) fn hardware(&self) -> &Rc<RefCell<Hardware>> {
        &self.hardware
    }

    /// Pulls the reset line; takes effect within a cycle.
    pub fn reset(&mut self, warm: bool) {
        self.hardware.borrow_mut().reset = Some(ResetRequest::Line { warm });
    }

    /// Holds an input by hand: `Some(level)`, or `None` to let the scenario have it again.
    pub fn hold_input(&mut self, bits: u32, level: Option<bool>) {
        let mut hw = self.hardware.borrow_mut();
        hw.held.0 = if level.is_some() { hw.held.0 | bits } else { hw.held.0 & !bits };
        hw.held.1 = if level == Some(true) { hw.held.1 | bits } else { hw.held.1 & !bits };
    }

    /// Writes the world page of the memory file.
    pub fn store(&mut self) {
        let mut hw = self.hardware.borrow_mut();
        let record = WorldRecord {
            utc_us: self.world.utc_us(),
            origin_us: self.world.origin_us(),
            rtc_offset_us: hw.rtc_offset_us,
            rtc_quality: hw.rtc_quality,
            breaker_closed: hw.breaker_closed,
            truth: self.world.truth.clone(),
        };
        hw.nv.store_world(&record);
    }
}

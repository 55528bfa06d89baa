//! The main loop and the board as the application sees it.

use core::cell::RefCell;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{Peripherals as Core, SCB};
use critical_section::Mutex;
use metrology_dsp::coprocessor::{Board, Coprocessor};
use metrology_dsp::pq::PowerQuality;
use metrology_dsp::pulses::Pulse;
use metrology_link::Page;
use metrology_link::payload::{ClockQuality, Inputs, LcdFrame, Outputs, PULSE_INPUTS};
use stm32g4::stm32g474::Peripherals;
use stm32g474_logic::ads131m08::FRAME;
use stm32g474_logic::clock::{SampleClock, TICKS_HZ, width};
use stm32g474_logic::fram_frames::SIZE;
use stm32g474_logic::inputs::{LOOKS_HZ, Pulses};
use stm32g474_logic::queue::Item;
use stm32g474_logic::slave;

use crate::fram::Fram;
use crate::rtc::Rtc;
use crate::watchdog::Watchdog;
use crate::{adc, clocks, dispatch, image, page_slave, pins, power, pulse_timers};

/// A reset that was asked for waits so long for its reply to be fetched, ticks: 100 ms.
const FAREWELL: u32 = TICKS_HZ / 10;
/// A converter that is lame is set up again after so many ticks: 100 ms.
const REPAIR: u32 = TICKS_HZ / 10;

static PULSES: Mutex<RefCell<Pulses>> = Mutex::new(RefCell::new(Pulses::new()));

/// Memory that is not on the stack.
pub struct Memory {
    /// The watch of power quality.
    pub power_quality: &'static mut PowerQuality,
    /// Buffers of the link.
    pub pages: [&'static mut Page; 2],
    /// The converter's frame.
    pub frame: &'static mut [u8; FRAME],
}

/// Sent to the converter while it is read.
static NULL: [u8; FRAME] = [0; FRAME];

/// Sets everything up and measures until the power fails.
pub fn run(mut core: Core, chip: Peripherals, memory: Memory) -> ! {
    let Memory { power_quality, pages: [first, second], frame } = memory;
    clocks::set_up(&chip.RCC, &chip.FLASH, &chip.PWR);
    pins::set_up(&chip.GPIOA, &chip.GPIOB, &chip.GPIOC, &chip.GPIOD, &chip.GPIOE, &chip.SYSCFG);
    pins::set_up_coils(&chip.TIM7);
    power::set_up(&chip.PWR, &chip.EXTI);
    let rtc = Rtc::new(chip.RTC, chip.TAMP, &chip.RCC, &chip.PWR);
    let cause = power::cause(&chip.RCC, rtc.take_request());
    pulse_timers::start(chip.TIM2);
    adc::start(chip.SPI1, chip.TIM5, &chip.DMAMUX, frame, &NULL);
    page_slave::start(chip.SPI2, &chip.DMAMUX, &chip.EXTI, first);
    let board = G474 {
        fram: Fram::new(chip.SPI3),
        rtc,
        watchdog: Watchdog::start(chip.IWDG),
        clock: SampleClock::new(8000),
        power_quality,
        image: image::hash(),
        device_id: image::device_id(),
        reset_asked: false,
    };
    // Here and not in a static, and in two steps: it is built in place, 20 KiB have no room twice.
    let mut coprocessor = Coprocessor::at_rest(board, cause);
    coprocessor.begin(None);
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.set_reload(TICKS_HZ / LOOKS_HZ - 1);
    core.SYST.clear_current();
    core.SYST.enable_counter();
    core.SYST.enable_interrupt();
    dispatch::enable(&mut core.NVIC, &mut core.SCB);
    exchange(&mut coprocessor, second);
    let mut rate_hz = 0;
    let mut repaired = adc::now();
    loop {
        let wanted = coprocessor.config().rate_hz;
        let now = adc::now();
        if wanted != rate_hz || adc::lame() && now.wrapping_sub(repaired) > REPAIR {
            (rate_hz, repaired) = (wanted, now);
            adc::set_rate(rate_hz);
            coprocessor.board_mut().clock = SampleClock::new(rate_hz);
        }
        match adc::next() {
            Some(Item::Sample(counts, ticks)) => {
                let sample = coprocessor.t_samples();
                let board = coprocessor.board_mut();
                board.clock.note(sample, ticks);
                board.watchdog.feed();
                if sample.is_multiple_of(u64::from(rate_hz)) {
                    pins::alive((sample / u64::from(rate_hz)).is_multiple_of(2));
                }
                coprocessor.sample(&counts);
            }
            Some(Item::Lost(n)) => {
                coprocessor.board().watchdog.feed();
                coprocessor.samples_lost(n);
            }
            // Whatever happens next is an interrupt, the tick at the latest.
            None => cortex_m::asm::wfi(),
        }
        if let Some(page) = page_slave::take(coprocessor.data_ready()) {
            exchange(&mut coprocessor, page);
            if coprocessor.board().reset_asked {
                farewell(&coprocessor);
            }
        }
    }
}

/// Carries on the host's page and arms the next.
fn exchange(coprocessor: &mut Coprocessor<G474>, page: &'static mut Page) {
    let news = slave::carry(coprocessor, page);
    page_slave::arm(page, news);
}

/// The reply to a reset is armed: lets the host fetch it, then restarts. Everything is stored.
fn farewell(coprocessor: &Coprocessor<G474>) -> ! {
    let begun = adc::now();
    while page_slave::take(false).is_none() && adc::now().wrapping_sub(begun) < FAREWELL {
        coprocessor.board().watchdog.feed();
    }
    coprocessor.board().rtc.leave_request();
    SCB::sys_reset()
}

/// Interrupt, each millisecond.
pub fn tick() {
    adc::tick();
    let levels = pins::pulse_inputs();
    critical_section::with(|cs| PULSES.borrow_ref_mut(cs).look(levels));
}

struct G474 {
    fram: Fram,
    rtc: Rtc,
    watchdog: Watchdog,
    clock: SampleClock,
    power_quality: &'static mut PowerQuality,
    image: [u8; 32],
    device_id: [u8; 8],
    reset_asked: bool,
}

impl Board for G474 {
    fn nv_size(&self) -> usize {
        SIZE
    }

    fn nv_read(&self, at: usize, out: &mut [u8]) {
        self.fram.read(at, out);
    }

    fn nv_write(&mut self, at: usize, bytes: &[u8]) {
        self.fram.write(at, bytes);
    }

    fn rtc(&self) -> (i64, ClockQuality) {
        self.rtc.now()
    }

    fn set_rtc(&mut self, utc_us: i64, quality: ClockQuality) {
        self.rtc.set(utc_us, quality);
    }

    fn inputs(&mut self) -> Inputs {
        let failing = if power::failing() { Inputs::POWER_FAIL } else { 0 };
        Inputs(pins::inputs().0 | failing)
    }

    fn pulses(&mut self) -> [u64; PULSE_INPUTS] {
        critical_section::with(|cs| PULSES.borrow_ref(cs).counts())
    }

    fn set_outputs(&mut self, outputs: &Outputs) {
        pins::outputs(outputs);
    }

    fn lcd(&mut self, _frame: &LcdFrame) {
        // The display's controller is not chosen yet.
    }

    fn temperature_mdeg(&self) -> Option<i32> {
        None
    }

    fn firmware_id(&self) -> [u8; 32] {
        self.image
    }

    fn device_id(&self) -> [u8; 8] {
        self.device_id
    }

    fn laboratory_key(&self) -> Option<[u8; 32]> {
        image::laboratory_key()
    }

    fn with_power_quality<R>(&mut self, f: impl FnOnce(&mut PowerQuality) -> R) -> Option<R> {
        Some(f(self.power_quality))
    }

    fn pulse(&mut self, pulse: &Pulse) {
        pulse_timers::give(pulse.output, self.clock.tick(pulse.begin), width(pulse.width_ms));
    }

    fn light_rests(&mut self, lit: bool) {
        pulse_timers::light_rests(lit);
    }

    fn shut_down(&mut self) {
        pins::all_off();
        while power::failing() {
            self.watchdog.feed();
        }
        SCB::sys_reset()
    }

    fn reset(&mut self, _warm: bool) {
        self.reset_asked = true;
    }
}

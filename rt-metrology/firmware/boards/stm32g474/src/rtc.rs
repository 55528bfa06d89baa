//! The real-time clock on its crystal of 32 768 Hz and back-up supply, read to 122 µs. Untested on hardware.

use crate::field::Put;
use metrology_link::payload::ClockQuality;
use stm32g4::stm32g474::{PWR, RCC, RTC, TAMP};
use stm32g474_logic::calendar::{self, Calendar, STEPS, bcd};

/// Stands in a back-up register as long as the clock has been set and has run since.
const SET: u32 = 0x5254_4331;
/// Stands in another one from a reset that was asked for to the next start.
const REQUESTED: u32 = 0x5245_5345;
/// Looks at flags that the clock's slow side sets: some 100 ms.
const PATIENCE: u32 = 2_000_000;
/// 32 768 Hz / 4 are the steps.
const ASYNCHRONOUS: u8 = 3;

/// The clock.
pub struct Rtc {
    rtc: RTC,
    backup: TAMP,
    quality: ClockQuality,
}

impl Rtc {
    /// Takes over a clock that runs, or starts one that does not.
    pub fn new(rtc: RTC, backup: TAMP, rcc: &RCC, pwr: &PWR) -> Rtc {
        pwr.cr1().modify(|_, w| w.dbp().set_bit());
        if rcc.bdcr().read().rtcen().bit_is_clear() {
            rcc.bdcr().modify(|_, w| w.lseon().set_bit());
            // A crystal takes up to 2 s. The clock is not set before, so nothing is lost by going on.
            rcc.bdcr().modify(|_, w| w.rtcsel().lse());
            rcc.bdcr().modify(|_, w| w.rtcen().set_bit());
        }
        let set = backup.bkpr(0).read().bkp().bits() == SET;
        // Nobody knows for how long it ran on its back-up.
        let quality = if set { ClockQuality::Holdover } else { ClockQuality::Invalid };
        // Registers are read directly: shadows would be stale after a start, and twice reading tells a torn one.
        rtc.wpr().write(|w| w.key().put(0xCA));
        rtc.wpr().write(|w| w.key().put(0x53));
        rtc.cr().modify(|_, w| w.bypshad().set_bit());
        rtc.wpr().write(|w| w.key().put(0xFF));
        Rtc { rtc, backup, quality }
    }

    /// µs since 1970 UTC, and how far they can be believed.
    pub fn now(&self) -> (i64, ClockQuality) {
        let mut seen = self.read();
        for _ in 0..4 {
            let again = self.read();
            if again == seen {
                break;
            }
            seen = again;
        }
        let (calendar, counter) = seen;
        match calendar::to_utc(&calendar) {
            Some(seconds) => (seconds * 1_000_000 + calendar::micros(counter), self.quality),
            None => (0, ClockQuality::Invalid),
        }
    }

    /// Sets the clock. A time outside of 2000 to 2099 makes it invalid.
    pub fn set(&mut self, utc_us: i64, quality: ClockQuality) {
        let done = calendar::from_utc(utc_us.div_euclid(1_000_000))
            .is_some_and(|calendar| self.write(&calendar, utc_us.rem_euclid(1_000_000)));
        self.quality = if done { quality } else { ClockQuality::Invalid };
        let set = self.quality != ClockQuality::Invalid;
        self.backup.bkpr(0).write(|w| w.bkp().put(if set { SET } else { 0 }));
    }

    /// Leaves word that the next reset was asked for.
    pub fn leave_request(&self) {
        self.backup.bkpr(1).write(|w| w.bkp().put(REQUESTED));
    }

    /// Whether such word was left; takes it.
    pub fn take_request(&self) -> bool {
        let left = self.backup.bkpr(1).read().bkp().bits() == REQUESTED;
        self.backup.bkpr(1).write(|w| w.bkp().put(0));
        left
    }

    fn read(&self) -> (Calendar, u32) {
        let (time, date) = (self.rtc.tr().read(), self.rtc.dr().read());
        let counter = u32::from(self.rtc.ssr().read().ss().bits());
        let calendar = Calendar {
            year: date.yt().bits() * 10 + date.yu().bits(),
            month: u8::from(date.mt().bit()) * 10 + date.mu().bits(),
            day: date.dt().bits() * 10 + date.du().bits(),
            weekday: date.wdu().bits(),
            hour: time.ht().bits() * 10 + time.hu().bits(),
            minute: time.mnt().bits() * 10 + time.mnu().bits(),
            second: time.st().bits() * 10 + time.su().bits(),
        };
        (calendar, counter)
    }

    /// False when the clock does not obey: its crystal does not run.
    fn write(&self, to: &Calendar, micros: i64) -> bool {
        let rtc = &self.rtc;
        rtc.wpr().write(|w| w.key().put(0xCA));
        rtc.wpr().write(|w| w.key().put(0x53));
        rtc.icsr().modify(|_, w| w.init().set_bit());
        let obeys = (0..PATIENCE).any(|_| rtc.icsr().read().initf().bit_is_set());
        if obeys {
            rtc.prer().write(|w| w.prediv_s().set((STEPS - 1) as u16).prediv_a().set(ASYNCHRONOUS));
            let [(ht, hu), (mnt, mnu), (st, su)] = [to.hour, to.minute, to.second].map(bcd);
            rtc.tr().write(|w| w.ht().set(ht).hu().set(hu).mnt().set(mnt).mnu().set(mnu).st().set(st).su().set(su));
            let [(yt, yu), (mt, mu), (dt, du)] = [to.year, to.month, to.day].map(bcd);
            rtc.dr().write(|w| {
                w.yt().set(yt).yu().set(yu).mt().bit(mt == 1).mu().set(mu).dt().set(dt).du().set(du);
                w.wdu().put(to.weekday)
            });
        }
        rtc.icsr().modify(|_, w| w.init().clear_bit());
        let (second, steps) = calendar::shift(micros);
        if obeys && second {
            rtc.shiftr().write(|w| w.add1s().set_bit().subfs().set(steps));
        }
        rtc.wpr().write(|w| w.key().put(0xFF));
        obeys
    }
}

//! How long an event and its waveform take to Linux, over a link of 10 MHz in simulated time.

use super::*;

/// A page of 1024 bytes at 10 MHz takes 0.82 ms: 7 samples.
const TRANSFER: u64 = 7;
/// From the data-ready edge until Linux has begun the transfer: an interrupt, a wake-up, an ioctl; 0.5 ms.
const WAKE: u64 = 4;
/// One nominal cycle: a one-cycle value ends so long after its begin.
const CYCLE: u64 = RATE / 50;

/// The coprocessor, the grid and a host that exchanges when data-ready rises, in samples.
struct Timed {
    rig: Rig,
    /// When the transfer under way is complete.
    busy: Option<u64>,
    /// Each record with the sample at which Linux had it.
    events: Vec<(EventRecord, u64)>,
    reports: Vec<(ReportRecord, u64)>,
}

impl Timed {
    fn new(streams: bool, phase: u64) -> Timed {
        let mut rig = Rig::watching(MemBoard::new());
        if streams {
            let mask = StreamKind::Raw.bit() | StreamKind::HalfCycleRms.bit() | StreamKind::Spectrum.bit();
            rig.command(Command::Subscribe { mask });
        }
        rig.run_ms(1000);
        rig.linked = false;
        let mut timed = Timed { rig, busy: None, events: Vec::new(), reports: Vec::new() };
        while timed.rig.cop.t_samples() % CYCLE != phase {
            timed.sample();
        }
        timed
    }

    fn sample(&mut self) {
        self.rig.step();
        let now = self.rig.cop.t_samples();
        match self.busy {
            None if self.rig.cop.data_ready() => self.busy = Some(now + WAKE + TRANSFER),
            Some(done) if now >= done => {
                self.busy = None;
                let seen = self.rig.seen.len();
                self.rig.exchange();
                for received in &self.rig.seen[seen..] {
                    match received {
                        Received::Event(e) => self.events.push((*e, now)),
                        Received::Report(r) => self.reports.push((*r, now)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn run(&mut self, samples: u64) {
        (0..samples).for_each(|_| self.sample());
    }
}

fn ms(samples: u64) -> f64 {
    samples as f64 * 1000.0 / RATE as f64
}

#[test]
fn an_event_is_on_linux_15_ms_after_the_half_cycle_that_decides_it_and_its_waveform_100_ms_after_its_last_sample() {
    let (mut slowest, mut slowest_wave, mut cases) = ((0, ""), (0, ""), 0);
    for (name, code, volts) in [
        ("dip", EventCode::DIP, 180.0),
        ("swell", EventCode::SWELL, 270.0),
        ("interruption", EventCode::INTERRUPTION, 3.0),
    ] {
        for streams in [false, true] {
            // The voltage falls at sixteen angles.
            for phase in (0..CYCLE).step_by(10) {
                let mut timed = Timed::new(streams, phase);
                timed.rig.volts = volts;
                timed.run(RATE);
                let (event, at) = timed.events.iter().find(|(e, _)| e.code == code).expect("told");
                assert_eq!(event.args[2], -1, "told when it begins");
                // The one-cycle value that decides begins at args[3] and ends a cycle later.
                let late = at - (event.args[3] as u64 + CYCLE);
                let last = timed.reports.iter().find(|(r, _)| r.flags.has(ReportFlags::LAST)).expect("a waveform");
                let pieces = timed.reports.iter().filter(|(r, _)| r.wave().is_some()).count();
                assert!(pieces >= 43, "{pieces}");
                let wave_late = last.1 - last.0.end;
                slowest = slowest.max((late, name));
                slowest_wave = slowest_wave.max((wave_late, name));
                cases += 1;
            }
        }
    }
    std::println!(
        "{cases} cases: slowest event {:.2} ms ({}) after the half-cycle that decides it, slowest last piece {:.2} ms ({}) after \
         its last sample",
        ms(slowest.0),
        slowest.1,
        ms(slowest_wave.0),
        slowest_wave.1
    );
    assert!(ms(slowest.0) <= 15.0 && ms(slowest_wave.0) <= 100.0);
    // The rig measures: a host that comes every 60 ms is too late.
    let mut timed = Timed::new(false, 0);
    timed.rig.volts = 180.0;
    let mut late = 0;
    for n in 0..RATE {
        timed.rig.step();
        if n % (60 * RATE / 1000) == 0 {
            let seen = timed.rig.seen.len();
            timed.rig.exchange();
            let dip = timed.rig.seen[seen..].iter().find_map(|r| match r {
                Received::Event(e) if e.code == EventCode::DIP => Some(e.args[3] as u64),
                _ => None,
            });
            late = dip.map_or(late, |begin| timed.rig.cop.t_samples() - begin - CYCLE);
        }
    }
    assert!(ms(late) > 15.0, "the control was in time: {} ms", ms(late));
}

//! The meter thread: pages, the meter core, and the hand-over to the store and to the bus. Blocking, no runtime.

use crate::core::{Core, Output};
use crate::link::Link;
use crate::link::pump::{Ends, News, Pump};
use crate::live::{Live, Request};
use crate::store::{Committed, MeterKeeper};
use crate::telemetry::{self, Keeper};
use meter_core::{Finding, Refused};
use meter_kit::notify::Progress;
use meter_kit::store::writer::Handle;
use meter_kit::wake::Wake;
use meter_model::Mono;
use metrology_link::{Page, PageError};
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// How often the meter is told that time passes.
const TICK: Duration = Duration::from_secs(1);
/// Shortest time between two publications: 50 a second are enough for everybody when meter time runs fast.
const PUBLISH_MIN: Duration = Duration::from_millis(20);
/// Longest time between two publications: a reader sees ageing values at most this late.
const PUBLISH_MAX: Duration = Duration::from_secs(1);
/// The thread counts as stuck when a turn takes this long. A turn is at most a quarter of a second, unless the store's
/// queue is full and the disk does not take anything.
pub const STUCK: Duration = Duration::from_secs(10);

/// Everything the thread owns.
pub struct Engine<L> {
    /// The meter.
    pub core: Core,
    /// What the start brought: done first.
    pub begin: Vec<Output>,
    /// The transport.
    pub link: L,
    /// The store's thread.
    pub store: Handle<MeterKeeper>,
    /// What the store has committed.
    pub committed: Committed,
    /// The thread that keeps the reports.
    pub telemetry: Keeper,
    /// What the bus asks.
    pub requests: Receiver<Request>,
    /// What the thread sleeps on.
    pub wake: Wake,
    /// What the bus sees.
    pub live: watch::Sender<Arc<Live>>,
    /// For the watchdog.
    pub progress: Arc<Progress>,
    /// Set to end the thread.
    pub stop: Arc<AtomicBool>,
}

/// State between turns.
struct Turns {
    began: Instant,
    answers: HashMap<u64, oneshot::Sender<Result<(), Refused>>>,
    token: u64,
    ticked: Instant,
    published: Instant,
    second: u64,
    fresh: bool,
    heads: Option<Vec<Finding>>,
}

/// What the bus sees before the first turn.
pub fn first_live(core: &Core) -> Live {
    Live {
        at: Instant::now(),
        wall: core.meter().now(Mono(0)),
        second: 0,
        readings: core.meter().readings(Mono(0)),
        params: core.meter().durable().params,
        hello: None,
        link_lost: false,
        silent_us: 0,
        link_error: None,
        pump: Default::default(),
        stats: *core.stats(),
        heads: None,
        telemetry: telemetry::State::default(),
    }
}

impl<L: Link> Engine<L> {
    /// Runs until told to stop. What was handed to the store is committed by the store's own end.
    pub fn run(self) {
        let Engine { mut core, begin, link, store, committed, telemetry, requests, wake, live, progress, stop } = self;
        let began = Instant::now();
        let clock = || Mono(began.elapsed().as_micros() as u64);
        let mut pump = Pump::new(link, clock());
        let mut out = begin;
        let mut turns = Turns {
            began,
            answers: HashMap::new(),
            token: 0,
            ticked: began,
            published: began,
            second: 0,
            fresh: false,
            heads: None,
        };
        while !stop.load(Ordering::Relaxed) {
            wake.clear();
            core.committed(committed.newest(), &mut out);
            core.telemetry(telemetry.state());
            for Request { command, origin, reply } in requests.try_iter() {
                turns.token += 1;
                turns.answers.insert(turns.token, reply);
                core.command(clock(), command, origin, turns.token, &mut out);
            }
            if turns.ticked.elapsed() >= TICK {
                turns.ticked = Instant::now();
                core.tick(clock(), &mut out);
            }
            if turns.take(&mut out, &store, &telemetry).is_err() {
                return;
            }
            match pump.turn(clock, wake.as_fd(), &mut Exchange { core: &mut core, out: &mut out, began }) {
                News::Lost => {
                    log::warn!("metrology link lost: {}", pump.last_error().unwrap_or("no page armed"));
                    core.link_lost(clock(), &mut out);
                }
                News::Good | News::Bad | News::Nothing => {}
            }
            if turns.take(&mut out, &store, &telemetry).is_err() {
                return;
            }
            turns.publish(&core, &pump, &telemetry, &live);
            // Pages come, or it is known that none do and recovery is under way: both are progress.
            if pump.is_lost() || pump.silent_us(clock()) < STUCK.as_micros() as u64 {
                progress.mark();
            }
        }
    }
}

/// The store ends: so does the meter thread.
struct StoreEnded;

impl Turns {
    fn take(
        &mut self,
        out: &mut Vec<Output>,
        store: &Handle<MeterKeeper>,
        telemetry: &Keeper,
    ) -> Result<(), StoreEnded> {
        for output in out.drain(..) {
            match output {
                // Blocks while the store's queue is full: nothing is acknowledged meanwhile, so nothing is lost.
                Output::Persist(unit, tx) => store.write((unit, tx)).map_err(|_| StoreEnded)?,
                Output::Answer(token, answer) => {
                    if let Some(reply) = self.answers.remove(&token) {
                        // The caller may have gone; the audit row stays.
                        let _ = reply.send(answer);
                    }
                }
                Output::Snapshot => {
                    self.second += 1;
                    self.fresh = true;
                }
                Output::Notice(notice) => log::warn!("{notice}"),
                Output::Report(report) => telemetry.send(*report),
                Output::Hello(hello) => log::info!(
                    "metrology {} says hello: boot {}, firmware {}",
                    hex(&hello.device_id),
                    hello.boot_id,
                    hex(&hello.firmware_id[..8])
                ),
                Output::LinkRefused(reply) => {
                    log::warn!("metrology refused command {}: {:?} ({})", reply.cmd_id, reply.status, reply.detail);
                }
                Output::Heads(findings) => {
                    findings.iter().for_each(|f| log::error!("{f}"));
                    self.heads = Some(findings);
                }
            }
        }
        Ok(())
    }

    fn publish<L: Link>(&mut self, core: &Core, pump: &Pump<L>, telemetry: &Keeper, live: &watch::Sender<Arc<Live>>) {
        let since = self.published.elapsed();
        if since < PUBLISH_MIN || (!self.fresh && since < PUBLISH_MAX) {
            return;
        }
        self.fresh = false;
        self.published = Instant::now();
        let now = Mono(self.began.elapsed().as_micros() as u64);
        live.send_replace(Arc::new(Live {
            at: self.published,
            wall: core.meter().now(now),
            second: self.second,
            readings: core.meter().readings(now),
            params: core.meter().durable().params,
            hello: core.meter().hello().copied(),
            link_lost: pump.is_lost(),
            silent_us: pump.silent_us(now),
            link_error: pump.last_error().map(str::to_owned),
            pump: *pump.stats(),
            stats: *core.stats(),
            heads: self.heads.clone(),
            telemetry: telemetry.state(),
        }));
    }
}

/// The core as the pump sees it.
struct Exchange<'a> {
    core: &'a mut Core,
    out: &'a mut Vec<Output>,
    began: Instant,
}

impl Ends for Exchange<'_> {
    fn page_out(&mut self, page: &mut Page) {
        self.core.page_out(page);
    }

    fn page_in(&mut self, page: &Page) -> Result<(), PageError> {
        self.core.page_in(Mono(self.began.elapsed().as_micros() as u64), page, self.out)
    }
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

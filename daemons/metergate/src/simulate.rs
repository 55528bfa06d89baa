//! `metergate simulate`: years of a meter's life in seconds, the same for the same seed.
//!
//! The load model tells the coprocessor's pages directly, without samples; from there on everything is real: the link's
//! two ends, the meter core, the schema, the register ring. So what it leaves is a state like any other, for `verify`,
//! for tests and for whoever needs a year of data.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Args;
use meter_core::{LoggerId, Params, Settings};
use meter_kit::lock::StateLock;
use meter_kit::store::Durability;
use meter_model::Mono;
use metrology_link::PAGE;
use metrology_sim::Scenario;
use metrology_sim::pages::{LifeOptions, MAX_FAULTS, PageDevice};
use registerd::core::{Core, Output};
use registerd::store::{FOLDER, MeterStore};
use serde_json::json;

use crate::coprocessor::MeterType;
use crate::format::hex;
use crate::progress::Progress;
use crate::{cli, times};

const EXAMPLES: &str = "\
Examples:
  metergate simulate --state year --from 2026-01-01 --days 365 --seed 7
  metergate verify --state year
  metergate simulate --state rough --from 2026-01-01 --days 30 --seed 7 --faults 2 --json

The same options give the same content: the printed content hash is over all rows and the settled registers. Without
--durable the disk is not waited for, as nothing is lost that cannot be simulated again; with it, every minute is made
durable as on a product, which is what its figure is for.";

/// Longest life. The load model's counters last far longer; a hundred years is what anybody may want to see.
const DAYS_MAX: i64 = 36_525;
/// Serial number of the simulated meter.
const SERIAL: &str = "00000001";
/// The load model's sample clock, samples per second; it is this process's time.
const RATE: u64 = 8_000;
/// Exchanges after which the two ends of the link must have had nothing more to say about one event of the life: a
/// start brings a hello, the records of the time before it and the heads of the chains.
const EXCHANGES_MAX: u32 = 10_000;
/// Idle exchanges at the end, in which the last acknowledgements and heads travel.
const LAST_EXCHANGES: u32 = 16;
/// Steps of the life between two looks at the progress line.
const PROGRESS_EVERY: u64 = 1_000;

/// Arguments of `simulate`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SimulateArgs {
    /// Folder for the meter's life; must not hold one yet
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Begin, ISO 8601; without an offset it is UTC
    #[arg(long, value_name = "DATE", value_parser = times::parse)]
    from: i64,
    /// Length, days of 24 hours
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    days: u32,
    /// Seed of everything that looks random
    #[arg(long, value_name = "S")]
    seed: u64,
    /// Outages, resets and clock changes: 0 none, 1 a few a month, 2 some a day, 3 many a day
    #[arg(long, value_name = "LEVEL", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=i64::from(MAX_FAULTS)))]
    faults: u8,
    /// Wait for the disk at every commit, as a product does
    #[arg(long)]
    durable: bool,
    /// Meter type
    #[arg(long = "type", value_enum, value_name = "TYPE", default_value = "3p")]
    meter_type: MeterType,
    /// House: a built-in name or a TOML file [default: household, on CT types industry-ct]
    #[arg(long, value_name = "NAME|FILE")]
    scenario: Option<String>,
    /// Integration period of the load profile, minutes
    #[arg(long, value_name = "MIN", default_value = "15", value_parser = ["15", "30", "60"])]
    period: String,
    /// One JSON document: {state, days, rows, seconds, content_hash, ...}
    #[arg(long)]
    json: bool,
}

/// What came of a life.
#[derive(Debug)]
struct Outcome {
    /// Rows written, per logger.
    pub rows: Vec<(&'static str, u64)>,
    /// History records that passed the link.
    pub records: u64,
    /// Pages exchanged.
    pub pages: u64,
    /// Time it took, s.
    pub seconds: f64,
    /// Over all rows and the settled registers.
    pub content_hash: [u8; 32],
}

/// Simulates and prints.
pub fn run(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    let options = LifeOptions {
        meter_type: args.meter_type.simulated(),
        scenario: scenario(args.scenario.as_deref(), args.meter_type)?,
        seed: args.seed,
        start_us: args.from,
        days: args.days,
        faults: args.faults,
    };
    let period_min = args.period.parse().context("--period")?;
    let durability = if args.durable { Durability::Full } else { Durability::Off };
    let outcome = live(&args.state, &options, args.meter_type, period_min, durability)?;
    let rows_per_second = outcome.rows.iter().map(|(_, n)| n).sum::<u64>() as f64 / outcome.seconds.max(1e-9);
    if args.json {
        let rows: serde_json::Map<String, serde_json::Value> =
            outcome.rows.iter().map(|(name, n)| ((*name).to_owned(), (*n).into())).collect();
        cli::print_json(&json!({
            "state": args.state,
            "from": u64::try_from(args.from).ok().and_then(times::iso),
            "days": args.days,
            "seed": args.seed,
            "faults": args.faults,
            "durable": args.durable,
            "rows": rows,
            "minutes": outcome.records,
            "pages": outcome.pages,
            "seconds": outcome.seconds,
            "content_hash": hex(&outcome.content_hash),
        }))?;
    } else {
        for (name, rows) in &outcome.rows {
            println!("{name:<8} {rows:>8} rows");
        }
        println!("records  {:>8}", outcome.records);
        println!("seconds  {:>8.1}  ({rows_per_second:.0} rows/s, durable: {})", outcome.seconds, args.durable);
        println!("content  {}", hex(&outcome.content_hash));
    }
    Ok(ExitCode::SUCCESS)
}

/// The scenario that was named, or the one that suits the meter type.
fn scenario(name: Option<&str>, meter_type: MeterType) -> anyhow::Result<Scenario> {
    Ok(Scenario::load(name.unwrap_or(if meter_type.is_ct() { "industry-ct" } else { "household" }))?)
}

/// Lives the life into `state`.
///
/// # Errors
/// As [`House::open`], or the two ends of the link never come to rest.
fn live(
    state: &Path,
    options: &LifeOptions,
    meter_type: MeterType,
    period_min: u8,
    durability: Durability,
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let mut house = House::open(state, options, meter_type, period_min, durability)?;
    house.live(u64::from(options.days))?;
    let seconds = started.elapsed().as_secs_f64();
    let count = |id| house.store.bounds(id).map_or(0, |(_, last)| last);
    Ok(Outcome {
        rows: LoggerId::ALL.iter().map(|id| (id.spec().name, count(*id))).collect(),
        records: house.core.meter().durable().seq,
        pages: house.pages,
        seconds,
        content_hash: house.store.content_hash()?,
    })
}

/// Both sides of the link in one thread.
pub struct House {
    device: PageDevice,
    core: Core,
    store: MeterStore,
    out: Vec<Output>,
    pages: u64,
    _lock: StateLock,
}

impl House {
    /// Makes a new meter in `state`.
    ///
    /// # Errors
    /// The folder holds a meter already or cannot be written.
    pub fn open(
        state: &Path,
        options: &LifeOptions,
        meter_type: MeterType,
        period_min: u8,
        durability: Durability,
    ) -> anyhow::Result<House> {
        let folder = state.join(FOLDER);
        ensure!(!folder.exists(), "{} holds a meter already", state.display());
        let lock = StateLock::acquire(&folder)?;
        let store = MeterStore::open(state, durability)?.store;
        let ct_ratio = if meter_type.is_ct() { options.scenario.ct_ratio.round() as u16 } else { 1 };
        let settings = Settings {
            meter_type: meter_type.name().parse()?,
            serial: SERIAL.into(),
            params: Params { period_min, ct_ratio, ..Params::default() },
            not_legal: true,
            ..Settings::default()
        };
        Ok(House {
            device: PageDevice::new(options),
            core: Core::new(settings, None)?,
            store,
            out: Vec::new(),
            pages: 0,
            _lock: lock,
        })
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        LoggerId::ALL.iter().map(|id| self.store.bounds(*id).map_or(0, |(_, last)| last)).sum()
    }

    /// Lives to the end; everything is in the files then.
    ///
    /// # Errors
    /// The store fails, or the two ends of the link never come to rest.
    pub fn live(&mut self, days: u64) -> anyhow::Result<()> {
        let mut progress = Progress::new("days");
        let mut steps = 0;
        self.rest()?;
        while self.device.advance() {
            self.rest()?;
            steps += 1;
            if steps % PROGRESS_EVERY == 0 {
                progress.set((self.device.life().progress() * days as f64) as u64, days);
            }
        }
        (0..LAST_EXCHANGES).try_for_each(|_| self.exchange())?;
        Ok(self.store.flush()?)
    }

    /// Exchanges pages until the device has nothing more to say.
    fn rest(&mut self) -> anyhow::Result<()> {
        for _ in 0..EXCHANGES_MAX {
            if !self.device.data_ready() {
                return Ok(());
            }
            self.exchange()?;
        }
        bail!("the link does not come to rest; this is a fault of the program")
    }

    fn exchange(&mut self) -> anyhow::Result<()> {
        let mut page = [0; PAGE];
        self.core.page_out(&mut page);
        let answer = self.device.exchange(&page);
        self.pages += 1;
        let now = Mono(self.device.life().billing().snapshot.t_samples * 1_000_000 / RATE);
        self.core.page_in(now, &answer, &mut self.out).context("a page of the load model is damaged")?;
        self.carry_out()
    }

    /// Does what the core wants done; a commit may bring more.
    fn carry_out(&mut self) -> anyhow::Result<()> {
        while !self.out.is_empty() {
            for output in std::mem::take(&mut self.out) {
                match output {
                    Output::Persist(unit, tx) => {
                        self.store.apply(&tx)?;
                        self.core.committed(unit, &mut self.out);
                    }
                    Output::Notice(notice) => log::debug!("{notice}"),
                    Output::Heads(findings) => {
                        ensure!(findings.is_empty(), "chain heads disagree: {findings:?}");
                    }
                    Output::LinkRefused(reply) => log::debug!("refused by the coprocessor: {reply:?}"),
                    Output::Answer(..) | Output::Snapshot | Output::Hello(_) | Output::Report(_) => {}
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(seed: u64, days: u32, faults: u8) -> LifeOptions {
        LifeOptions {
            meter_type: MeterType::ThreePhase.simulated(),
            scenario: scenario(None, MeterType::ThreePhase).unwrap(),
            seed,
            start_us: times::parse("2026-03-01").unwrap(),
            days,
            faults,
        }
    }

    fn life(options: &LifeOptions, durability: Durability) -> (tempfile::TempDir, Outcome) {
        let dir = tempfile::tempdir().unwrap();
        let outcome = live(dir.path(), options, MeterType::ThreePhase, 15, durability).unwrap();
        (dir, outcome)
    }

    fn rows(outcome: &Outcome, logger: &str) -> u64 {
        outcome.rows.iter().find(|(name, _)| *name == logger).unwrap().1
    }

    /// A day has 96 quarters of an hour; the same seed gives the same content, durable or not; another seed does not;
    /// and what is left passes its own check.
    #[test]
    fn a_life_is_the_same_for_the_same_seed_and_whole() {
        let (dir, first) = life(&options(7, 1, 0), Durability::Off);
        assert_eq!(rows(&first, "load"), 96);
        let (_, again) = life(&options(7, 1, 0), Durability::Full);
        assert_eq!(again.content_hash, first.content_hash);
        let (_, other) = life(&options(8, 1, 0), Durability::Off);
        assert_ne!(other.content_hash, first.content_hash);
        let verification = registerd::store::verify_stopped(dir.path()).unwrap();
        assert!(verification.ok(), "{:?}", verification.findings);
        // The state is taken: a second life there would mix two meters.
        let error = live(dir.path(), &options(7, 1, 0), MeterType::ThreePhase, 15, Durability::Off).unwrap_err();
        assert!(error.to_string().contains("holds a meter already"), "{error}");
    }

    #[test]
    fn a_rough_life_is_whole_too() {
        let (dir, outcome) = life(&options(7, 3, 3), Durability::Off);
        assert!(rows(&outcome, "load") > 200 && rows(&outcome, "status") > 3, "{:?}", outcome.rows);
        let verification = registerd::store::verify_stopped(dir.path()).unwrap();
        assert!(verification.ok(), "{:?}", verification.findings);
    }
}

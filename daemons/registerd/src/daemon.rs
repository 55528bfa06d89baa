//! The service from start to end: which parts exist, in which order they begin, and in which they stop.

use crate::config::{Config, LinkKind, load_tariffs};
use crate::core::Core;
use crate::engine::{Engine, STUCK, first_live};
use crate::identity::Identity;
use crate::link::Link;
use crate::link::socket::SocketLink;
use crate::link::spi::SpiLink;
use crate::link::tap::Tap;
use crate::live::Requests;
use crate::service::{self, Context};
use crate::store::{Committed, FOLDER, MeterKeeper, MeterStore, Opened};
use crate::telemetry::Keeper;
use anyhow::Context as _;
use meter_core::Settings;
use meter_kit::lock::StateLock;
use meter_kit::notify::{self, Progress};
use meter_kit::shutdown;
use meter_kit::store::Durability;
use meter_kit::store::writer::Writer;
use meter_kit::wake::Wake;
use meter_model::Mono;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Pause before a lost bus is tried again. Metering goes on meanwhile.
const BUS_PAUSE: Duration = Duration::from_secs(1);

/// How the service is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Configuration file, or the folder that holds `registerd.toml`.
    pub config: PathBuf,
    /// STATE: registerd's own folder is made below it.
    pub state: PathBuf,
    /// Address of the bus; goes before the configuration's.
    pub bus: Option<String>,
    /// Whether this is the legal binary on its own. A demonstration build says no and marks every row.
    pub legal: bool,
    /// Where to write down every page of the link.
    pub capture: Option<PathBuf>,
}

/// Runs the service until SIGTERM or SIGINT. Logging must have been started.
///
/// # Errors
/// One line why it cannot start: configuration, state folder, database, link device or bus name. Nothing is changed
/// then, except that a corrupt database has been moved aside.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let config = Config::load(&options.config)?;
    let tariffs = load_tariffs(&options.config)?;
    let identity = Identity::of_this_process(options.legal).context("cannot read the running binary")?;
    let folder = options.state.join(FOLDER);
    let lock = StateLock::acquire(&folder)?;
    let Opened { store, durable, replaced, notices } = MeterStore::open(&options.state, Durability::Full)?;
    notices.iter().for_each(|n| log::warn!("{n}"));
    let settings = Settings { tariffs, ..config.settings(!options.legal)? };
    let mut core = Core::new(settings, durable)?;
    let mut begin = Vec::new();
    if replaced {
        core.store_replaced(Mono(0), &mut begin);
    }
    let link: Box<dyn Link + Send> = match config.link.kind {
        LinkKind::Socket => Box::new(SocketLink::new(&config.link.socket)),
        LinkKind::Spi => Box::new(SpiLink::open(&config.link)?),
    };
    let link: Box<dyn Link + Send> = match &options.capture {
        Some(file) => Box::new(Tap::new(link, file).with_context(|| format!("capture {}", file.display()))?),
        None => link,
    };
    log::info!(
        "registerd {} ({}{}), meter {} {}, link {}",
        identity.version,
        identity.software_id,
        if identity.legal { "" } else { ", NOT LEGAL" },
        config.meter.meter_type,
        config.meter.serial,
        config.link.describe()
    );

    let wake = Wake::new()?;
    let committed = Committed::new(wake.clone());
    let writer = Writer::spawn("store", MeterKeeper::new(store, committed.clone()))?;
    let telemetry = Keeper::spawn(&folder, wake.clone())?;
    let (requests, receiver) = Requests::new(wake.clone());
    let (live, watched) = watch::channel(Arc::new(first_live(&core)));
    let progress = Progress::new("meter thread", STUCK);
    let parts = vec![progress.clone(), writer.handle().health().progress()];
    let stop = Arc::new(AtomicBool::new(false));
    let engine = Engine {
        core,
        begin,
        link,
        store: writer.handle(),
        committed,
        telemetry,
        requests: receiver,
        wake: wake.clone(),
        live,
        progress,
        stop: stop.clone(),
    };
    let meter = std::thread::Builder::new().name("meter".into()).spawn(move || engine.run())?;

    let address = options.bus.clone().or_else(|| Some(config.bus.address.clone()).filter(|a| !a.is_empty()));
    let context = Arc::new(Context { live: watched, requests, store: writer.handle(), identity, config });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(serve(address.as_deref(), &context, parts));

    notify::stopping();
    drop(runtime);
    stop.store(true, Ordering::Relaxed);
    wake.wake();
    let ended = meter.join();
    // Commits what waits and closes the database; the ring holds the state of each unit already.
    writer.stop();
    drop(lock);
    anyhow::ensure!(ended.is_ok(), "the meter thread failed");
    result
}

/// Serves the bus until asked to stop. The first connection must succeed; a later one is tried for ever.
async fn serve(address: Option<&str>, context: &Arc<Context>, parts: Vec<Arc<Progress>>) -> anyhow::Result<()> {
    let bus = async {
        let mut connection = service::serve(address, context).await.context("cannot serve the bus")?;
        notify::ready("metering");
        log::info!("serving {}", meter_bus::SERVICE);
        loop {
            // The announcer sees a lost connection at the next signal, within a second.
            let Err(e) = service::announce(&connection, context).await else { continue };
            anyhow::ensure!(context.live.has_changed().is_ok(), "the meter thread has ended");
            log::error!("bus lost: {e}; metering goes on");
            drop(connection);
            connection = loop {
                tokio::time::sleep(BUS_PAUSE).await;
                match service::serve(address, context).await {
                    Ok(connection) => break connection,
                    Err(e) => log::debug!("bus: {e}"),
                }
            };
            log::info!("bus is back");
        }
    };
    let watchdog = async {
        notify::feed_watchdog(parts).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = bus => result,
        () = watchdog => Ok(()),
        signal = shutdown::requested() => {
            log::info!("{} received, stopping", signal?);
            Ok(())
        }
    }
}

use super::*;
use crate::core::Core;
use crate::engine::{Engine, first_live};
use crate::link::{Link, LinkError, Ready, Recovery};
use crate::store::{Committed, MeterKeeper, MeterStore};
use crate::testing::{BEGIN, Device};
use futures_util::StreamExt;
use meter_bus::*;
use meter_core::{LoggerId, Settings};
use meter_kit::notify::Progress;
use meter_kit::store::Durability;
use meter_kit::store::writer::Writer;
use meter_kit::wake::Wake;
use meter_model::Absent;
use metrology_link::Page;
use std::future::Future;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("took too long")
}

/// A wire to a device in this process; silent while `up` is false.
#[derive(Clone)]
struct Wire {
    device: Arc<Mutex<Device>>,
    up: Arc<AtomicBool>,
}

impl Link for Wire {
    fn wait(&mut self, _: BorrowedFd<'_>, _: Duration) -> Ready {
        std::thread::sleep(Duration::from_millis(1));
        if self.up.load(Ordering::Relaxed) { Ready::Page } else { Ready::Timeout }
    }
    fn transfer(&mut self, tx: &Page, rx: &mut Page) -> Result<(), LinkError> {
        *rx = self.device.lock().unwrap().exchange(tx);
        Ok(())
    }
    fn recover(&mut self, _: Recovery) -> Result<(), LinkError> {
        Ok(())
    }
}

/// A whole registerd but for its process, on a bus of its own.
struct House {
    wire: Wire,
    client: Connection,
    stop: Arc<AtomicBool>,
    meter: Option<std::thread::JoinHandle<()>>,
    _writer: Writer<MeterKeeper>,
    _dir: tempfile::TempDir,
}

impl House {
    async fn build() -> House {
        let dir = tempfile::tempdir().unwrap();
        let opened = MeterStore::open(dir.path(), Durability::Off).unwrap();
        let wake = Wake::new().unwrap();
        let committed = Committed::new(wake.clone());
        let writer = Writer::spawn("store", MeterKeeper::new(opened.store, committed.clone())).unwrap();
        let core = Core::new(Settings { not_legal: true, ..Settings::default() }, None).unwrap();
        let (requests, receiver) = Requests::new(wake.clone());
        let (live, watched) = watch::channel(Arc::new(first_live(&core)));
        let wire = Wire { device: Arc::new(Mutex::new(Device::new(1))), up: Arc::default() };
        let stop = Arc::new(AtomicBool::new(false));
        let engine = Engine {
            core,
            begin: Vec::new(),
            link: wire.clone(),
            store: writer.handle(),
            committed,
            telemetry: crate::telemetry::Keeper::spawn(dir.path(), wake.clone()).unwrap(),
            requests: receiver,
            wake,
            live,
            progress: Progress::new("meter", PATIENCE),
            stop: stop.clone(),
        };
        let meter = std::thread::spawn(move || engine.run());
        let identity = Identity::of_this_process(false).unwrap();
        let config = Config::default();
        let context = Arc::new(Context { live: watched, requests, store: writer.handle(), identity, config });
        let address = private_bus();
        let server = soon(serve(Some(&address), &context)).await.unwrap();
        tokio::spawn(async move { announce(&server, &context).await });
        let client = soon(connect(Some(&address))).await.unwrap();
        House { wire, client, stop, meter: Some(meter), _writer: writer, _dir: dir }
    }

    fn minutes(&self, n: usize) {
        let mut device = self.wire.device.lock().unwrap();
        (0..n).for_each(|_| device.minute());
    }

    fn up(&self, up: bool) {
        self.wire.up.store(up, Ordering::Relaxed);
    }

    /// Waits until the load profile has this newest row.
    async fn row(&self, seq: u64) {
        let profile = ProfileProxy::new(&self.client).await.unwrap();
        let began = Instant::now();
        while profile.list().await.unwrap().iter().all(|p| p.name != "load" || p.last_seq < seq) {
            assert!(began.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(meter) = self.meter.take() {
            let _ = meter.join();
        }
    }
}

fn private_bus() -> String {
    let (tx, rx) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        zruntime::block_on(async move {
            let at = format!("unix:tmpdir={}", std::env::temp_dir().display());
            let mut bus = busd::bus::Bus::for_address(Some(&at)).await.unwrap();
            tx.send(bus.address().to_string()).unwrap();
            bus.run().await.unwrap();
        });
    });
    rx.recv_timeout(PATIENCE).unwrap()
}

#[tokio::test]
async fn values_are_absent_then_live_then_stale() {
    let house = House::build().await;
    let register = RegisterProxy::new(&house.client).await.unwrap();
    let snapshot = SnapshotProxy::new(&house.client).await.unwrap();
    let read = async || soon(register.read(&["1.1.1.8.0.255"])).await.unwrap()[0].reading.reading().unwrap();
    assert_eq!(read().await.absent(), Some(Absent::NotYet));
    assert!(matches!(soon(snapshot.last()).await, Err(Error::NotReady(_))));

    let mut signals = soon(snapshot.receive_snapshot()).await.unwrap();
    house.minutes(3);
    house.up(true);
    let signal = soon(signals.next()).await.unwrap();
    let args = signal.args().unwrap();
    let total = house.wire.device.lock().unwrap().memory.snapshot.counters.total.a_plus;
    let find = |rows: &[NamedReading]| rows.iter().find(|r| r.obis == "1.1.1.8.0.255").unwrap().reading;
    assert_eq!(find(&args.readings).value, (total / 3600) as i64);
    assert!(args.usec >= BEGIN as u64 && soon(snapshot.last()).await.unwrap().0 >= args.usec);
    assert_eq!(read().await.value, (total / 3600) as i64);
    assert!(read().await.status.has(meter_model::Status::NOT_LEGAL));

    let all = soon(register.read(&[])).await.unwrap();
    let list = soon(register.list()).await.unwrap();
    assert_eq!(all.iter().map(|r| &r.obis).collect::<Vec<_>>(), list.iter().map(|r| &r.obis).collect::<Vec<_>>());
    assert!(all.len() > 50);
    assert!(matches!(soon(register.read(&["9.9.9"])).await, Err(Error::NoSuchRegister(_))));
    assert!(matches!(soon(register.read(&["x"])).await, Err(Error::InvalidArgument(_))));
    assert!(matches!(soon(register.read(&["1.8.0"; READ_MAX + 1])).await, Err(Error::InvalidArgument(_))));

    house.up(false);
    let health = HealthProxy::new(&house.client).await.unwrap();
    let began = Instant::now();
    while read().await.absent() != Some(Absent::Stale) {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let link = soon(health.state()).await.unwrap().into_iter().find(|i| i.name == "link").unwrap();
    assert_eq!(link.level, level::FAULT, "{}", link.detail);
}

#[tokio::test]
async fn rows_come_in_pages_and_as_a_sealed_file() {
    let house = House::build().await;
    house.up(true);
    house.minutes(15 * 8 + 2);
    house.row(8).await;
    let profile = ProfileProxy::new(&house.client).await.unwrap();
    let (first, next) = soon(profile.read_rows("load", 0, 0, 0, 5)).await.unwrap();
    assert_eq!((first.len(), next), (5, first[4].seq + 1));
    let (rest, next) = soon(profile.read_rows("load", next, 0, 0, 1000)).await.unwrap();
    assert_eq!(next, 0);
    let rows: Vec<BusRow> = first.into_iter().chain(rest).collect();
    assert!(rows.windows(2).all(|w| w[1].seq == w[0].seq + 1 && w[1].start == w[0].end));
    let (some, _) = soon(profile.read_rows("load", 0, rows[2].end, rows[5].end, 1000)).await.unwrap();
    assert_eq!(some, rows[3..=5]);

    let columns = soon(profile.columns("load")).await.unwrap();
    assert_eq!(columns.len(), rows[0].values.len());
    let a_plus = &columns[0];
    assert_eq!((a_plus.obis.as_str(), a_plus.unit, a_plus.divisor), ("1.1.1.8.0.255", 30, 3600));

    let file = soon(profile.export("load", 2, 6)).await.unwrap();
    let mut file = std::fs::File::from(std::os::fd::OwnedFd::from(file));
    assert!(std::io::Write::write(&mut file, b"x").is_err(), "the file is not sealed");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let (header, exported) = ExportHeader::decode(&bytes).unwrap();
    assert_eq!((header.columns as usize, header.rows), (columns.len(), 5));
    for (exported, row) in exported.iter().zip(rows.iter().filter(|r| r.seq >= 2)) {
        assert_eq!((exported.seq, exported.end as u64, &exported.values), (row.seq, row.end, &row.values));
        assert_eq!(exported.hash.to_vec(), row.hash);
        let stored = meter_core::Row {
            seq: exported.seq,
            start: meter_model::Utc(exported.start),
            end: meter_model::Utc(exported.end),
            status: meter_model::Status(exported.status),
            values: exported.values.clone(),
            text: exported.text.clone(),
            prev: exported.prev,
            hash: exported.hash,
        };
        assert_eq!(meter_core::row_hash(LoggerId::Load, &stored), exported.hash);
    }

    assert!(matches!(soon(profile.columns("nothing")).await, Err(Error::NoSuchProfile(_))));
    for limit in [0, ROWS_MAX + 1] {
        assert!(matches!(soon(profile.read_rows("load", 0, 0, 0, limit)).await, Err(Error::InvalidArgument(_))));
    }
    let far = soon(profile.read_rows("load", 0, u64::MAX, 0, 1)).await;
    assert!(matches!(far, Err(Error::InvalidArgument(_))));

    let health = HealthProxy::new(&house.client).await.unwrap();
    let (ok, lines) = soon(health.verify()).await.unwrap();
    assert!(ok, "{lines:?}");
}

#[tokio::test]
async fn commands_are_answered_once_they_are_in_the_audit_log_with_their_caller() {
    let house = House::build().await;
    let clock = ClockProxy::new(&house.client).await.unwrap();
    let config = ConfigProxy::new(&house.client).await.unwrap();
    assert!(matches!(soon(clock.adjust(1000, "test 1")).await, Err(Error::NotReady(_))));
    house.up(true);
    house.minutes(2);
    let began = Instant::now();
    while soon(clock.now()).await.unwrap().1 != 2 {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    soon(clock.set(BEGIN as u64 + 3_600_000_000, "test 2")).await.unwrap();
    let log = EventLogProxy::new(&house.client).await.unwrap();
    let (rows, next) = soon(log.read(0, 100)).await.unwrap();
    assert_eq!((rows.len(), next), (1, 0));
    assert_eq!((rows[0].values[0], rows[0].text.as_str()), (1, "test 2"));
    assert_eq!(rows[0].values[3], i64::from(rustix::process::getuid().as_raw()));

    // The change is under way until the metrology counts by it.
    let began = Instant::now();
    while soon(clock.now()).await.unwrap().0 < BEGIN as u64 + 3_600_000_000
        || matches!(soon(clock.adjust(60_000_000, "test")).await, Err(Error::Refused(_)))
    {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(matches!(soon(clock.set(5, "test 3")).await, Err(Error::InvalidArgument(_))));
    assert!(matches!(soon(clock.adjust(3_600_000_000, "test 4")).await, Err(Error::InvalidArgument(_))));
    assert!(matches!(soon(clock.set(BEGIN as u64, "")).await, Err(Error::InvalidArgument(_))));
    let long = "x".repeat(ORIGIN_MAX + 1);
    assert!(matches!(soon(clock.set(BEGIN as u64, &long)).await, Err(Error::InvalidArgument(_))));
    assert!(matches!(soon(config.apply("[meter]\nserial = 'x'", "t")).await, Err(Error::InvalidArgument(_))));
    assert!(matches!(soon(config.apply("[meter]\nperiod_min = 7", "t")).await, Err(Error::InvalidArgument(_))));
    assert_eq!(soon(log.read(0, 100)).await.unwrap().0.len(), 1, "what is refused leaves no row");
    soon(config.apply("[meter]\nperiod_min = 30", "test 5")).await.unwrap();
    let began = Instant::now();
    loop {
        let text = soon(config.current()).await.unwrap();
        if text.contains("period_min = 30") {
            break;
        }
        assert!(text.contains("period_min = 15") && began.elapsed() < PATIENCE, "{text}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_meter_says_who_it_is() {
    let house = House::build().await;
    let identity = IdentityProxy::new(&house.client).await.unwrap();
    assert_eq!(soon(identity.software_id()).await.unwrap().len(), 64);
    assert!(!soon(identity.legal()).await.unwrap());
    assert_eq!(soon(identity.device_id()).await.unwrap(), "");
    let mut changes = identity.receive_device_id_changed().await;
    house.up(true);
    let began = Instant::now();
    while soon(changes.next()).await.unwrap().get().await.unwrap() != "0101010101010101" {
        assert!(began.elapsed() < PATIENCE);
    }
    let manager =
        zbus::fdo::ObjectManagerProxy::builder(&house.client).destination(SERVICE).path(ROOT).build().await.unwrap();
    let objects = soon(manager.get_managed_objects()).await.unwrap();
    let interfaces = objects.iter().find(|(path, _)| path.as_str() == PATH).unwrap().1;
    assert!(interfaces.keys().any(|name| name.as_str() == interface::IDENTITY));
}

//! Layouts of hello, events, streams, the host's control and the commands.

use super::{PageError, Reader, Wire, Writer, decode, wire_enum, wire_struct};
use crate::Page;
use crate::page::{Class, Header, View, crc32};
use crate::payload::{
    Authority, Billing, BreakerDrive, CHANNELS, Calibration, ChainHead, ChannelCalibration, ClockQuality, Command,
    EventCode, EventRecord, Grid, Heads, Hello, HistoryRecord, HostControl, IMAGE_BLOCK, ImageBlock, LcdFrame, LedMode,
    MODULE_OUTPUTS, MeterConfig, Method, ModuleEnergy, ModuleOutput, Outputs, PulseConfig, Ranged, Reply, ReplyStatus,
    ReportRecord, ResetCause, STREAM_DATA, SignedCalibration, StreamChunk, StreamKind, Topology,
};

wire_enum!(Topology, "topology", OnePhase, Aron, ThreePhase);
wire_enum!(Method, "method", PerPhase, Vector, Magnitude);
wire_enum!(ResetCause, "reset cause", Unknown, PowerOn, Warm, Watchdog, Requested);
wire_struct!(Hello {
    protocol: u8,
    boot_id: u32,
    device_id: [u8; 8],
    firmware_id: [u8; 32],
    firmware_version: u32,
    topology: Topology,
    method: Method,
    rate_hz: u32,
    f_nominal: u8,
    channels: u8,
    grid: Grid,
    rtc_us: i64,
    rtc_quality: ClockQuality,
    config_hash: [u8; 32],
    boots: u32,
    reset_cause: ResetCause,
    down_us: u64,
    history_first: u64,
    history_last: u64,
    event_first: u64,
    event_last: u64,
    events_lost: u64,
    report_first: u64,
    report_last: u64,
    reports_lost: u64,
    memory_reset: bool,
    last_cmd: u32,
});
wire_struct!(EventRecord {
    seq: u64,
    boot_id: u32,
    t_samples: u64,
    utc_us: i64,
    code: EventCode,
    phase: u8,
    args: [i64; 4],
});
wire_struct!(MeterConfig {
    topology: Topology,
    method: Method,
    rate_hz: u32,
    f_nominal: u8,
    u_nominal_mv: u32,
    u_full_scale_mv: u32,
    i_full_scale_ua: u32,
    i_n_full_scale_ua: u32,
    start_mw: u32,
    channels: u8,
    debounce_ms: u16,
    breaker: bool,
    trip_mv: u32,
    trip_ms: u32,
    presence_permille: u16,
    pulses: PulseConfig,
});
wire_enum!(ModuleEnergy, "energy of a pulse output", Off, Import, Export, Reactive);
wire_enum!(LedMode, "mode of the light", Import, Active, Reactive);
wire_struct!(ModuleOutput { energy: ModuleEnergy, per_kwh: u16, width_ms: u8 });
wire_struct!(PulseConfig {
    led_per_kwh: u32,
    s0_per_kwh: u32,
    i_max_ma: u32,
    led_rests_lit: bool,
    module: [ModuleOutput; MODULE_OUTPUTS],
});
wire_struct!(ChannelCalibration {
    gain_q30: i32,
    offset: i32,
    phase_ns: i32,
    gain_ppb_per_k: i32,
    gain_ppt_per_k2: i32,
    offset_mcount_per_k: i32,
    phase_ps_per_k: i32,
    ageing_ppb_per_year: i32,
});
wire_struct!(Calibration {
    channel: [ChannelCalibration; CHANNELS],
    reference_mdeg: i32,
    date_us: i64,
    ident: u32,
    device_id: [u8; 8],
});
wire_struct!(SignedCalibration { calibration: Calibration, signature: [u8; 64] });
wire_enum!(Authority, "authority", Sealed, SealOpen);
wire_enum!(BreakerDrive, "breaker drive", Keep, Open, Close);
wire_struct!(Outputs { breaker: BreakerDrive, relays: u8, backlight: bool });
wire_struct!(ChainHead { log: u8, seq: u64, head: [u8; 32] });
wire_struct!(LcdFrame {
    slot: u8,
    value: [u8; 12],
    unit: [u8; 8],
    identification: [u8; 8],
    text: [u8; 16],
    symbols: u64,
});
wire_enum!(
    ReplyStatus,
    "reply status",
    Done,
    Impossible,
    Malformed,
    BadCrc,
    NotAuthorised,
    TooSoon,
    NoPermit,
    NotFitted,
    OutOfOrder,
    TooLarge,
    Stale,
);
wire_struct!(Reply { cmd_id: u32, status: ReplyStatus, hash: [u8; 32], detail: u32 });
wire_enum!(StreamKind, "stream kind", HalfCycleRms, Window200ms, Spectrum, Raw);
wire_struct!(HostControl {
    last_seq: u32,
    permit_ms: u16,
    flags: u16,
    event_ack: u64,
    event_next: u64,
    history_next: u64,
    report_ack: u64,
    report_next: u64,
});

impl Wire for EventCode {
    const LEN: usize = 2;
    fn put(&self, w: &mut Writer<'_>) {
        w.u16(self.0);
    }
    fn take(r: &mut Reader<'_>) -> Result<EventCode, PageError> {
        Ok(EventCode(r.u16()?))
    }
}

impl<T: Wire> Wire for Ranged<T> {
    const LEN: usize = 16 + T::LEN;
    fn put(&self, w: &mut Writer<'_>) {
        w.u64(self.first);
        w.u64(self.last);
        self.record.put(w);
    }
    fn take(r: &mut Reader<'_>) -> Result<Self, PageError> {
        Ok(Ranged { first: r.u64()?, last: r.u64()?, record: T::take(r)? })
    }
}

impl Wire for StreamChunk {
    const LEN: usize = 28 + STREAM_DATA;
    fn put(&self, w: &mut Writer<'_>) {
        self.kind.put(w);
        w.u8(self.channels);
        w.u16(self.count);
        w.u32(self.subscription);
        w.u64(self.first);
        w.u64(self.t_samples);
        w.u32(u32::from(self.len));
        w.bytes(self.bytes());
    }
    fn take(r: &mut Reader<'_>) -> Result<Self, PageError> {
        let mut chunk = StreamChunk {
            kind: StreamKind::take(r)?,
            channels: r.u8()?,
            count: r.u16()?,
            subscription: r.u32()?,
            first: r.u64()?,
            t_samples: r.u64()?,
            ..StreamChunk::default()
        };
        let len = r.u32()? as usize;
        chunk.data.get_mut(..len).ok_or(PageError::Length)?.copy_from_slice(r.bytes(len)?);
        chunk.len = len as u16;
        Ok(chunk)
    }
}

impl Wire for ImageBlock {
    const LEN: usize = 14 + IMAGE_BLOCK;
    fn put(&self, w: &mut Writer<'_>) {
        w.u32(self.id);
        w.u32(self.total);
        w.u32(self.offset);
        w.u16(self.bytes().len() as u16);
        w.bytes(self.bytes());
    }
    fn take(r: &mut Reader<'_>) -> Result<Self, PageError> {
        let (id, total, offset, len) = (r.u32()?, r.u32()?, r.u32()?, r.u16()?);
        let mut data = [0; IMAGE_BLOCK];
        data.get_mut(..usize::from(len)).ok_or(PageError::Length)?.copy_from_slice(r.bytes(usize::from(len))?);
        Ok(ImageBlock { id, total, offset, len, data })
    }
}

/// A sealed structure and the CRC-32 over its bytes: the transaction is whole from the sender's memory to ours.
fn put_sealed<T: Wire>(w: &mut Writer<'_>, value: &T) {
    let start = w.written();
    value.put(w);
    let crc = crc32(w.so_far().get(start..).unwrap_or(&[]));
    w.u32(crc);
}

fn take_sealed<T: Wire>(r: &mut Reader<'_>) -> Result<T, PageError> {
    let bytes = r.bytes(T::LEN)?;
    if r.u32()? != crc32(bytes) {
        return Err(PageError::Transaction);
    }
    decode(bytes)
}

impl Wire for Command {
    const LEN: usize = 1 + ImageBlock::LEN;
    fn put(&self, w: &mut Writer<'_>) {
        w.u8(self.kind());
        match self {
            Command::SetGrid(grid) => grid.put(w),
            Command::WriteConfig(config, authority) => {
                authority.put(w);
                put_sealed(w, config);
            }
            Command::WriteCalibration(calibration, authority) => {
                authority.put(w);
                put_sealed(w, calibration);
            }
            Command::SetOutputs(outputs) => outputs.put(w),
            Command::StoreHead(head) => head.put(w),
            Command::ReadHeads => {}
            Command::Lcd(frame) => frame.put(w),
            Command::Subscribe { mask } => w.u8(*mask),
            Command::Image(block) => block.put(w),
            Command::Reset { warm } => w.bool(*warm),
            Command::Verify(mode) => mode.put(w),
        }
    }
    fn take(r: &mut Reader<'_>) -> Result<Self, PageError> {
        Ok(match r.u8()? {
            1 => Command::SetGrid(Grid::take(r)?),
            2 => {
                let authority = Authority::take(r)?;
                Command::WriteConfig(take_sealed(r)?, authority)
            }
            3 => {
                let authority = Authority::take(r)?;
                Command::WriteCalibration(take_sealed(r)?, authority)
            }
            4 => Command::SetOutputs(Outputs::take(r)?),
            5 => Command::StoreHead(ChainHead::take(r)?),
            6 => Command::ReadHeads,
            7 => Command::Lcd(LcdFrame::take(r)?),
            8 => Command::Subscribe { mask: r.u8()? },
            9 => Command::Image(ImageBlock::take(r)?),
            10 => Command::Reset { warm: r.bool("warm")? },
            11 => Command::Verify(LedMode::take(r)?),
            _ => return Err(PageError::Value("command kind")),
        })
    }
}

/// Payload of a host page: control, then the number and the bytes of a command when there is one.
pub(crate) fn put_host(w: &mut Writer<'_>, control: &HostControl, command: Option<(u32, &Command)>) {
    control.put(w);
    if let Some((id, command)) = command {
        w.u32(id);
        command.put(w);
    }
}

/// A host page's command: its number, and what it says or why it cannot be read.
pub(crate) type CommandPart = Option<(u32, Result<Command, PageError>)>;

/// Control and command are judged apart: an unreadable command still gets its reply.
pub(crate) fn decode_host(payload: &[u8]) -> Result<(HostControl, CommandPart), PageError> {
    let mut r = Reader::new(payload);
    let control = HostControl::take(&mut r)?;
    if r.rest().is_empty() {
        return Ok((control, None));
    }
    let id = r.u32()?;
    Ok((control, Some((id, decode(r.rest())))))
}

/// A page's payload, decoded by its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // no allocator
pub enum Message {
    /// Nothing to say.
    Idle,
    /// Identity.
    Hello(Hello),
    /// Cumulative values.
    Billing(Billing),
    /// One event and the range of the ring.
    Event(Ranged<EventRecord>),
    /// One history record and the range of the ring.
    History(Ranged<HistoryRecord>),
    /// Heads of the hash chains.
    Heads(Heads),
    /// A piece of a stream.
    Stream(StreamChunk),
    /// End of a command.
    Reply(Reply),
    /// One report and the range of the ring.
    Report(Ranged<ReportRecord>),
    /// Host to coprocessor.
    Host(HostControl, Option<(u32, Command)>),
}

/// Checks and decodes a page of either direction.
///
/// # Errors
/// All of [`PageError`].
pub fn decode_page(page: &Page) -> Result<(Header, Message), PageError> {
    let view = View::new(page)?;
    let message = match view.header.class {
        Class::Idle => view.payload.is_empty().then_some(Message::Idle).ok_or(PageError::Length)?,
        Class::Hello => Message::Hello(view.decode()?),
        Class::Billing => Message::Billing(view.decode()?),
        Class::Event => Message::Event(view.decode()?),
        Class::History => Message::History(view.decode()?),
        Class::Heads => Message::Heads(view.decode()?),
        Class::Stream => Message::Stream(view.decode()?),
        Class::Reply => Message::Reply(view.decode()?),
        Class::Report => Message::Report(view.decode()?),
        Class::Host => {
            let (control, command) = decode_host(view.payload)?;
            let command = match command {
                Some((id, command)) => Some((id, command?)),
                None => None,
            };
            Message::Host(control, command)
        }
    };
    Ok((view.header, message))
}

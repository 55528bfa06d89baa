//! Values of every payload type from a seed: extremes often, everything else sometimes.
#![allow(dead_code)] // each test binary uses its part

use metrology_link::payload::*;

pub struct Gen(pub u64);

impl Gen {
    pub fn u64(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.u64() % n
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn word(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << 63,
            _ => self.u64(),
        }
    }

    fn u32(&mut self) -> u32 {
        self.word() as u32
    }

    fn i64(&mut self) -> i64 {
        self.word() as i64
    }

    fn u8(&mut self) -> u8 {
        self.word() as u8
    }

    fn bool(&mut self) -> bool {
        self.one_in(2)
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| self.u8())
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    pub fn quality(&mut self) -> ClockQuality {
        self.pick(&[ClockQuality::Invalid, ClockQuality::Holdover, ClockQuality::Valid])
    }

    fn energies(&mut self) -> EnergySet {
        EnergySet {
            a_plus: self.word(),
            a_minus: self.word(),
            r: core::array::from_fn(|_| self.word()),
            e_plus: self.word(),
            e_minus: self.word(),
        }
    }

    fn sums(&mut self) -> PhaseSums {
        PhaseSums {
            windows: self.word(),
            u_mv: self.word(),
            i_ua: self.word(),
            pf_windows: self.word(),
            pf_ppm: self.i64(),
            thd_windows: self.word(),
            thd_u_ppm: self.word(),
            thd_i_windows: self.word(),
            thd_i_ppm: self.word(),
        }
    }

    pub fn grid(&mut self) -> Grid {
        Grid { id: self.u32(), anchor: self.word(), utc_us: self.i64(), rate_q16: self.word(), quality: self.quality() }
    }

    pub fn snapshot(&mut self) -> Snapshot {
        Snapshot {
            t_samples: self.word(),
            window: self.word(),
            counters: Counters { phase: core::array::from_fn(|_| self.energies()), total: self.energies() },
            sums: Sums { phase: core::array::from_fn(|_| self.sums()), f_windows: self.word(), f_uhz: self.word() },
            inputs: Inputs(self.u32()),
            pulses: core::array::from_fn(|_| self.word()),
            boots: self.u32(),
            down_us: self.word(),
            clipped_windows: self.word(),
            lost_samples: self.word(),
            suspect_windows: self.u32(),
            config_hash: self.bytes(),
        }
    }

    fn phase_second(&mut self) -> PhaseSecond {
        PhaseSecond {
            u_mv: self.u32(),
            i_ua: self.u32(),
            p_mw: self.u32() as i32,
            q_mvar: self.u32() as i32,
            s_mva: self.u32(),
            pf_ppm: self.u32() as i32,
            phi_mdeg: self.u32() as i32,
            angle_mdeg: self.u32() as i32,
            thd_u_ppm: self.u32(),
            thd_i_ppm: self.u32(),
            p1_mw: self.u32() as i32,
            u_dc_mv: self.u32() as i32,
            i_dc_ua: self.u32() as i32,
        }
    }

    pub fn billing(&mut self) -> Billing {
        Billing {
            snapshot: self.snapshot(),
            second: Second {
                number: self.word(),
                t_samples: self.word(),
                valid: Valid(self.u32()),
                phase: core::array::from_fn(|_| self.phase_second()),
                i_n_ua: self.u32(),
                i_n_computed_ua: self.u32(),
                u2_ppm: self.u32(),
                u0_ppm: self.u32(),
                p_mw: self.i64(),
                q_mvar: self.i64(),
                s_mva: self.word(),
                pf_ppm: self.u32() as i32,
                f_uhz: self.u32(),
                temperature_mdeg: self.u32() as i32,
                suspect: Suspect(self.u32()),
            },
            history_last: self.word(),
            event_last: self.word(),
            grid: self.grid(),
        }
    }

    pub fn history(&mut self) -> HistoryRecord {
        let kinds = [
            HistoryKind::Minute,
            HistoryKind::InputEdge,
            HistoryKind::GridChange,
            HistoryKind::Boot,
            HistoryKind::ConfigChange,
            HistoryKind::PowerFail,
        ];
        HistoryRecord {
            seq: self.word(),
            kind: self.pick(&kinds),
            minute: self.i64(),
            grid: self.grid(),
            old_utc_us: self.i64(),
            snapshot: self.snapshot(),
        }
    }

    pub fn event(&mut self) -> EventRecord {
        EventRecord {
            seq: self.word(),
            boot_id: self.u32(),
            t_samples: self.word(),
            utc_us: self.i64(),
            code: EventCode(self.u32() as u16),
            phase: self.u8(),
            args: core::array::from_fn(|_| self.i64()),
        }
    }

    fn topology(&mut self) -> Topology {
        self.pick(&[Topology::OnePhase, Topology::Aron, Topology::ThreePhase])
    }

    fn method(&mut self) -> Method {
        self.pick(&[Method::PerPhase, Method::Vector, Method::Magnitude])
    }

    pub fn hello(&mut self) -> Hello {
        let causes =
            [ResetCause::Unknown, ResetCause::PowerOn, ResetCause::Warm, ResetCause::Watchdog, ResetCause::Requested];
        Hello {
            protocol: self.u8(),
            boot_id: self.u32(),
            device_id: self.bytes(),
            firmware_id: self.bytes(),
            firmware_version: self.u32(),
            topology: self.topology(),
            method: self.method(),
            rate_hz: self.u32(),
            f_nominal: self.u8(),
            channels: self.u8(),
            grid: self.grid(),
            rtc_us: self.i64(),
            rtc_quality: self.quality(),
            config_hash: self.bytes(),
            boots: self.u32(),
            reset_cause: self.pick(&causes),
            down_us: self.word(),
            history_first: self.word(),
            history_last: self.word(),
            event_first: self.word(),
            event_last: self.word(),
            events_lost: self.word(),
            report_first: self.word(),
            report_last: self.word(),
            reports_lost: self.word(),
            memory_reset: self.bool(),
            last_cmd: self.u32(),
        }
    }

    fn pulses(&mut self) -> PulseConfig {
        let energies = [ModuleEnergy::Off, ModuleEnergy::Import, ModuleEnergy::Export, ModuleEnergy::Reactive];
        PulseConfig {
            led_per_kwh: self.u32(),
            s0_per_kwh: self.u32(),
            i_max_ma: self.u32(),
            led_rests_lit: self.bool(),
            module: core::array::from_fn(|_| ModuleOutput {
                energy: self.pick(&energies),
                per_kwh: self.u32() as u16,
                width_ms: self.u32() as u8,
            }),
        }
    }

    pub fn config(&mut self) -> MeterConfig {
        MeterConfig {
            topology: self.topology(),
            method: self.method(),
            rate_hz: self.u32(),
            f_nominal: self.u8(),
            u_nominal_mv: self.u32(),
            u_full_scale_mv: self.u32(),
            i_full_scale_ua: self.u32(),
            i_n_full_scale_ua: self.u32(),
            start_mw: self.u32(),
            channels: self.u8(),
            debounce_ms: self.u32() as u16,
            breaker: self.bool(),
            trip_mv: self.u32(),
            trip_ms: self.u32(),
            presence_permille: self.u32() as u16,
            pulses: self.pulses(),
        }
    }

    pub fn calibration(&mut self) -> SignedCalibration {
        let channel = core::array::from_fn(|_| ChannelCalibration {
            gain_q30: self.u32() as i32,
            offset: self.u32() as i32,
            phase_ns: self.u32() as i32,
            gain_ppb_per_k: self.u32() as i32,
            gain_ppt_per_k2: self.u32() as i32,
            offset_mcount_per_k: self.u32() as i32,
            phase_ps_per_k: self.u32() as i32,
            ageing_ppb_per_year: self.u32() as i32,
        });
        let calibration = Calibration {
            channel,
            reference_mdeg: self.u32() as i32,
            date_us: self.i64(),
            ident: self.u32(),
            device_id: self.bytes(),
        };
        SignedCalibration { calibration, signature: self.bytes() }
    }

    pub fn head(&mut self) -> ChainHead {
        ChainHead { log: self.u8(), seq: self.word(), head: self.bytes() }
    }

    pub fn reply(&mut self) -> Reply {
        let statuses = [
            ReplyStatus::Done,
            ReplyStatus::Impossible,
            ReplyStatus::Malformed,
            ReplyStatus::BadCrc,
            ReplyStatus::NotAuthorised,
            ReplyStatus::TooSoon,
            ReplyStatus::NoPermit,
            ReplyStatus::NotFitted,
            ReplyStatus::OutOfOrder,
            ReplyStatus::TooLarge,
            ReplyStatus::Stale,
        ];
        Reply { cmd_id: self.u32(), status: self.pick(&statuses), hash: self.bytes(), detail: self.u32() }
    }

    pub fn chunk(&mut self) -> StreamChunk {
        let mut chunk = StreamChunk {
            kind: self.pick(&StreamKind::ALL),
            channels: self.u8(),
            count: self.u32() as u16,
            subscription: self.u32(),
            first: self.word(),
            t_samples: self.word(),
            len: self.below(STREAM_DATA as u64 + 1) as u16,
            ..StreamChunk::default()
        };
        for at in 0..usize::from(chunk.len) {
            chunk.data[at] = self.u8();
        }
        chunk
    }

    pub fn report(&mut self) -> ReportRecord {
        let mut record = ReportRecord {
            seq: self.word(),
            boot_id: self.u32(),
            kind: ReportKind(self.u8()),
            flags: ReportFlags(self.u32() as u16),
            begin: self.word(),
            end: self.word(),
            utc_us: self.i64(),
            // Below the limit, so that one byte more is too long and not another report.
            len: self.below(REPORT_DATA as u64) as u16,
            ..ReportRecord::default()
        };
        for at in 0..usize::from(record.len) {
            record.data[at] = self.u8();
        }
        record
    }

    pub fn interval(&mut self) -> Interval {
        Interval {
            parts: self.u32(),
            valid: self.u32(),
            values: core::array::from_fn(|_| self.u32()),
            flicker_valid: self.u8(),
            flicker: core::array::from_fn(|_| self.u32()),
            occurrences: core::array::from_fn(|_| self.u32()),
            f_uhz: core::array::from_fn(|_| self.u32()),
        }
    }

    pub fn harmonics(&mut self) -> HarmonicReport {
        HarmonicReport {
            channels: self.u8(),
            parts: self.u32(),
            channel: core::array::from_fn(|_| HarmonicChannel {
                fundamental: self.u32(),
                largest: self.u32(),
                share: core::array::from_fn(|_| self.u32() as u16),
            }),
        }
    }

    pub fn wave(&mut self) -> WavePiece {
        let mut piece = WavePiece {
            event: self.word(),
            trigger: self.word(),
            piece: self.u32() as u16,
            channels: self.below(1 << WAVE_CHANNELS) as u8,
            count: self.below(76) as u8,
            step: self.u8(),
            u_full_scale_mv: self.u32(),
            i_full_scale_ua: self.u32(),
            ..WavePiece::default()
        };
        let len = piece.width() * usize::from(piece.count);
        for at in 0..len {
            piece.codes[at] = self.u32() as u16;
        }
        piece
    }

    pub fn control(&mut self) -> HostControl {
        HostControl {
            last_seq: self.u32(),
            permit_ms: self.u32() as u16,
            flags: self.u32() as u16,
            event_ack: self.word(),
            event_next: self.word(),
            history_next: self.word(),
            report_ack: self.word(),
            report_next: self.word(),
        }
    }

    pub fn command(&mut self) -> Command {
        let authority = self.pick(&[Authority::Sealed, Authority::SealOpen]);
        match self.below(11) {
            0 => Command::SetGrid(self.grid()),
            1 => Command::WriteConfig(self.config(), authority),
            2 => Command::WriteCalibration(self.calibration(), authority),
            3 => Command::SetOutputs(Outputs {
                breaker: self.pick(&[BreakerDrive::Keep, BreakerDrive::Open, BreakerDrive::Close]),
                relays: self.u8(),
                backlight: self.bool(),
            }),
            4 => Command::StoreHead(self.head()),
            5 => Command::ReadHeads,
            6 => Command::Lcd(LcdFrame {
                slot: self.u8(),
                value: self.bytes(),
                unit: self.bytes(),
                identification: self.bytes(),
                text: self.bytes(),
                symbols: self.word(),
            }),
            7 => Command::Subscribe { mask: self.u8() },
            8 => {
                let mut block = ImageBlock {
                    id: self.u32(),
                    total: self.u32(),
                    offset: self.u32(),
                    len: self.below(IMAGE_BLOCK as u64 + 1) as u16,
                    data: [0; IMAGE_BLOCK],
                };
                for at in 0..usize::from(block.len) {
                    block.data[at] = self.u8();
                }
                Command::Image(block)
            }
            9 => Command::Verify(self.pick(&[LedMode::Import, LedMode::Active, LedMode::Reactive])),
            _ => Command::Reset { warm: self.bool() },
        }
    }
}

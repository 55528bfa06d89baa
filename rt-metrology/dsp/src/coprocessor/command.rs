//! What each command does, and when it is refused.

use metrology_link::payload::{
    Authority, BreakerDrive, CHAIN_LOGS, Command, EventCode, Grid, Impossible, LCD_BACKUP_FRAMES, MeterConfig, Outputs,
    Reply, ReplyStatus, SignedCalibration,
};

use super::Board;
use super::app::App;
use super::seal;
use crate::validate;

/// A grid whose rate is further off nominal is a mistake: crystals are within 100 ppm; 1 % leaves room for simulations.
const RATE_TOLERANCE: u64 = 100;
/// Meter time lies between 1970 and 2400-01-01 (µs); what lies outside was not meant.
const UTC_LIMIT_US: i64 = 13_569_465_600_000_000;

impl<B: Board> App<B> {
    /// Carries out a command (not a reset, which the caller does after the reply). A refused one changes nothing.
    pub fn execute(&mut self, cmd_id: u32, command: &Command) -> Reply {
        let done = Reply { cmd_id, ..Reply::default() };
        let reply = match command {
            Command::SetGrid(grid) => self.set_grid(done, grid),
            Command::WriteConfig(config, authority) => {
                self.write(done, *config, self.signed(), *authority, EventCode::CONFIG_WRITTEN)
            }
            Command::WriteCalibration(signed, authority) => self.write_calibration(done, signed, *authority),
            Command::SetOutputs(outputs) => self.set_outputs(done, outputs),
            Command::StoreHead(head) if usize::from(head.log) < CHAIN_LOGS => {
                self.store_head(head);
                Reply { hash: head.head, ..done }
            }
            Command::StoreHead(_) => Reply { status: ReplyStatus::Impossible, ..done },
            // The link's end answers this one itself.
            Command::ReadHeads => done,
            Command::Lcd(frame) => match frame.slot {
                0 => {
                    self.board.lcd(frame);
                    done
                }
                1..=LCD_BACKUP_FRAMES => {
                    self.store_frame(frame);
                    done
                }
                _ => Reply { status: ReplyStatus::Impossible, ..done },
            },
            Command::Subscribe { mask } => {
                self.streams.subscribe(cmd_id, *mask);
                done
            }
            Command::Image(block) => {
                let staged = self.staging.block(&mut self.board, block);
                if staged.complete {
                    self.event(EventCode::IMAGE_STAGED, 0, [i64::from(block.id), i64::from(block.total), 0, 0]);
                }
                Reply { status: staged.status, hash: staged.hash, detail: staged.detail, ..done }
            }
            Command::Reset { .. } => done,
            Command::Verify(mode) => {
                self.verify(*mode);
                done
            }
        };
        if reply.status != ReplyStatus::Done {
            let args = [i64::from(command.kind()), reply.status as i64, i64::from(reply.detail), 0];
            self.event(EventCode::COMMAND_REFUSED, 0, args);
        }
        reply
    }

    fn set_grid(&mut self, done: Reply, grid: &Grid) -> Reply {
        let nominal = u64::from(self.config.rate_hz) << 16;
        let utc_us = grid.utc_us_at(self.t_samples());
        let off = grid.rate_q16.abs_diff(nominal) > nominal / RATE_TOLERANCE;
        if off || !(0..UTC_LIMIT_US).contains(&utc_us) || !(0..UTC_LIMIT_US).contains(&grid.utc_us) {
            return Reply { status: ReplyStatus::Impossible, ..done };
        }
        self.change_grid(*grid);
        done
    }

    fn write_calibration(&mut self, done: Reply, signed: &SignedCalibration, authority: Authority) -> Reply {
        if let (Authority::SealOpen, Ok(()), Err(reason)) =
            (authority, signed.calibration.check(), seal::verify(&self.board, signed))
        {
            self.refused_calibration(reason, signed.calibration.ident, false);
            let (status, hash) = (ReplyStatus::NotAuthorised, self.config_hash);
            return Reply { status, hash, detail: reason as u32, ..done };
        }
        self.write(done, self.config, *signed, authority, EventCode::CALIBRATION_WRITTEN)
    }

    fn write(
        &mut self,
        done: Reply,
        config: MeterConfig,
        signed: SignedCalibration,
        authority: Authority,
        code: EventCode,
    ) -> Reply {
        if authority != Authority::SealOpen {
            return Reply { status: ReplyStatus::NotAuthorised, hash: self.config_hash, ..done };
        }
        match validate(&config, &signed.calibration) {
            Ok(()) => {
                // The same again is no change: a repetition leaves no trace in the history.
                if (config, signed.calibration) != (self.config, self.calibration) {
                    self.change_config(config, signed, code);
                }
                Reply { hash: self.config_hash, ..done }
            }
            Err(reason) => {
                let reason: Impossible = reason;
                Reply { status: ReplyStatus::Impossible, hash: self.config_hash, detail: reason as u32, ..done }
            }
        }
    }

    /// All or nothing: a refused breaker operation leaves the relays alone as well.
    fn set_outputs(&mut self, done: Reply, outputs: &Outputs) -> Reply {
        if let Err((status, detail)) = self.guard.operate(self.t_samples(), outputs.breaker) {
            self.event(EventCode::BREAKER_REFUSED, 0, [status as i64, i64::from(detail), 0, 0]);
            return Reply { status, detail, ..done };
        }
        self.outputs = Outputs { breaker: BreakerDrive::Keep, ..*outputs };
        self.board.set_outputs(outputs);
        match outputs.breaker {
            BreakerDrive::Keep => {}
            BreakerDrive::Open => self.event(EventCode::BREAKER_OPENED, 0, [0; 4]),
            BreakerDrive::Close => self.event(EventCode::BREAKER_CLOSED, 0, [0; 4]),
        }
        self.save_state();
        done
    }
}

//! The control socket: one command per line, one JSON document per answer.
//!
//! It is the hand at the meter (buttons, covers, magnet, wires at the inputs), the laboratory (true energy, faults) and
//! the reset line. Errors are `{"ok":false,"error":"..."}` and change nothing.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use metrology_link::payload::{Counters, EnergySet, Inputs};
use rustix::event::{PollFd, PollFlags};
use serde_json::{Value, json};

use crate::bench::InProcess;
use crate::board::BreakerFault;
use crate::fault::{FaultCounts, FaultRates};
use crate::virtual_coprocessor::{Link, Socket};

/// Clients at one time: a test, a display, a person, and one to spare.
const MAX_CLIENTS: usize = 4;
/// Longest command line; the longest command has 60 characters.
const MAX_LINE: usize = 256;
/// Longest time for a button or a silent link: an hour, in ms.
const MAX_MS: u64 = 3_600_000;
/// Answers a client may leave unread before it is hung up on: 64 answers of 1 KiB.
const MAX_UNREAD: usize = 65_536;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    GoOn,
    Stop,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    line: Vec<u8>,
    out: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Control {
    socket: Option<Socket>,
    clients: Vec<Client>,
}

impl Control {
    pub fn new(socket: Option<Socket>) -> Control {
        Control { socket, clients: Vec::new() }
    }

    pub fn poll_fds<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        if let Some(socket) = &self.socket {
            fds.push(PollFd::new(&socket.listener, PollFlags::IN));
        }
        for client in &self.clients {
            let wanted = if client.out.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            fds.push(PollFd::new(&client.stream, wanted));
        }
    }

    pub fn serve(&mut self, device: &mut InProcess, link: &mut Link) -> Verdict {
        let mut verdict = Verdict::GoOn;
        self.clients.retain_mut(|client| client.serve(device, link, &mut verdict));
        let Some(socket) = &self.socket else { return verdict };
        while let Ok((stream, _)) = socket.listener.accept() {
            if self.clients.len() < MAX_CLIENTS && stream.set_nonblocking(true).is_ok() {
                self.clients.push(Client { stream, line: Vec::new(), out: Vec::new() });
            }
        }
        verdict
    }
}

impl Client {
    /// False when the client is gone.
    fn serve(&mut self, device: &mut InProcess, link: &mut Link, verdict: &mut Verdict) -> bool {
        let mut chunk = [0; 1024];
        let open = loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => break false,
                Ok(n) => self.take(&chunk[..n], device, link, verdict),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break true,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => break false,
            }
        };
        self.flush() && open && self.out.len() <= MAX_UNREAD
    }

    fn take(&mut self, bytes: &[u8], device: &mut InProcess, link: &mut Link, verdict: &mut Verdict) {
        for &byte in bytes {
            if byte != b'\n' {
                // A line that is too long is cut and refused as unknown.
                if self.line.len() <= MAX_LINE {
                    self.line.push(byte);
                }
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).trim().to_owned();
            self.line.clear();
            if line.is_empty() {
                continue;
            }
            let answer = match answer(&line, device, link) {
                Ok(Answer::Value(value)) => value,
                Ok(Answer::Stop) => {
                    *verdict = Verdict::Stop;
                    json!({"ok": true})
                }
                Err(error) => json!({"ok": false, "error": error}),
            };
            self.out.extend_from_slice(answer.to_string().as_bytes());
            self.out.push(b'\n');
        }
    }

    fn flush(&mut self) -> bool {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(0) => return false,
                Ok(n) => {
                    self.out.drain(..n);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return true,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

enum Answer {
    Value(Value),
    Stop,
}

fn answer(line: &str, device: &mut InProcess, link: &mut Link) -> Result<Answer, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let value = match words[..] {
        ["truth"] => truth(device),
        ["counters"] => counters(device)?,
        ["state"] => state(device, link),
        ["press", side, ms] => {
            let bit = match side {
                "left" => Inputs::BUTTON_LEFT,
                "right" => Inputs::BUTTON_RIGHT,
                _ => return Err("press left|right MS".to_owned()),
            };
            let until = device.world().utc_us() + milliseconds(ms)?.cast_signed() * 1000;
            device.hardware().borrow_mut().pressed.push((bit, until));
            json!({"ok": true})
        }
        ["input", "tariff", n @ ("1" | "2" | "3"), level] => {
            let bit = 1 << (n.as_bytes()[0] - b'1');
            hold(device, bit, level, "on", "off")?
        }
        ["input", "alarm", level] => hold(device, Inputs::ALARM, level, "on", "off")?,
        ["input", "sync", level] => hold(device, Inputs::SYNC, level, "on", "off")?,
        ["input", "load", level] => hold(device, Inputs::LOAD_STATUS, level, "on", "off")?,
        ["cover", "main", level] => hold(device, Inputs::COVER_MAIN, level, "open", "closed")?,
        ["cover", "terminal", level] => hold(device, Inputs::COVER_TERMINAL, level, "open", "closed")?,
        ["magnet", level] => hold(device, Inputs::MAGNET, level, "on", "off")?,
        ["breaker", fault] => {
            let fault = match fault {
                "ok" => BreakerFault::Ok,
                "stuck" => BreakerFault::Stuck,
                "welded" => BreakerFault::Welded,
                _ => return Err("breaker stuck|welded|ok".to_owned()),
            };
            device.hardware().borrow_mut().breaker_fault = fault;
            json!({"ok": true})
        }
        ["reset", kind @ ("warm" | "cold")] => {
            device.reset(kind == "warm");
            json!({"ok": true})
        }
        ["faults", ..] => {
            let rates = FaultRates::parse(line.trim_start_matches("faults")).map_err(|e| e.to_string())?;
            link.inbound.set_rates(rates);
            link.outbound.set_rates(rates);
            json!({"ok": true, "faults": rates_json(rates)})
        }
        ["pause", ms] => {
            link.silent_until = Some(Instant::now() + Duration::from_millis(milliseconds(ms)?));
            json!({"ok": true})
        }
        ["stop"] => return Ok(Answer::Stop),
        _ => {
            return Err("unknown command; there are: truth, counters, state, press left|right MS, \
                input tariff N on|off|auto, input alarm|sync|load on|off|auto, cover main|terminal open|closed|auto, \
                magnet on|off|auto, breaker stuck|welded|ok, reset warm|cold, \
                faults [bits=P] [drop=P] [dup=P] [truncate=P], pause MS, stop"
                .to_owned());
        }
    };
    Ok(Answer::Value(value))
}

fn milliseconds(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|ms| *ms <= MAX_MS).ok_or_else(|| format!("{text:?}: milliseconds from 0 to {MAX_MS}"))
}

/// `auto` gives the input back to the scenario.
fn hold(device: &mut InProcess, bits: u32, level: &str, on: &str, off: &str) -> Result<Value, String> {
    let level = match level {
        "auto" => None,
        l if l == on => Some(true),
        l if l == off => Some(false),
        _ => return Err(format!("expected {on}, {off} or auto")),
    };
    device.hold_input(bits, level);
    Ok(json!({"ok": true}))
}

fn set(e: &EnergySet, reactive: bool) -> Value {
    json!({
        "a_plus": e.a_plus, "a_minus": e.a_minus, "r": reactive.then_some(e.r), "e_plus": e.e_plus, "e_minus": e.e_minus,
    })
}

fn sets(c: &Counters, reactive: bool) -> (Value, Value) {
    (c.phase.iter().map(|p| set(p, reactive)).collect(), set(&c.total, reactive))
}

fn truth(device: &InProcess) -> Value {
    let truth = &device.world().truth;
    let (phase, total) = sets(&truth.counters(), truth.has_reactive());
    json!({
        "ok": true, "seconds": truth.seconds(), "phase": phase, "total": total,
        "unmetered": set(&truth.unmetered(), truth.has_reactive()),
    })
}

fn counters(device: &InProcess) -> Result<Value, String> {
    let coprocessor = device.coprocessor().ok_or("the coprocessor is down")?;
    let snapshot = coprocessor.billing().snapshot;
    let (phase, total) = sets(&snapshot.counters, true);
    Ok(json!({
        "ok": true, "t_samples": snapshot.t_samples, "window": snapshot.window, "phase": phase, "total": total,
        "boots": snapshot.boots, "down_us": snapshot.down_us, "clipped_windows": snapshot.clipped_windows,
        "pulses": snapshot.pulses, "inputs": snapshot.inputs.0, "given": given(device),
    }))
}

/// Pulses that the outputs have given since the process began.
fn given(device: &InProcess) -> Value {
    let [light, s0, module_1, module_2] = device.hardware().borrow().given.counts;
    json!({"light": light, "s0": s0, "module": [module_1, module_2]})
}

fn rates_json(r: FaultRates) -> Value {
    json!({"bits": r.bits, "drop": r.drop, "dup": r.duplicate, "truncate": r.truncate})
}

fn counts_json(c: FaultCounts) -> Value {
    json!({
        "pages": c.pages, "bits": c.bits, "damaged": c.damaged, "dropped": c.dropped, "duplicated": c.duplicated,
        "truncated": c.truncated,
    })
}

fn state(device: &InProcess, link: &Link) -> Value {
    let ascii = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_matches(['\0', ' ']).to_owned();
    let world = device.world();
    let hw = device.hardware().borrow();
    json!({
        "ok": true,
        "utc_us": world.utc_us(),
        "elapsed_s": world.elapsed_s(),
        "rtc_us": hw.utc_us + hw.rtc_offset_us,
        "rtc_quality": hw.rtc_quality as u8,
        "running": device.is_running(),
        "starts": device.starts(),
        "data_ready": device.data_ready(),
        "exchanges": link.exchanges,
        "breaker": {
            "fitted": hw.has_breaker,
            "closed": hw.breaker_closed,
            "fault": match hw.breaker_fault {
                BreakerFault::Ok => "ok",
                BreakerFault::Stuck => "stuck",
                BreakerFault::Welded => "welded",
            },
            "operations": hw.breaker_operations,
        },
        "relays": hw.outputs.relays,
        "backlight": hw.outputs.backlight,
        "light_rests_lit": hw.light_rests_lit,
        "lcd": {
            "value": ascii(&hw.frame.value), "unit": ascii(&hw.frame.unit),
            "identification": ascii(&hw.frame.identification), "text": ascii(&hw.frame.text),
            "symbols": hw.frame.symbols,
        },
        "faults": rates_json(link.inbound.rates()),
        "to_coprocessor": counts_json(link.inbound.counts),
        "to_host": counts_json(link.outbound.counts),
    })
}

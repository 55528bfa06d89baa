//! `metergate top`: the meter live in the terminal. Also the demo's view.
//!
//! Everything on the screen comes over the bus; the view holds no values of its own and says how old they are.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;
use tokio::sync::mpsc;

use crate::bus;
use crate::cli::{BusArgs, Usage};

mod feed;
mod model;
mod screen;

#[cfg(feature = "demo")]
pub use feed::snapshots;

use model::Model;

/// The screen is redrawn this often even when nothing comes, so that the age of the values is true.
const REDRAW: Duration = Duration::from_millis(250);
/// Key presses waiting to be seen. A person cannot type faster than the screen reads.
const KEYS_WAITING: usize = 16;

const EXAMPLES: &str = "\
Keys: q, Esc or Ctrl-C end the view.

Examples:
  metergate top
  metergate top --bus unix:path=/tmp/house/run/bus";

/// Arguments of `top`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TopArgs {
    #[command(flatten)]
    bus: BusArgs,
}

/// Shows the view until the user ends it.
pub async fn run(args: TopArgs) -> anyhow::Result<ExitCode> {
    if !io::stdout().is_terminal() {
        return Err(Usage("top needs a terminal; use read --json for programs".into()).into());
    }
    view(&args.bus).await?;
    Ok(ExitCode::SUCCESS)
}

/// The view on the terminal, until the user ends it. The terminal is as before afterwards, also when this future is
/// dropped.
pub async fn view(bus: &BusArgs) -> anyhow::Result<()> {
    let mut updates = feed::start(&bus::connect(bus).await?).await?;
    let mut screen = Screen::open()?;
    let mut keys = keys();
    let mut model = Model::default();
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        tokio::select! {
            key = keys.recv() => match key {
                Some(key) if ends_the_view(key) => return Ok(()),
                Some(_) => {}
                // No terminal input any more: nobody could end the view.
                None => return Ok(()),
            },
            Some(update) = updates.recv() => model.take(update, Instant::now()),
            _ = redraw.tick() => screen.draw(&model)?,
        }
    }
}

fn ends_the_view(key: KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind != KeyEventKind::Release && (control_c || matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc))
}

/// Key presses, from a thread of their own: reading a terminal blocks. The thread ends with the receiver.
fn keys() -> mpsc::Receiver<KeyEvent> {
    let (sender, receiver) = mpsc::channel(KEYS_WAITING);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            match event::poll(REDRAW) {
                Ok(false) => {}
                Ok(true) => match event::read() {
                    Ok(Event::Key(key)) if sender.blocking_send(key).is_err() => return,
                    Ok(_) => {}
                    Err(_) => return,
                },
                Err(_) => return,
            }
        }
    });
    receiver
}

/// The terminal in its full-screen mode; as before when dropped.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> anyhow::Result<Screen> {
        ratatui::try_init().map(Screen).context("cannot use the terminal")
    }

    fn draw(&mut self, model: &Model) -> anyhow::Result<()> {
        let now = Instant::now();
        self.0.draw(|frame| screen::draw(frame, model, now)).context("cannot draw")?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

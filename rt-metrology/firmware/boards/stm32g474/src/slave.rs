//! States of the link's end of the SPI: pages of 1024 bytes, whose host may clock at any time.
//!
//! The select line frames a transfer: when it rises, the whole page has crossed or nothing has. While nothing is armed
//! data-ready is low; a host that clocks all the same gets no page, and what it sends is gone.

use metrology_dsp::coprocessor::{Board, Coprocessor};
use metrology_link::{PAGE, Page};

/// Where the link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The program has the buffers.
    Unarmed,
    /// A page waits for the host's clock.
    Armed,
    /// The host's page is complete and waits for the program.
    Received,
}

/// What a rising select line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Nothing was armed.
    Ignore,
    /// A transfer that ended early, or that never began: the same page is armed again from its first byte.
    Rearm,
    /// A page came.
    Page,
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Slave {
    state: State,
    news: bool,
    broken: u32,
}

impl Slave {
    /// Nothing armed.
    pub const fn new() -> Slave {
        Slave { state: State::Unarmed, news: false, broken: 0 }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// A page waits for the clock now; `news` when the host should fetch it.
    pub fn arm(&mut self, news: bool) {
        (self.state, self.news) = (State::Armed, news);
    }

    /// The select line rose after `bytes` came in.
    pub fn select_rose(&mut self, bytes: usize) -> Edge {
        if self.state != State::Armed {
            return Edge::Ignore;
        }
        if bytes == PAGE {
            self.state = State::Received;
            return Edge::Page;
        }
        self.broken = self.broken.saturating_add(u32::from(bytes > 0));
        Edge::Rearm
    }

    /// The program takes the buffers: to carry a page on, or, when `quiet` (neither select nor handshake announce a
    /// transfer), to put news in the place of an idle page. True when it has them.
    pub fn take(&mut self, quiet: bool, news: bool) -> bool {
        let replace = self.state == State::Armed && !self.news && news && quiet;
        if self.state != State::Received && !replace {
            return false;
        }
        self.state = State::Unarmed;
        true
    }

    /// Level of the data-ready line.
    pub fn data_ready(&self) -> bool {
        self.state == State::Armed && self.news
    }

    /// Transfers that ended early.
    pub fn broken(&self) -> u32 {
        self.broken
    }
}

impl Default for Slave {
    fn default() -> Slave {
        Slave::new()
    }
}

/// Carries a page on: in, the host's (or zeros, which are none); out, the page to arm. True when that one has news.
///
/// What goes out is what the coprocessor had armed, for it gives a page away when it takes one, and a slave must have it
/// before. So answers to the host's page follow one exchange later, unless the page that is armed is idle and replaced.
pub fn carry<B: Board>(coprocessor: &mut Coprocessor<B>, page: &mut Page) -> bool {
    let news = coprocessor.data_ready();
    coprocessor.exchange_in_place(page);
    news
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_crosses_and_is_taken_once() {
        let mut slave = Slave::new();
        assert!(!slave.data_ready());
        slave.arm(true);
        assert!(slave.data_ready());
        assert_eq!(slave.select_rose(PAGE), Edge::Page);
        assert!(!slave.data_ready(), "falls until the next page is armed");
        assert_eq!(slave.select_rose(PAGE), Edge::Ignore, "nothing is armed");
        assert!(slave.take(false, false));
        assert!(!slave.take(true, true));
    }

    #[test]
    fn short_transfers_arm_the_same_page_again() {
        let mut slave = Slave::new();
        slave.arm(true);
        for bytes in [1, PAGE - 1, 512] {
            assert_eq!(slave.select_rose(bytes), Edge::Rearm);
            assert!(slave.data_ready());
        }
        assert_eq!(slave.broken(), 3);
        // A select line that only twitched is no transfer.
        assert_eq!(slave.select_rose(0), Edge::Rearm);
        assert_eq!(slave.broken(), 3);
        assert_eq!(slave.select_rose(PAGE), Edge::Page);
    }

    #[test]
    fn news_replace_an_idle_page_and_nothing_else() {
        let mut slave = Slave::new();
        slave.arm(false);
        assert!(!slave.data_ready());
        assert!(!slave.take(true, false), "no news");
        assert!(!slave.take(false, true), "the host has begun");
        assert!(slave.take(true, true));
        slave.arm(true);
        assert!(!slave.take(true, true), "what it holds has not crossed");
    }
}

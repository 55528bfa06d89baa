//! Forged and repeated telegrams: none gets through what authenticates.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

mod common;

use std::collections::BTreeMap;

use mbus::compose::{Protection, Wireless};
use mbus::security::Key;
use mbus::{Address, Decoder, Error};

const KEY: Key = *b"sixteen byte key";

/// Bit flips; `METERGATE_LONG` makes it the million.
fn flips() -> usize {
    if std::env::var_os("METERGATE_LONG").is_some() { 1_000_000 } else { 100_000 }
}

fn telegram(protection: Protection) -> Vec<u8> {
    let message = Wireless {
        control: 0x44,
        address: common::meter(),
        meter: None,
        access: 0x2A,
        status: 0,
        communication: Some(0x20),
        protection,
        payload: &common::RECORDS,
    };
    message.emit().unwrap()
}

/// What of an accepted telegram must be as it was sent: all from the transport layer on. The codes of both modes cover
/// nothing in front of it but what enters key and nonce; on the air the link layer CRCs do.
fn covered(bytes: &[u8]) -> Option<(Vec<u8>, Address)> {
    let telegram = Decoder { key: Some(KEY), protected: true, ..Decoder::default() }.decode(bytes).ok()?;
    let tpl = telegram.tpl?;
    assert!(telegram.security.mode.is_some(), "a telegram that lost its protection on the way was accepted");
    Some((telegram.bytes[tpl.span.start as usize..].to_vec(), telegram.address?))
}

#[test]
fn no_bit_of_an_authenticated_telegram_can_be_changed() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut refused = 0usize;
    for protection in [Protection::Mode7 { key: KEY, counter: 77 }, Protection::Mode10 { key: KEY, counter: 77 }] {
        let sent = telegram(protection);
        let (truth, _) = covered(&sent).expect("control: the telegram as sent is accepted");
        for _ in 0..flips() / 2 {
            let mut damaged = sent.clone();
            for _ in 0..random.usize(1..=3) {
                let bit = random.usize(0..sent.len() * 8);
                damaged[bit / 8] ^= 1 << (bit % 8);
            }
            if damaged == sent {
                continue;
            }
            match covered(&damaged) {
                Some((clear, _)) => assert_eq!(clear, truth, "accepted: {damaged:02X?}"),
                None => refused += 1,
            }
        }
    }
    println!("{} damaged telegrams of two modes, seed 7: {refused} refused, 0 accepted with other contents", flips());
    assert!(refused > flips() / 2);
}

#[test]
fn a_counter_counts_once_also_after_a_restart() {
    let mut counters = BTreeMap::new();
    for protection in
        [|counter| Protection::Mode7 { key: KEY, counter }, |counter| Protection::Mode10 { key: KEY, counter }]
    {
        counters.clear();
        let decode = |bytes: &[u8], counters: &mut BTreeMap<Address, u32>| {
            Decoder { key: Some(KEY), counters: Some(counters), ..Decoder::default() }.decode(bytes).map(|_| ())
        };
        let (first, second) = (telegram(protection(5)), telegram(protection(6)));
        assert_eq!(decode(&second, &mut counters), Ok(()));
        // The caller keeps the map; a new decoder with it is a restart.
        let mut kept = counters.clone();
        assert_eq!(decode(&second, &mut kept), Err(Error::Replay { counter: 6, last: 6 }));
        assert_eq!(decode(&first, &mut kept), Err(Error::Replay { counter: 5, last: 6 }));
        assert_eq!(decode(&telegram(protection(7)), &mut kept), Ok(()));
        // A forged counter neither passes nor moves the memory.
        let mut forged = telegram(protection(200));
        let last = forged.len() - 1;
        forged[last] ^= 1;
        assert_eq!(decode(&forged, &mut kept), Err(Error::Mac));
        assert_eq!(kept.values().copied().collect::<Vec<_>>(), [7]);
    }
}

#[test]
fn without_the_key_or_with_another_nothing_opens() {
    for protection in [
        Protection::Mode5(KEY),
        Protection::Mode7 { key: KEY, counter: 1 },
        Protection::Mode10 { key: KEY, counter: 1 },
        Protection::EllCtr { key: KEY, session: 1 },
    ] {
        let sent = telegram(protection);
        assert!(Decoder { key: Some(KEY), ..Decoder::default() }.decode(&sent).is_ok());
        assert!(matches!(Decoder::default().decode(&sent), Err(Error::NoKey(_))));
        let wrong = Decoder { key: Some([1; 16]), ..Decoder::default() }.decode(&sent);
        assert!(matches!(wrong, Err(Error::Mac | Error::WrongKey(_))), "{wrong:?}");
        let plain = Decoder { plain: true, ..Decoder::default() }.decode(&sent);
        if !matches!(protection, Protection::Mode10 { .. }) {
            assert!(matches!(plain, Err(Error::NotPlain(_))), "{plain:?}");
        }
    }
}

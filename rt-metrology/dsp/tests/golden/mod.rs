//! Golden vectors of the reference model (`tests/reference`): samples, what the model says of them, and the limits.
//!
//! The tests of this crate and those of the ARM program (`tests/tests/firmware/golden.rs`) include this module, so that both
//! are held to the same limits.
//!
//! Samples are made on demand: `METERGATE_VECTORS` names the folder (`generate.py --out`); `tests/run` makes it. With it
//! the samples of tier core must be there; those of the other tiers may be missing.
#![allow(dead_code, reason = "each test file uses a part")]

use metrology_dsp::{CHANNELS, MeterConfig};
use metrology_link::payload::{Method, Topology};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

pub mod metering;
pub mod quality;

pub const NAMES: [&str; CHANNELS] = ["U1", "U2", "U3", "I1", "I2", "I3", "IN"];

pub fn number(json: &Json) -> f64 {
    json.as_f64().expect("a number")
}

/// A vector: what to tell the meter, its samples, and what to expect.
pub struct Golden {
    pub id: String,
    pub expect: Json,
    pub tolerance: Json,
    pub config: MeterConfig,
    /// Meter time of the first sample, µs since 1970.
    pub start_utc_us: i64,
    bytes: Vec<u8>,
    /// Channel of each value of a frame.
    columns: Vec<usize>,
}

/// The folder of samples.
///
/// # Errors
/// In words, why there is none.
pub fn folder() -> Result<PathBuf, String> {
    std::env::var_os("METERGATE_VECTORS").map(PathBuf::from).ok_or("METERGATE_VECTORS is not set".into())
}

impl Golden {
    /// # Errors
    /// In words, why there are no samples: nobody asked for them.
    ///
    /// # Panics
    /// When there are others than the model's, or none of tier core.
    pub fn load(id: &str) -> Result<Golden, String> {
        Golden::load_from(&folder()?, id)
    }

    /// See [`Golden::load`]; with the samples of this folder.
    pub fn load_from(folder: &Path, id: &str) -> Result<Golden, String> {
        let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|p| p.join("tests/reference/golden"));
        let golden = above.find(|p| p.is_dir()).expect("tests/reference/golden").join(format!("{id}.json"));
        let golden: Json = serde_json::from_str(&std::fs::read_to_string(golden).expect("golden file")).expect("JSON");
        let Ok(bytes) = std::fs::read(folder.join(format!("{id}.i32le"))) else {
            assert_ne!(golden["tier"], "core", "{id}: no samples in {}", folder.display());
            return Err(format!("its samples were not generated (tier {})", golden["tier"]));
        };
        let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hash, golden["samples"]["sha256"].as_str().expect("hash"), "{id}: other samples");

        let (samples, meter) = (&golden["samples"], &golden["meter"]);
        let list = |json: &Json| -> Vec<usize> {
            let names = json.as_array().expect("names").iter();
            names.map(|n| NAMES.iter().position(|name| Some(*name) == n.as_str()).expect("a channel")).collect()
        };
        let topology = match meter["topology"].as_str() {
            Some("one-phase") => Topology::OnePhase,
            Some("aron") => Topology::Aron,
            _ => Topology::ThreePhase,
        };
        let u32_of = |json: &Json| json.as_u64().expect("a number") as u32;
        let config = MeterConfig {
            topology,
            method: if topology == Topology::Aron { Method::Vector } else { Method::PerPhase },
            rate_hz: u32_of(&samples["rate_hz"]),
            f_nominal: u32_of(&meter["f_nominal"]) as u8,
            u_nominal_mv: u32_of(&meter["u_nominal_mv"]),
            u_full_scale_mv: u32_of(&meter["u_full_scale_mv"]),
            i_full_scale_ua: u32_of(&meter["i_full_scale_ua"]),
            i_n_full_scale_ua: u32_of(&meter["i_full_scale_ua"]),
            start_mw: u32_of(&meter["start_mw"]),
            channels: list(&meter["channels"]).iter().map(|k| 1 << k).sum(),
            ..MeterConfig::default()
        };
        Ok(Golden {
            id: id.to_owned(),
            expect: golden["expect"].clone(),
            tolerance: golden["tolerance"].clone(),
            config,
            start_utc_us: meter["start_utc_us"].as_i64().expect("a time"),
            columns: list(&samples["frame_channels"]),
            bytes,
        })
    }

    pub fn rate(&self) -> f64 {
        f64::from(self.config.rate_hz)
    }

    /// Counts of all channels, sample by sample.
    pub fn frames(&self) -> impl Iterator<Item = [i32; CHANNELS]> + '_ {
        self.bytes.chunks_exact(4 * self.columns.len()).map(|bytes| {
            let mut counts = [0; CHANNELS];
            for (k, value) in self.columns.iter().zip(bytes.chunks_exact(4)) {
                counts[*k] = i32::from_le_bytes(value.try_into().expect("four bytes"));
            }
            counts
        })
    }

    pub fn tolerance(&self, name: &str) -> f64 {
        number(&self.tolerance[name])
    }

    /// Holds a value against the model's within `tolerance`.
    pub fn within(&self, what: &str, got: f64, truth: f64, tolerance: f64) {
        assert!((got - truth).abs() <= tolerance, "{} {what}: {got} is not {truth} ± {tolerance}", self.id);
    }

    /// Holds a value against the model's within the limit of this name.
    pub fn near(&self, what: &str, got: f64, truth: &Json, tolerance: &str) {
        self.within(what, got, number(truth), self.tolerance(tolerance));
    }
}

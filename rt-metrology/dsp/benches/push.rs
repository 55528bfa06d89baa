//! Cost of one second of samples: seven channels at 8 and 32 kS/s, all windows, seconds and counters included; and the same
//! with power quality beside it.
//!
//! `cargo bench -p metrology-dsp --bench push`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use metrology_dsp::pq::PowerQuality;
use metrology_dsp::{CHANNELS, Calibration, MeterConfig, Metrology};
use metrology_link::payload::Grid;
use std::f64::consts::TAU;
use std::hint::black_box;

/// One second of a balanced three-phase load, 5 A at 30°, 50 Hz.
fn second(rate: u32) -> Vec<[i32; CHANNELS]> {
    let sample = |n: u32, k: usize| {
        let shift = if k < 3 { 0.0 } else { -TAU / 12.0 };
        let x = TAU * (50.0 * f64::from(n) / f64::from(rate) - (k % 3) as f64 / 3.0) + shift;
        let amplitude = if k < 3 { 4.5e6 } else { 3.0e5 };
        (amplitude * x.sin()) as i32
    };
    (0..rate).map(|n| std::array::from_fn(|k| sample(n, k))).collect()
}

fn push(c: &mut Criterion) {
    let mut group = c.benchmark_group("push");
    for rate in [8000, 32_000] {
        let samples = second(rate);
        let mut calibration = Calibration::default();
        for channel in &mut calibration.channel[3..] {
            // All interpolators at work.
            channel.phase_ns = 12_345;
        }
        let config = MeterConfig { rate_hz: rate, ..MeterConfig::default() };
        let mut meter = Metrology::new(&config, &calibration).expect("possible configuration");
        group.throughput(Throughput::Elements(u64::from(rate)));
        group.bench_function(format!("one_second_{rate}"), |b| {
            b.iter(|| {
                for counts in &samples {
                    black_box(meter.push(black_box(counts)));
                    black_box(meter.half_cycle());
                }
            });
        });
        let (mut meter, mut pq) = (meter, Box::new(PowerQuality::new()));
        pq.configure(&config, &calibration);
        let grid = Grid { rate_q16: u64::from(rate) << 16, ..Grid::default() };
        group.bench_function(format!("one_second_{rate}_power_quality"), |b| {
            b.iter(|| {
                for counts in &samples {
                    black_box(meter.push(black_box(counts)));
                    let half = meter.half_cycle();
                    black_box(pq.push(meter.samples(), half.as_ref(), &grid));
                    while pq.notice().is_some() {}
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, push);
criterion_main!(benches);

//! Page rates: `cargo bench -p metrology-link`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use metrology_link::codec::decode_page;
use metrology_link::host::HostEnd;
use metrology_link::page::{self, Class, Header, View};
use metrology_link::payload::{Billing, Hello};
use metrology_link::{PAGE, Page};

/// Pages per measurement where their numbers must rise.
const BATCH: u32 = 256;

fn header(class: Class, seq: u32) -> Header {
    Header { class, flags: 0, boot_id: 7, seq, t_samples: 1 }
}

fn billing_page(seq: u32) -> Page {
    let mut billing = Billing::default();
    billing.snapshot.counters.total.a_plus = 123_456_789;
    let mut page = [0; PAGE];
    page::build(&mut page, &header(Class::Billing, seq), &billing);
    page
}

fn pages(c: &mut Criterion) {
    let mut group = c.benchmark_group("page");
    group.throughput(Throughput::Bytes(PAGE as u64));
    let page = billing_page(1);
    group.bench_function("check", |b| b.iter(|| View::new(black_box(&page)).is_ok()));
    group.bench_function("parse_billing", |b| b.iter(|| decode_page(black_box(&page)).is_ok()));
    group.bench_function("build_billing", |b| {
        let billing = Billing::default();
        let mut out = [0; PAGE];
        b.iter(|| page::build(black_box(&mut out), &header(Class::Billing, 1), black_box(&billing)));
    });
    group.throughput(Throughput::Bytes(PAGE as u64 * u64::from(BATCH)));
    group.bench_function("receive_billing_x256", |b| {
        let mut host = HostEnd::new();
        let mut hello = [0; PAGE];
        page::build(&mut hello, &header(Class::Hello, 0), &Hello { boot_id: 7, ..Hello::default() });
        assert!(host.receive(&hello).is_ok());
        let pages: Vec<Page> = (1..=BATCH).map(billing_page).collect();
        b.iter_batched_ref(
            || host.clone(),
            |host| pages.iter().filter(|page| host.receive(black_box(page)).is_ok()).count(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, pages);
criterion_main!(benches);

//! Every file of the fuzz corpora, replayed: what a fuzzer once found stays found, without a fuzzer.

use meter_core::{Durable, Params};
use metergate_tests::fuzz::TARGETS;
use metergate_tests::{root, tier};

#[test]
fn every_corpus_file_is_survived() {
    let corpus = root().join("tests/fuzz/corpus");
    if tier("METERGATE_BLESS") {
        let settled = Durable::new(false, Params::default()).encode();
        std::fs::write(corpus.join("durable/new"), settled).expect("write a seed");
    }
    for (name, target) in TARGETS {
        let entries = std::fs::read_dir(corpus.join(name)).unwrap_or_else(|e| panic!("corpus of {name}: {e}"));
        let mut replayed = 0;
        for path in entries.flatten().map(|e| e.path()) {
            let data = std::fs::read(&path).expect("read a corpus file");
            eprintln!("{}", path.display());
            target(&data);
            // And cut short, which is how most damage looks.
            for cut in [1, data.len() / 2, data.len().saturating_sub(1)] {
                target(data.get(..cut).unwrap_or_default());
            }
            replayed += 1;
        }
        assert!(replayed > 0, "the corpus of {name} is empty");
    }
}

/// `cargo fuzz list` and the list that is replayed here are the same.
#[test]
fn every_fuzz_target_has_a_corpus() {
    let targets = std::fs::read_dir(root().join("tests/fuzz/fuzz_targets")).expect("the fuzz targets").flatten();
    let mut names: Vec<_> =
        targets.map(|t| t.file_name().to_string_lossy().trim_end_matches(".rs").to_owned()).collect();
    names.sort();
    let mut listed = TARGETS.map(|(name, _)| name.to_owned());
    listed.sort();
    assert_eq!(names, listed);
}

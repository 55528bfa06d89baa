//! The requirements script: a mark counts only above a test that runs, and a finished owner leaves nothing untested.

use std::path::Path;
use std::process::Command;

use metergate_tests::process::{Finished, finish};
use metergate_tests::{SOON, root};

const TABLE: &str = "id,owner,title,model_only\nMET-001,metrology,a,\nMET-002,metrology,b,\nTIM-001,registers,c,\n\
                     TIM-002,registers,d,needs ten years\n";

/// Runs the script on a project of its own with this table and one source file.
fn check(done: &str, source: &str) -> Finished {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tests = folder.path().join("tests");
    let daemon = folder.path().join("daemons/x/src");
    std::fs::create_dir_all(&tests).expect("make tests");
    std::fs::create_dir_all(&daemon).expect("make daemons");
    std::fs::copy(root().join("tests/requirements"), tests.join("requirements")).expect("copy the script");
    std::fs::write(tests.join("requirements.csv"), format!("# done: {done}\n{TABLE}")).expect("write the table");
    std::fs::write(daemon.join("lib.rs"), source).expect("write the source");
    run(&tests.join("requirements"))
}

fn run(script: &Path) -> Finished {
    finish(Command::new(script), SOON)
}

/// The mark, put together here so that the script does not take these lines for marks of this file.
fn mark(ids: &str, below: &str) -> String {
    format!("// {}: {ids}\n{below}\n", "covers")
}

#[test]
fn every_id_has_one_line_with_its_state() {
    let source =
        mark("MET-001, TIM-002", "// A word.\n#[tokio::test(flavor = \"current_thread\")]\nasync fn it_counts() {}");
    let done = check("", &source);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let expected = "MET-001\ttested\tdaemons/x/src/lib.rs::it_counts\n\
                    MET-002\tuntested\towner metrology\n\
                    TIM-001\tuntested\towner registers\n\
                    TIM-002\tmodel-only\tneeds ten years; daemons/x/src/lib.rs::it_counts";
    assert_eq!(done.out, expected);
}

#[test]
fn an_untested_id_of_a_done_owner_fails() {
    let both = mark("MET-001 MET-002", "#[test]\nfn a() {}");
    assert_eq!(check("metrology", &both).code, Some(0));
    let done = check("metrology", &mark("MET-001", "#[test]\nfn a() {}"));
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("MET-002: owner metrology is done"), "{}", done.err);
    assert_ne!(check("nobody", &both).code, Some(0), "an unknown owner is a mistake in the table");
}

#[test]
fn a_mark_counts_only_above_a_test_that_runs() {
    let below = ["fn helper() {}", "#[test]\n#[ignore]\nfn later() {}", "\n#[test]\nfn after_a_gap() {}", "struct S;"];
    for below in below {
        let done = check("", &mark("MET-001", below));
        assert_eq!(done.code, Some(1), "{below}");
        assert!(done.err.contains("above no test"), "{below}: {}", done.err);
    }
    let done = check("", &mark("MET-999", "#[test]\nfn a() {}"));
    assert_eq!(done.code, Some(1));
    assert!(done.err.contains("MET-999 is not in"), "{}", done.err);
}

#[test]
fn the_projects_own_table_is_in_order() {
    let done = run(&root().join("tests/requirements"));
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.lines().count() > 200, "the list has shrunk");
    assert!(done.out.lines().all(|l| l.split('\t').count() == 3), "three fields per line");
}

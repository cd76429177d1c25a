//! Whole-program tests that need what not every machine has: one that cannot run is counted as ignored, with the reason.

use std::process::ExitCode;

/// A test: its name, and what it does; why it could not.
pub type Test<Needs> = (&'static str, fn(&Needs) -> Result<(), String>);

/// A main of our own: the usual one can only tell after the fact that a test was not run, by counting it as passed. With the
/// environment variable `required` set, a test that cannot run is a failure.
pub fn main<Needs>(tests: &[Test<Needs>], required: &str, needs: impl Fn() -> Result<Needs, String>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| name.contains(wanted.as_str()));
    let wanted: Vec<&Test<Needs>> = tests.iter().filter(|(name, _)| is_wanted(name) && !has("--ignored")).collect();
    if has("--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} test{}", wanted.len(), if wanted.len() == 1 { "" } else { "s" });
    let (mut passed, mut ignored, mut failed) = (0, 0, 0);
    for (name, test) in &wanted {
        let done = needs().and_then(|needs| test(&needs));
        match (done, std::env::var_os(required).is_some()) {
            (Ok(()), _) => {
                println!("test {name} ... ok");
                passed += 1;
            }
            (Err(why), false) => {
                println!("test {name} ... ignored, NOT RUN: {why}");
                ignored += 1;
            }
            (Err(why), true) => {
                println!("test {name} ... FAILED: not run: {why}");
                failed += 1;
            }
        }
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    let filtered = tests.len() - wanted.len();
    println!(
        "\ntest result: {result}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; {filtered} filtered out\n"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

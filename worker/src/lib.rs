//! What runs on the machine that is measured: the worker, which makes one launch, and the agent, which answers a host on a
//! phone.
//!
//! Linked into `ditbench`, and built alone for phones. It writes events and answers, never records: what becomes of them is
//! the host's.

pub mod agent;
pub mod company;
pub mod events;
pub mod interrupt;
pub mod measure;
pub mod output;
pub mod own;
pub mod probe;
pub mod process;
pub mod registry;
pub mod worker;

/// An error and its causes in a line. Some errors give their cause in their own words already; it is not said twice.
pub fn causes(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::causes;

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::anyhow!("the disk is full").context("cannot write x: the disk is full. Free some");
        assert_eq!(causes(&error.context("saving")), "saving: cannot write x: the disk is full. Free some");
    }
}

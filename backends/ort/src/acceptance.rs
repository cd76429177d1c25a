//! What of a graph a device takes, and why not the rest: from ONNX Runtime's account, and from what its providers log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ditbench_backend_api::{Acceptance, Refused};
use ort::logging::LogLevel;
use ort::session::builder::SessionBuilder;

use crate::assignment::Taken;
use crate::words::one_line;

/// What a session's making logs, kept.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Makes the session log everything here, and nowhere else.
    pub(crate) fn listen(&self, builder: SessionBuilder) -> Result<SessionBuilder, String> {
        let words = |error: ort::Error<SessionBuilder>| one_line(&error.to_string());
        let kept = Arc::clone(&self.0);
        let builder = builder
            .with_logger(Arc::new(move |_: LogLevel, _: &str, _: &str, _: &str, message: &str| {
                kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(message.to_owned());
            }))
            .map_err(words)?;
        builder.with_log_level(LogLevel::Verbose).map_err(words)
    }

    fn messages(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// What the provider took, and what it says of the rest.
pub(crate) fn of(taken: &[Taken], provider: &str, log: &Log) -> Acceptance {
    let messages = log.messages();
    let mut refused: BTreeMap<(&str, Option<String>), Vec<String>> = BTreeMap::new();
    for node in taken.iter().filter(|node| node.provider != provider) {
        let why = why(&messages, &node.name);
        refused.entry((node.op.as_str(), why)).or_default().push(node.name.clone());
    }
    let refused = refused.into_iter().map(|((op, why), nodes)| Refused { op: op.to_owned(), nodes, why });
    Acceptance { nodes: taken.len(), refused: refused.collect() }
}

/// What the log says of a node that was not taken.
fn why(messages: &[String], node: &str) -> Option<String> {
    let names = |line: &str| line.split_whitespace().any(|word| word == node || word == format!("`{node}`"));
    messages.iter().filter(|message| !node.is_empty() && message.lines().any(names)).find_map(|message| {
        // QNN gives reasons, WebGPU says that it has no kernel.
        let reason = message.lines().find_map(|line| line.trim().strip_prefix("REASON"));
        match reason.map(|reason| reason.trim_start_matches([' ', ':'])) {
            Some(reason) => {
                let end = reason.find(" node `").and_then(|end| reason[..end].rfind('.')).unwrap_or(reason.len());
                Some(one_line(reason[..end].trim_end_matches('.')))
            }
            None => message
                .contains("kernel not found")
                .then(|| "the provider has no kernel for it with these types".to_owned()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_found_in_what_providers_log() {
        let node = |provider: &str, op: &str, name: &str| Taken {
            provider: provider.into(),
            op: op.into(),
            name: name.into(),
        };
        let taken =
            [node("P", "MatMul", "a"), node("C", "Det", "odd/det"), node("C", "Det", "other"), node("C", "Cast", "")];
        let log = Log::default();
        log.0.lock().unwrap().extend([
            "Applying graph transformer x on step 1.".to_owned(),
            "Validation FAILED for 1 nodes in OrtNodeUnit (Det) :\n\tOperator type: Det Node name: odd/det Node index: 1\n\tREASON : Operators of type `Det` are not supported by QNN EP.Det node `odd/det` will not be assigned to QNN EP.".to_owned(),
            "webgpu kernel not found in registries for Op type: Det node name: other".to_owned(),
        ]);
        let acceptance = of(&taken, "P", &log);
        assert_eq!(acceptance.nodes, 4);
        let said: Vec<_> =
            acceptance.refused.iter().map(|one| (one.op.as_str(), one.nodes.len(), one.why.as_deref())).collect();
        assert_eq!(
            said,
            [
                ("Cast", 1, None),
                ("Det", 1, Some("Operators of type `Det` are not supported by QNN EP")),
                ("Det", 1, Some("the provider has no kernel for it with these types")),
            ]
        );
    }
}

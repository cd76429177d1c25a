//! A trace of a phone's whole system while a cell runs, by Android's `perfetto`: in a process of its own, because tracing takes time
//! from what it traces.

use anyhow::{Context, Result};
use ditbench_protocol::StopRule;
use ditbench_record::Reading;
use ditbench_record::store::RunStore;

use super::Prepared;
use super::collect::status;
use super::launch::Launcher;
use super::resolve::Resolved;
use crate::host::Order;

/// Images of the pass: the first, with all that is lazy in it, and one like the others.
const IMAGES: usize = 2;

impl Launcher<'_> {
    /// Makes the pass; gives the trace's name in the run's directory.
    ///
    /// # Errors
    /// The folder of traces cannot be made, or no process started: the environment's fault.
    pub(super) fn trace_pass(
        &mut self,
        cell: &Resolved,
        prepared: &Prepared,
        store: &RunStore,
    ) -> Result<Reading<String>> {
        let stop =
            StopRule { images: IMAGES, seconds: self.settings.timeout_s.get(), relative_half_width: 0.0, least: 1 };
        let spec = self.spec(cell, prepared, None, stop);
        let name = format!("traces/{}.perfetto-trace", cell.key.id());
        let path = store.dir().join(&name);
        std::fs::create_dir_all(store.dir().join("traces")).context("cannot make the folder of traces")?;
        let log = store.dir().join("logs").join(format!("{}-trace.log", cell.key.id()));
        let progress = self.progress;
        progress.now(format!("{}: a pass under Android's perfetto", cell.cell.key()));
        let order = Order {
            id: format!("{}.{}.trace", store.run().run.id, cell.key.id()),
            spec: &spec,
            pipeline: &cell.pipeline,
            log: &log,
            timeout: self.settings.timeout_s.duration(),
            system_trace: Some(&path),
            say: &|message| progress.now(message),
        };
        let exit = self.host.launch(&order, &mut |_, _| {})?;
        let taken = match (status(&exit.cause), exit.observed.system_trace) {
            ((status, Some(reason)), _) => {
                Reading::absent(format!("the pass under perfetto ended with {}: {reason}", status.name()))
            }
            (_, None) => Reading::absent("only a phone's system is traced: --perfetto needs --on adb"),
            (_, Some(Reading::Ok(_))) if !path.is_file() => {
                Reading::absent("the trace did not come back from the phone")
            }
            (_, Some(taken)) => taken.map(|_| name),
        };
        if let Some(why) = taken.why() {
            progress.line(&format!("{}: no trace of the system: {why}", cell.cell.key()));
        }
        Ok(taken)
    }
}

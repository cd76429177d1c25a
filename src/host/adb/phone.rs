//! [`Host`] for a phone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ditbench_graph::weights::Weights;
use ditbench_record::{Build, Git, Machine, Peak, PhoneFacts, Reading};
use serde::de::DeserializeOwned;

use super::cool::Warmth;
use super::launch::{self, Followed, Sent};
use super::session::Session;
use super::{Adb, AdbError, Device, PhoneOptions, parcel};
use crate::environment::Common;
use ditbench_worker::agent::Description;
use ditbench_worker::process::{Cause, Exit, Observed};
use ditbench_worker::registry::BackendFacts;

use crate::host::{Host, NotCool, Order, PeakOf};
use crate::plan::ClusterChoice;
use ditbench_protocol::Event;
use ditbench_worker::probe::build;
use ditbench_worker::probe::memory::Available;
use ditbench_worker::probe::phone::clusters;
use ditbench_worker::{interrupt, registry};

/// A phone that has not cooled down by then is measured as it is, and this is said.
const COOL_DOWN: Duration = Duration::from_secs(300);

/// A phone, opened for a run.
pub struct Phone {
    session: Session,
    description: Description,
    /// Backends for which what they need was looked for here, or why it is not there.
    ready: BTreeMap<String, Result<(), String>>,
    gone: Option<String>,
}

impl Phone {
    /// Opens a phone for the run of that id.
    ///
    /// # Errors
    /// It cannot be used, and what to do.
    pub fn open(
        adb: Arc<dyn Adb>,
        serial: &str,
        options: &PhoneOptions,
        wanted: &[ClusterChoice],
        run: &str,
        say: &dyn Fn(String),
    ) -> Result<Self> {
        let session = Session::open(Device::new(adb, serial), options, wanted, run, say)?;
        say(format!("looking at {}", session.identity.name()));
        let description: Description = ask(&session, "describe", Duration::from_secs(60))?;
        if description.version != env!("CARGO_PKG_VERSION") || description.git != build::git() {
            // Two revisions may still speak to each other; the record has the phone's.
            say(format!(
                "the program on the phone (ditbench {}) is a different build from this one: build both the same way, \
                 unless this is what you want",
                description.version
            ));
        }
        Ok(Self { session, description, ready: BTreeMap::new(), gone: None })
    }

    /// Sends what a launch needs.
    fn send(&mut self, order: &Order) -> Result<Sent, AdbError> {
        let ours = self.session.folder().to_owned();
        let files = format!("{ours}/files");
        let Session { pusher, device, .. } = &mut self.session;
        let model = super::own::put(pusher, device, order.pipeline, &ours, order.say)?;
        let mut put = |path: &Path| pusher.put(device, path, &files, "0600", order.say);
        // A user's model has its weights in its own files.
        let weights = if model.is_some() { String::new() } else { put(&order.spec.weights)? };
        let inputs = put(&order.spec.inputs)?;
        for folder in export(order) {
            super::push::put_folder(pusher, device, &folder, &ours, order.say)?;
        }
        Ok(Sent { model, weights, inputs })
    }

    /// Everything up to the start; tried again after a drop, because all of it may be done twice.
    fn begin(&mut self, order: &Order) -> Result<(), AdbError> {
        for attempt in 0.. {
            let tried = launch::is_there(&self.session, &order.id).and_then(|there| {
                if there {
                    return Ok(());
                }
                let sent = self.send(order)?;
                launch::start(&self.session, order, sent)
            });
            match tried {
                Err(error) if (error.is_drop() || matches!(error, AdbError::Damaged { .. })) && attempt < 3 => {
                    (order.say)(format!("{error}; trying again"));
                    self.session.again()?;
                }
                other => return other,
            }
        }
        Ok(())
    }

    /// Fetches results, through drops.
    fn finish(&mut self, order: &Order, finished: bool) -> Result<(), AdbError> {
        for attempt in 0.. {
            match launch::collect(&self.session, order, finished) {
                Err(error) if error.is_drop() && attempt < 3 => self.session.again()?,
                other => return other,
            }
        }
        Ok(())
    }

    /// A phone that stays away: the run stops, and nothing is removed that is still to be collected.
    fn away(&mut self, error: &AdbError) -> Exit {
        let cause = if matches!(error, AdbError::Interrupted) || interrupt::requested() {
            Cause::Interrupted
        } else {
            self.session.leave = true;
            self.gone = Some(error.to_string());
            Cause::Lost(error.to_string())
        };
        Exit { cause, max_rss: None, observed: Observed::default() }
    }

    /// Carries to the phone what a backend needs there.
    fn carry(&mut self, name: &str, common: &Common, say: &dyn Fn(String)) -> Result<(), String> {
        // One that this build has not got may need nothing.
        let Ok(backend) = registry::backend(name) else { return Ok(()) };
        let named = self.session.options.named(name, common);
        let parcel = backend.carry(&named).map_err(|missing| format!("{}: {}", missing.why, missing.cure))?;
        let Some(parcel) = parcel else { return Ok(()) };
        let environment = parcel::send(&mut self.session, name, &parcel, say)?;
        self.session.environment.extend(environment);
        // With that there, the backend knows what it can do.
        self.description =
            ask(&self.session, "describe", Duration::from_secs(60)).map_err(|error| crate::text::causes(&error))?;
        Ok(())
    }

    fn number<T: DeserializeOwned>(&self, question: &str, limit: Duration) -> Reading<T> {
        match ask(&self.session, question, limit) {
            Ok(value) => Reading::Ok(value),
            Err(error) => Reading::absent(crate::text::causes(&error)),
        }
    }
}

/// What a phone lacks is got here, and carried there.
fn with_advice(name: &str, mut facts: BackendFacts) -> BackendFacts {
    let Ok(backend) = registry::backend(name) else { return facts };
    for missing in facts.devices.iter_mut().filter_map(|device| device.state.as_mut().err()) {
        if let Some(advice) = backend.advice_for_a_phone(missing) {
            missing.cure = format!("{}; {advice}", missing.cure);
        }
    }
    facts
}

/// Asks our program there and reads its answer.
fn ask<T: DeserializeOwned>(session: &Session, question: &str, limit: Duration) -> Result<T> {
    let text = session.ask(question, limit)?;
    serde_json::from_str(text.trim()).with_context(|| {
        format!("{}: unexpected reply to \"{question}\"; the versions may differ", session.device.serial())
    })
}

impl Phone {
    /// The answer to a question, or an empty one and why on the terminal.
    fn or_none<T: Default>(&self, failed: &str, answer: Result<T>) -> T {
        answer.unwrap_or_else(|error| {
            let why = crate::text::causes(&error);
            crate::text::tell(&format!("{}: {failed}: {why}", self.session.device.serial()));
            T::default()
        })
    }
}

impl Host for Phone {
    fn is_remote(&self) -> bool {
        true
    }

    fn recovers_alone(&self) -> bool {
        true
    }

    fn machine(&self) -> Machine {
        let identity = &self.session.identity;
        let mut machine = self.description.machine.clone();
        if let Some(soc) = identity.soc.value() {
            // The kernel of a phone names its cores' kinds at best.
            machine.cpu_model = Reading::Ok(format!("{} ({soc})", identity.name()));
        }
        if let Some(version) = identity.android.value() {
            machine.os = Reading::Ok(format!("Android {version}"));
        }
        machine.phone = Some(PhoneFacts {
            model: Reading::Ok(identity.name()),
            soc: identity.soc.clone(),
            android: identity.android.clone(),
            sdk: identity.sdk.clone(),
            abi: identity.abi.clone(),
            fingerprint: identity.fingerprint.clone(),
            clusters: self
                .session
                .clusters
                .iter()
                .map(|c| ditbench_record::Cluster {
                    name: c.name.clone(),
                    cpus: c.range(),
                    capacity: c.capacity,
                    max_mhz: c.max_mhz,
                    core: c.core.clone(),
                })
                .collect(),
            asked_cpus: None,
            sustained: self.session.options.sustained,
            screen: self.session.state.screen.clone(),
            battery_saver: self.session.state.battery_saver.clone(),
            uid: self.session.state.uid.clone(),
            cpuset: self.session.state.cpuset.clone(),
            task_profile: self.session.options.task_profile.clone(),
            thresholds: self.session.thresholds.clone(),
            fixed_performance: Some(self.session.options.fixed_performance),
        });
        machine
    }

    fn build(&self) -> Build {
        self.description.build.clone()
    }

    fn git(&self) -> Reading<Git> {
        self.description.git.clone()
    }

    fn cores(&self) -> usize {
        self.description.cores
    }

    fn memory_available(&self) -> Option<Available> {
        self.description.memory_available.map(|bytes| Available { bytes, group_limit: None })
    }

    fn quick_peak(&self) -> f64 {
        self.description.quick_peak
    }

    fn backend(&self, name: &str) -> Result<BackendFacts, String> {
        // Why the phone has not got what it needs, and not what this machine has.
        if let Some(Err(why)) = self.ready.get(name) {
            return Err(why.clone());
        }
        match self.description.backends.get(name) {
            Some(facts) => facts.clone().map(|facts| with_advice(name, facts)),
            None => Err(format!("the phone's ditbench {} does not know {name}", self.description.version)),
        }
    }

    fn prepare(&mut self, backend: &str, common: &Common, say: &dyn Fn(String)) {
        if !self.ready.contains_key(backend) {
            let ready = self.carry(backend, common, say);
            self.ready.insert(backend.to_owned(), ready);
        }
    }

    fn cpus_of(&self, cluster: &ClusterChoice) -> Result<Vec<u32>, String> {
        clusters::cpus_of(cluster.as_str(), &self.session.clusters)
    }

    fn peaks(&mut self, wanted: &[PeakOf]) -> Vec<Peak> {
        let mut places: Vec<&Vec<u32>> = wanted.iter().map(|peak| &peak.cpus).collect();
        places.sort_unstable();
        places.dedup();
        let measure = |cpus: &Vec<u32>| -> Vec<Peak> {
            let counts: Vec<usize> = wanted.iter().filter(|peak| peak.cpus == *cpus).map(|peak| peak.threads).collect();
            // Five loops, each three times if need be, and a phone that is slow to answer.
            let limit = Duration::from_secs(20 + 15 * counts.len() as u64);
            let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
            let on = if cpus.is_empty() { String::new() } else { format!(" on {}", clusters::list(cpus)) };
            // Missing peaks are missing in the record, and the report says that there are none.
            self.or_none(
                "its peaks could not be measured",
                ask(&self.session, &format!("peaks {}{on}", counts.join(",")), limit),
            )
        };
        places.into_iter().flat_map(measure).collect()
    }

    fn calibrate(&mut self) -> Reading<f64> {
        self.number("calibrate", Duration::from_secs(30))
    }

    fn company_alone(&mut self, threads: u32, cpus: &[u32]) -> Reading<f64> {
        let on = if cpus.is_empty() { String::new() } else { format!(" on {}", clusters::list(cpus)) };
        self.number(&format!("company {threads}{on}"), Duration::from_secs(60))
    }

    fn sensors(&mut self) -> BTreeMap<String, Reading<f64>> {
        self.or_none("its sensors could not be read", ask(&self.session, "sensors", Duration::from_secs(60)))
    }

    fn cool_down(&mut self, say: &dyn Fn(String)) -> Option<NotCool> {
        let begun = Instant::now();
        let mut told = false;
        loop {
            let sensors = self.sensors();
            let warm = match self.session.cool.look(&sensors) {
                Warmth::Cool => return None,
                Warmth::NotKnown(why) => return Some(NotCool::NotKnown { why }),
                Warmth::Warm(warm) => warm,
            };
            if begun.elapsed() > COOL_DOWN {
                self.session.cool.give_up(&sensors);
                return Some(NotCool::StillWarm { what: warm, waited: COOL_DOWN });
            }
            if interrupt::requested() {
                return None;
            }
            if !told {
                told = true;
                let most = COOL_DOWN.as_secs() / 60;
                say(format!("waiting for the phone to cool down ({warm}), at most {most} minutes"));
            }
            for _ in 0..25 {
                std::thread::sleep(Duration::from_millis(if interrupt::requested() { 0 } else { 200 }));
            }
        }
    }

    fn wants_throttling(&self) -> bool {
        self.session.options.sustained
    }

    fn launch(&mut self, order: &Order, on_event: &mut dyn FnMut(f64, Event)) -> Result<Exit> {
        if let Err(error) = self.begin(order) {
            return Ok(match error {
                // This cell's reason; another cell may need less, or have files of its own.
                error if error.is_of_one_launch() => Exit {
                    cause: Cause::Failed { unsupported: false, why: error.to_string() },
                    max_rss: None,
                    observed: Observed::default(),
                },
                error => self.away(&error),
            });
        }
        let clock = self.session.clock();
        match launch::follow(&mut self.session, order, on_event) {
            Followed::Away(error) => Ok(self.away(&error)),
            Followed::Over(mut exit) => {
                exit.observed.clock = clock;
                let finished = exit.cause == Cause::Finished;
                match self.finish(order, finished) {
                    Ok(()) => Ok(*exit),
                    // Interrupted while fetching: what was measured is on the phone and goes with our files.
                    Err(error) if error.is_drop() || error == AdbError::Interrupted => Ok(self.away(&error)),
                    Err(error) => {
                        exit.observed.notes.push(format!("not all results came back: {error}"));
                        Ok(*exit)
                    }
                }
            }
        }
    }

    fn gone(&self) -> Option<String> {
        self.gone.clone()
    }
}

/// Writes the models that the cell's backend reads, here, where it is quick. A backend that this build has not got, or
/// that fails here, leaves it to the phone: the record says which of the two it was (`export_cached`).
fn export(order: &Order) -> Vec<PathBuf> {
    let spec = order.spec;
    if order.pipeline.graphs().is_empty() {
        return Vec::new();
    }
    let (Ok(backend), Ok(weights)) = (registry::backend(&spec.backend), Weights::open(&spec.weights)) else {
        return Vec::new();
    };
    let options = spec.compile_options();
    (order.say)("writing models for the phone".to_owned());
    let graphs = order.pipeline.graphs();
    graphs.iter().flat_map(|graph| backend.export(graph, &weights, &options).unwrap_or_default()).collect()
}

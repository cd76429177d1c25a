//! What may be shipped, as flags say it: bounds, and the number that decides. Shared by the commands that advise.

use anyhow::{Result, bail};
use ditbench_reports::advice::question::{named_value, number};
use ditbench_reports::advice::{Bound, Question};
use ditbench_reports::metric::Metric;

/// Bounds and the objective.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "What to ship")]
pub struct QuestionArgs {
    /// The longest that a steady image may take: 2s, 500ms
    #[arg(long, value_name = "TIME", value_parser = |text: &str| Metric::IMAGE.read(text))]
    max_latency: Option<f64>,
    /// The most memory that may be resident at once: 1GiB, 700MiB
    #[arg(long, value_name = "SIZE", value_parser = |text: &str| Metric::PEAK.read(text))]
    max_memory: Option<f64>,
    /// The worst picture that will do: NAME=VALUE, as in ssimulacra2=70, psnr_db=35 or retrieval_at_1=0.9
    #[arg(long, value_name = "NAME=VALUE", value_parser = quality)]
    min_quality: Vec<(Metric, f64)>,
    /// The most energy that an image may take: 5J
    #[arg(long, value_name = "ENERGY", value_parser = |text: &str| Metric::ENERGY.read(text))]
    max_energy: Option<f64>,
    /// An upper bound on any number of the table: --max first_image_s=3s
    #[arg(long, value_name = "NAME=VALUE", value_parser = named_value)]
    max: Vec<(Metric, f64)>,
    /// A lower bound on any number of the table: --min ssim=0.95
    #[arg(long, value_name = "NAME=VALUE", value_parser = named_value)]
    min: Vec<(Metric, f64)>,
    /// What decides among the configurations that keep all bounds: latency, memory, energy, quality, or any number by its name
    /// [default: latency]
    #[arg(long, value_name = "NAME", value_parser = objective)]
    objective: Option<Objective>,
    /// Let models, sizes, numbers of steps and the like compete with each other, rather than deciding for each
    #[arg(long)]
    any_workload: bool,
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Objective {
    /// The quality that a bound is on, else the usual one.
    Quality,
    Number(Metric),
}

fn objective(text: &str) -> Result<Objective, String> {
    match text {
        "latency" => Ok(Objective::Number(Metric::IMAGE)),
        "memory" => Ok(Objective::Number(Metric::PEAK)),
        "energy" => Ok(Objective::Number(Metric::ENERGY)),
        "quality" => Ok(Objective::Quality),
        name => {
            number(name).map(Objective::Number).map_err(|why| format!("{why}; or latency, memory, energy, quality"))
        }
    }
}

/// A number of pictures, and the worst of it that will do.
fn quality(text: &str) -> Result<(Metric, f64), String> {
    let (metric, value) = named_value(text)?;
    if metric.is_of_pictures() {
        return Ok((metric, value));
    }
    let names: Vec<String> = Metric::all().filter(|metric| metric.is_of_pictures()).map(Metric::name).collect();
    Err(format!(
        "{} does not say how good pictures are: choose from {}; or use --max or --min",
        metric.name(),
        names.join(", ")
    ))
}

impl QuestionArgs {
    /// What is asked.
    ///
    /// # Errors
    /// A question without an answer.
    pub fn question(&self) -> Result<Question> {
        let most =
            [(Metric::IMAGE, self.max_latency), (Metric::PEAK, self.max_memory), (Metric::ENERGY, self.max_energy)];
        let most = most.into_iter().filter_map(|(metric, limit)| Some(Bound::at_most(metric, limit?)));
        let quality = self.min_quality.iter().map(|&(metric, limit)| Bound::no_worse_than(metric, limit));
        let max = self.max.iter().map(|&(metric, limit)| Bound::at_most(metric, limit));
        let min = self.min.iter().map(|&(metric, limit)| Bound::at_least(metric, limit));
        let mut bounds: Vec<Bound> = Vec::new();
        for bound in most.chain(quality).chain(max).chain(min) {
            if !bounds.contains(&bound) {
                bounds.push(bound);
            }
        }
        let mut question = Question { bounds, across_workloads: self.any_workload, ..Question::default() };
        question.objective = match self.objective {
            None => question.objective,
            Some(Objective::Quality) => question.quality(),
            Some(Objective::Number(metric)) => metric,
        };
        if let Some(why) = question.refusal() {
            bail!("{why}");
        }
        Ok(question)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        question: QuestionArgs,
    }

    fn asked(flags: &[&str]) -> Result<Question> {
        Cli::try_parse_from([&["x"], flags].concat())?.question.question()
    }

    #[test]
    fn flags_are_bounds_each_once() {
        let found = asked(&[
            "--max-latency",
            "2s",
            "--max-memory",
            "1GiB",
            "--min-quality",
            "ssimulacra2=70",
            "--min-quality",
            "latent_relative_l2=0.1",
            "--max",
            "image_s=2",
            "--min",
            "ssim=0.9",
            "--objective",
            "quality",
        ])
        .unwrap();
        let memory = 1024f64.powi(3);
        assert_eq!(
            found.bounds,
            [
                Bound::at_most(Metric::IMAGE, 2.0),
                Bound::at_most(Metric::PEAK, memory),
                Bound::at_least(Metric::SSIMULACRA2, 70.0),
                Bound::at_most(Metric::LATENT, 0.1),
                Bound::at_least(Metric::SSIM, 0.9),
            ]
        );
        assert_eq!(found.objective, Metric::SSIM, "the quality that was spoken of last");
        assert_eq!(asked(&[]).unwrap(), Question::default());
        assert_eq!(asked(&["--objective", "quality"]).unwrap().objective, Metric::SSIMULACRA2);
        assert_eq!(asked(&["--objective", "first_image_s"]).unwrap().objective, Metric::FIRST_IMAGE);
    }

    #[test]
    fn mistakes_name_what_there_is() {
        for (flags, words) in [
            (&["--max-latency", "2GiB"][..], "write 2s or 500ms"),
            (&["--min-quality", "image_s=2"], "psnr_db"),
            (&["--min-quality", "70"], "NAME=VALUE"),
            (&["--objective", "speed"], "latency, memory, energy, quality"),
            (&["--any-workload", "--objective", "quality"], "leave --any-workload out"),
        ] {
            let error = format!("{:#}", asked(flags).unwrap_err());
            assert!(error.contains(words), "{flags:?}: {error}");
        }
    }
}

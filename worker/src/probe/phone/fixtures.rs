//! What is read from phones of several makers: each file in `tests/data/phones` is what our script printed there (made from
//! public dumps), and says in its first lines what must be read from it.

use ditbench_record::{self as record, Launch, Machine, PhoneFacts, Reading, Telemetry, held};

use super::{Cluster, Sources, clusters, readings, sources};

/// What must be read from a phone: names and values.
type Must = Vec<(String, String)>;

/// A phone: its name, what must be read, and its sources.
fn phones() -> Vec<(String, Must, Sources)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/phones");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let must = text.lines().filter_map(|line| line.strip_prefix("must ")?.split_once(": "));
        let must = must.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        (path.file_stem().unwrap().to_string_lossy().into_owned(), must, sources::parse(&text))
    };
    files.map(read).collect()
}

/// What held a launch back in which all that was seen is what a phone says now.
fn held(sources: &Sources, groups: &[Cluster]) -> String {
    let cluster = |c: &Cluster| record::Cluster {
        name: c.name.clone(),
        cpus: c.range(),
        max_mhz: c.max_mhz,
        ..record::Cluster::default()
    };
    let phone = PhoneFacts { clusters: groups.iter().map(cluster).collect(), ..PhoneFacts::default() };
    let machine = Machine { phone: Some(phone), ..Machine::default() };
    let readings = readings::all(sources, groups);
    let telemetry = vec![Telemetry { moment: "during".into(), readings, ..Telemetry::default() }];
    held::back(&Launch { telemetry, ..Launch::default() }, &machine)
        .map_or_else(|| "nothing".into(), |held| held.to_string())
}

#[test]
fn each_phone_is_read_as_its_file_says() {
    let (mut looked_at, mut wrong) = (0, Vec::new());
    for (name, must, sources) in phones() {
        let groups = clusters::group(&sources);
        let readings = readings::all(&sources, &groups);
        assert!(!must.is_empty(), "{name} does not say what must be read from it");
        for (what, wanted) in must {
            looked_at += 1;
            let found = match what.as_str() {
                "clusters" => groups.iter().map(Cluster::said).collect::<Vec<_>>().join("; "),
                "held" => held(&sources, &groups),
                "screen" => sources.screen().value().cloned().unwrap_or_default(),
                reading => match readings.get(reading) {
                    Some(Reading::Ok(value)) => value.to_string(),
                    Some(Reading::Denied { why }) => format!("denied {why}"),
                    Some(Reading::Absent { why }) => format!("absent {why}"),
                    None => "no such reading".to_owned(),
                },
            };
            let right = match wanted.split_once(' ') {
                // Of a reason, some words.
                Some((kind @ ("absent" | "denied"), words)) => found.starts_with(kind) && found.contains(words),
                _ if wanted == "absent" || wanted == "denied" => found.starts_with(&wanted),
                _ => found == wanted,
            };
            if !right {
                wrong.push(format!("{name}: {what} must be {wanted}, and is {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(looked_at > 50, "only {looked_at} things were looked at");
}

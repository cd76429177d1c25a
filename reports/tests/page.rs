//! The page in a real browser: nothing overlaps, is cut or too faint, at two widths, in light and dark.
//!
//! Needs Chromium: the program named by `CHROMIUM`, or `chromium` and its like on the path. Without one the test says that it
//! did not look; with `DITBENCH_NEED_CHROMIUM` set, as in CI, it fails. `DITBENCH_REPORT=FILE` looks at that report too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ditbench_record::store::{LoadedRun, RunStore};
use ditbench_record::{Cell, Company, Reading, Run};
use ditbench_reports::advice::{Bound, Question};
use ditbench_reports::metric::Metric;
use ditbench_reports::table::Absent;
use ditbench_reports::{report, sample, sample_judged, sample_phone};
use serde_json::Value;

#[path = "common/launches.rs"]
mod launches;
#[path = "common/sizes.rs"]
mod sizes;

fn chromium() -> Option<PathBuf> {
    let works =
        |name: &PathBuf| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"].map(PathBuf::from);
    std::env::var_os("CHROMIUM").map(PathBuf::from).into_iter().chain(names).find(works)
}

/// The widths to look at: the narrowest promised, a usual phone, a desk.
const WIDTHS: [u32; 3] = [360, 390, 1280];

/// What the checker says of each page at each width, in one colour scheme.
fn look(browser: &Path, pages: &[PathBuf], dark: bool) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let pages: Vec<String> = pages.iter().map(|page| fs::read_to_string(page).unwrap()).collect();
    // Pages go into frames of the widths to look at: as documents of their own, so that their media queries apply.
    let quoted = serde_json::to_string(&pages).unwrap().replace("</", "<\\/");
    let wrapper = format!(
        "<!doctype html><meta charset=utf-8><pre id=out></pre><script>{}</script><script>
        const pages = {quoted}, widths = {WIDTHS:?}, results = [];
        pages.forEach((page, index) => {{
          for (const width of widths) {{
            const frame = document.createElement('iframe');
            frame.style = `width:${{width}}px;height:800px;border:0`;
            frame.onload = () => {{
              try {{ results.push({{ page: index, ...complaints(frame) }}); }}
              catch (error) {{ results.push({{ page: index, width, found: [String(error)] }}); }}
              if (results.length === pages.length * widths.length) {{
                document.getElementById('out').textContent = 'RESULT' + JSON.stringify(results) + 'END';
              }}
            }};
            frame.srcdoc = page;
            document.body.append(frame);
          }}
        }});</script>",
        include_str!("check_page.js")
    );
    let file = dir.path().join("look.html");
    fs::write(&file, wrapper).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
        .args(["--disable-background-networking", "--disable-component-update", "--virtual-time-budget=60000"])
        .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
        .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
        .args(["--window-size=1400,1000", "--dump-dom"])
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let result = dom.split_once(">RESULT").and_then(|(_, rest)| rest.split_once("END</pre>")).map(|(json, _)| json);
    let json = result.unwrap_or_else(|| panic!("no result: {}", String::from_utf8_lossy(&output.stderr)));
    let json = json.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\u{a0}").replace("&amp;", "&");
    serde_json::from_str(&json).unwrap()
}

/// Writes the report of a run into a directory and gives the page.
fn page_of(dir: &Path, run: Run) -> PathBuf {
    let store = RunStore::create(dir, run).unwrap();
    for (name, png) in sample::images() {
        store.put_file(&name, &png).unwrap();
    }
    report::report(&[LoadedRun { dir: dir.to_owned(), run: store.run().clone() }], &[], dir).unwrap().html
}

/// A sustained run whose images take tens of milliseconds: the widest words on an axis.
fn settling() -> Run {
    let mut run = sample_phone::run();
    run.run.sustained_s = Some(600.0);
    for sample in run.cells.iter_mut().flat_map(|cell| &mut cell.launches).flat_map(|launch| &mut launch.samples) {
        sample.total_s /= 40.0;
    }
    run
}

/// The made-up run alone and in company, which makes an image three times as long.
fn in_company() -> Run {
    let mut run = sample::run();
    for cell in run.cells.clone() {
        let mut cell: Cell = cell;
        cell.key.company = 4096;
        for launch in &mut cell.launches {
            let (units_per_s, alone_units_per_s) = (Reading::Ok(61.5), Reading::Ok(123.0));
            launch.company = Some(Company { threads: 4096, units_per_s, alone_units_per_s, ..Company::default() });
            launch.samples.iter_mut().for_each(|sample| sample.total_s *= 3.1);
        }
        run.cells.push(cell);
    }
    run
}

/// The answers to questions that some configurations keep, and that none does.
fn bounded(runs: &[LoadedRun], dir: &Path) -> Vec<PathBuf> {
    let memory = f64::from(1 << 30);
    let questions = [
        vec![Bound::at_most(Metric::IMAGE, 4.6), Bound::at_most(Metric::PEAK, memory)],
        vec![
            Bound::at_most(Metric::IMAGE, 0.5),
            Bound::at_least(Metric::SSIM, 0.9),
            Bound::at_least(Metric::PSNR, 30.0),
        ],
    ];
    let answer = |(place, bounds): (usize, Vec<Bound>)| {
        let question = Question { bounds, ..Question::default() };
        report::answering(&question, runs, &[], &dir.join(place.to_string())).unwrap().html
    };
    questions.into_iter().enumerate().map(answer).collect()
}

#[test]
fn nothing_overlaps_is_cut_or_too_faint() {
    let Some(browser) = chromium() else {
        assert!(std::env::var_os("DITBENCH_NEED_CHROMIUM").is_none(), "no Chromium: install it or set CHROMIUM");
        eprintln!("not looked at: there is no Chromium here (install it, or set CHROMIUM)");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let several = [sample::run(), first_images_only()].map(|run| LoadedRun { dir: dir.path().join("usual"), run });
    let mut pages = vec![
        page_of(&dir.path().join("usual"), sample::run()),
        page_of(&dir.path().join("harsh"), harsh()),
        page_of(&dir.path().join("first"), first_images_only()),
    ];
    pages.push(report::report(&several, &[], &dir.path().join("several")).unwrap().html);
    let machines = [sample_phone::run(), sample::run()].map(|run| LoadedRun { dir: dir.path().join("usual"), run });
    let absent = Absent {
        machine: "adb:R5CT-10-2-0-7-dresden.farm.example.org:5555".into(),
        reason:
            "R5CT-10-2-0-7-dresden.farm.example.org:5555 is unauthorized. Unlock the phone and tap Allow; then: adb -s \
                 R5CT-10-2-0-7-dresden.farm.example.org:5555 wait-for-device"
                .into(),
    };
    pages.push(report::report(&machines, &[absent], &dir.path().join("machines")).unwrap().html);
    pages.push(page_of(&dir.path().join("settling"), settling()));
    pages.push(page_of(&dir.path().join("beside"), in_company()));
    pages.extend(bounded(&machines, &dir.path().join("bounded")));
    pages.push(judged_page(&dir.path().join("judged")));
    pages.push(page_of(&dir.path().join("scaling"), sizes::grown("scaling", 1.25, 1)));
    pages.extend(std::env::var_os("DITBENCH_REPORT").map(PathBuf::from));
    let (light, dark) = (look(&browser, &pages, false), look(&browser, &pages, true));
    assert_eq!((light.len(), dark.len()), (WIDTHS.len() * pages.len(), WIDTHS.len() * pages.len()));
    assert_ne!(light[0]["background"], dark[0]["background"], "dark mode changes nothing");
    let mut bad = Vec::new();
    for (scheme, result) in light.iter().map(|r| ("light", r)).chain(dark.iter().map(|r| ("dark", r))) {
        let page = pages[result["page"].as_u64().unwrap() as usize].display();
        assert!(result["texts"].as_u64().unwrap_or(0) > 100, "{page}: {result}");
        for what in result["found"].as_array().unwrap() {
            bad.push(format!("{page} at {} in {scheme}: {}", result["width"], what.as_str().unwrap()));
        }
    }
    assert!(bad.is_empty(), "{} complaints, of which:\n{}", bad.len(), bad[..bad.len().min(30)].join("\n"));
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let Some(browser) = chromium() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.html");
    let wrong = "<body style='margin:0'><svg aria-label=x width=300 height=60><text x=10 y=20>one text here</text><text x=40 y=24>another text</text>\
                 <text x=280 y=50>leaves</text></svg><p style='white-space:nowrap'>wide wide wide wide wide wide wide wide wide wide wide wide \
                 wide wide wide wide wide wide wide wide wide wide wide wide wide wide wide wide wide wide wide wide wide wide</p>\
                 <p style='color:#aaa;background:#fff'>faint</p><img src=''>";
    fs::write(&file, wrong).unwrap();
    let found = look(&browser, &[file], false)[0]["found"].to_string();
    for want in ["overlaps", "text leaves its box", "the page is", "contrast 2.32", "picture without words"] {
        assert!(found.contains(want), "{want} in {found}");
    }
}

/// The report of a run that judged pictures, beside one that timed.
fn judged_page(dir: &Path) -> PathBuf {
    let run = sample_judged::run();
    let folders = run.cells.iter().filter_map(|cell| cell.judged.as_ref()?.pictures.clone());
    let folders: Vec<String> = folders.chain(["pictures/random-weights".to_owned()]).collect();
    for (cell, folder) in folders.iter().enumerate() {
        fs::create_dir_all(dir.join(folder)).unwrap();
        for index in 0..sample_judged::NAMES + sample_judged::COMPOSITIONS {
            sample_judged::picture(cell, index).save(dir.join(folder).join(format!("{index:04}.png"))).unwrap();
        }
    }
    let judged = LoadedRun { dir: dir.to_owned(), run };
    let timed = LoadedRun { dir: dir.to_owned(), run: sample::run() };
    report::report(&[judged, timed], &[], dir).unwrap().html
}

/// The made-up run as a short budget leaves it: one image a launch.
fn first_images_only() -> Run {
    let mut run = sample::run();
    run.run.id = "20261124T080000Z-0001".into();
    for launch in run.cells.iter_mut().flat_map(|cell| &mut cell.launches) {
        launch.samples.truncate(1);
        launch.steady = Default::default();
    }
    run
}

/// The made-up run with everything at its worst: many cells, very long names and reasons, times from nanoseconds to days.
fn harsh() -> Run {
    let mut run = sample::run();
    run.run.prompt = "x".repeat(300);
    run.machine.cpu_model = Reading::Ok("A processor with a name that does not end ".repeat(4));
    let cells = run.cells.clone();
    for (copy, scale) in [(1, 1e-9), (2, 1e3), (3, 1e5)] {
        for cell in &cells {
            let mut cell: Cell = cell.clone();
            cell.key.variant = format!("{}-{}", cell.key.variant, "averylongword".repeat(copy * 2));
            cell.key.threads = 96 * copy as u32;
            cell.key.memory = "small".into();
            cell.key.device = format!("execution-provider:{copy}");
            cell.reason = cell.reason.map(|reason| format!("{reason} {}", "0123456789abcdef".repeat(20)));
            for sample in cell.launches.iter_mut().flat_map(|launch| &mut launch.samples) {
                sample.stages.iter_mut().flat_map(|stage| &mut stage.seconds).for_each(|seconds| *seconds *= scale);
                sample.total_s = sample.in_stages_s();
            }
            run.cells.push(cell);
        }
    }
    run
}

//! The examples under each command's `--help`. `tests/examples.rs` parses every line and runs those that are quick.

/// `ditbench run`.
pub const RUN: &str = "\
Examples:
  ditbench run --model nano --brief                   a first look, on the smallest model
  ditbench run                                        the default plan, about 3 minutes
  ditbench run --model small --size 512 --backend candle,tract,ort --precision f32,q4 --threads 1,2
  ditbench run --model nano --backend candle,candle:stock    our kernels beside candle's own
  ditbench run --print-plan > plan.toml               the default plan, as a file to change
  ditbench run --model ./sd-turbo --steps 1,4         your own model: a folder that optimum wrote
  ditbench run --model unet.onnx --inputs io.npz --expect io.npz    a graph against your arrays
  ditbench run --plan plan.toml --dry-run             what it would do, with estimates
  ditbench run --plan plan.toml --budget 10m --launches 6
  ditbench run --model nano --sustained 10m           what the machine keeps up when it is hot
  ditbench run --model nano --company 0,1             alone, and with one thread kept busy beside it
  ditbench run --resume runs/20261123T161500Z-5f3a    continue after an interruption
  ditbench run --on adb --first-look                  a phone: each cluster, then the fastest";

/// `ditbench profile`.
pub const PROFILE: &str = "\
Examples:
  ditbench profile --backend candle,ort               where the time of an image goes
  ditbench profile --model small --size 512 --backend tract --precision q4
  ditbench profile --diff runs/BEFORE runs/AFTER      which operation changed";

/// `ditbench ab`.
pub const AB: &str = "\
Examples:
  ditbench ab --base-rev main                         this program against the branch main
  ditbench ab --base target/old/ditbench --budget 10m
  ditbench ab --base-rev v0.1.0 --head-rev HEAD --model nano --backend candle --precision f32,q4
  ditbench ab --base-rev main --count                 on a noisy machine: count instructions instead
  ditbench ab --base-rev main --junit verdict.xml --markdown verdict.md";

/// `ditbench aa`.
pub const AA: &str = "\
Examples:
  ditbench aa                                         this machine's noise, for `ab` and `compare`
  ditbench aa --model nano --backend candle --pairs 40
  ditbench aa --telemetry                             what reading sensors costs the worker";

/// `ditbench compare`.
pub const COMPARE: &str = "\
Examples:
  ditbench compare runs/BASE runs/HEAD
  ditbench compare store:latest runs/HEAD             against this machine's last run in the store
  ditbench compare runs/A1,runs/A2 runs/B1,runs/B2    several runs a side
  ditbench compare --criterion target/criterion,main,new
  ditbench compare --print-gate > gate.toml           the built-in thresholds, as a file to change";

/// `ditbench advise`.
pub const ADVISE: &str = "\
Examples:
  ditbench advise runs/20261123T161500Z-5f3a          the fastest, the smallest, the best picture
  ditbench advise runs/LAPTOP runs/PHONE --max-latency 2s --max-memory 1GiB
  ditbench advise runs/PHONE --max-energy 5J --min-quality ssimulacra2=70 --objective energy
  ditbench advise runs/PHONE --max first_image_s=3s --objective memory --format json
  ditbench advise runs/PHONE --max-latency 2s --out advice    with the report that it is drawn in";

/// `ditbench tune`.
pub const TUNE: &str = "\
Examples:
  ditbench tune --max-latency 2s --budget 20m         everything that this machine has, for nano
  ditbench tune --model small --size 512 --max-memory 1GiB --min-quality ssimulacra2=70
  ditbench tune --backend candle,ort --precision q8,q4 --threads 2 --objective memory
  ditbench tune --width 1,0.5 --any-workload --max-latency 20ms    widths compete with each other
  ditbench tune --on adb --cluster big,all --max-energy 5J --dry-run";

/// `ditbench scale`.
pub const SCALE: &str = "\
Examples:
  ditbench scale --model small --size 256,384,512,768 --backend candle,tract,ort --precision f32
  ditbench scale --size 64,96,128,192 --backend candle --precision f32 --predict 256
  ditbench scale --threads 1,2,4 --backend ort        speed-up, and what no thread shares
  ditbench scale --model snapgen-imagenet --ladder thin,sep2,mqa --size 1024 --backend ort
  ditbench scale --size 64,96,128 --profile           exponents of blocks and operations too
  ditbench scale runs/20261123T161500Z-5f3a --predict 2048    from a record: nothing is measured
  ditbench scale runs/A runs/B --format markdown --out scaling";

/// `ditbench history`.
pub const HISTORY: &str = "\
Examples:
  ditbench history import runs/*/record.json
  ditbench history page --model nano                  a page with a plot of every series
  ditbench history list --store team.sqlite";

/// `ditbench history import`.
pub const HISTORY_IMPORT: &str = "\
Examples:
  ditbench history import runs/*/record.json
  ditbench history import --store team.sqlite runs/20261123T161500Z-5f3a";

/// `ditbench history export`.
pub const HISTORY_EXPORT: &str = "\
Examples:
  ditbench history export 20261123T161500Z-5f3a -o record.json";

/// `ditbench history list`.
pub const HISTORY_LIST: &str = "\
Examples:
  ditbench history list
  ditbench history list --store team.sqlite";

/// `ditbench history series`.
pub const HISTORY_SERIES: &str = "\
Examples:
  ditbench history series --backend candle --metric image_s";

/// `ditbench history page`.
pub const HISTORY_PAGE: &str = "\
Examples:
  ditbench history page
  ditbench history page --model nano --precision q4 -o nano-q4.html";

/// `ditbench history check`.
pub const HISTORY_CHECK: &str = "\
Examples:
  ditbench history check --store team.sqlite";

/// `ditbench merge`.
pub const MERGE: &str = "\
Examples:
  ditbench merge runs/PART-1 runs/PART-2 --out runs/WHOLE
  ditbench merge shards/1 shards/2 --allow machine    parts that were run on different machines";

/// `ditbench generate`.
pub const GENERATE: &str = "\
Examples:
  ditbench generate \"turtle\" -o turtle.png
  ditbench generate \"red apple\" --backend candle --precision q4 -o apple.png
  ditbench generate \"turtle\" --backend candle:stock --seed 3 --width 0.5";

/// `ditbench inspect`.
pub const INSPECT: &str = "\
Examples:
  ditbench inspect --model small --size 1024          beside the paper's figures
  ditbench inspect --model nano --nodes               one row per node";

/// `ditbench export`.
pub const EXPORT: &str = "\
Examples:
  ditbench export --model nano --precision q4 nano-q4
  ditbench export --model nano --standard nano-standard    operators that every ONNX tool has";

/// `ditbench report`.
pub const REPORT: &str = "\
Examples:
  ditbench report runs/20261123T161500Z-5f3a
  ditbench report runs/LAPTOP runs/SERVER --out both  one report of two runs";

/// `ditbench devices`.
pub const DEVICES: &str = "\
Examples:
  ditbench devices
  ditbench devices --fetch                            fetch the ONNX Runtime library first";

/// `ditbench setup`.
pub const SETUP: &str = "\
Examples:
  ditbench setup webgpu
  ditbench setup qnn openvino                         then: ditbench run --device npu:qnn";

/// `ditbench doctor`.
pub const DOCTOR: &str = "\
Examples:
  ditbench doctor --on adb                            the one phone that is plugged in
  ditbench doctor --on adb:R5CT10ABCDE --cluster big";

/// `ditbench completions`.
pub const COMPLETIONS: &str = "\
Examples:
  ditbench completions bash > ~/.local/share/bash-completion/completions/ditbench
  ditbench completions zsh > ~/.zfunc/_ditbench
  ditbench completions fish > ~/.config/fish/completions/ditbench.fish";

/// `ditbench man`.
pub const MAN: &str = "\
Examples:
  ditbench man > ditbench.1                           the page of ditbench itself
  ditbench man man1                                   a page for every command, in the folder man1";

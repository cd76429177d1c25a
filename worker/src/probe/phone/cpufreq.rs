//! Where the kernel says which cores share a clock, and what the clock may be.

/// Folder of the cores.
pub const CPU: &str = "/sys/devices/system/cpu/cpu";
/// Files that tell clusters apart, below each core's folder.
pub const FILES: [&str; 3] = ["/cpu_capacity", HARDWARE, POLICY];
/// The highest frequency of the hardware.
pub const HARDWARE: &str = "/cpufreq/cpuinfo_max_freq";
/// The cores that share a clock.
pub const POLICY: &str = "/cpufreq/related_cpus";
/// What changes: the frequency now, and the highest that is allowed now, which heat or a battery saver may have lowered.
pub const CHANGING: [&str; 2] = ["/cpufreq/scaling_cur_freq", ALLOWED];
/// The highest that is allowed now.
pub const ALLOWED: &str = "/cpufreq/scaling_max_freq";

//! A phone as a host: the same worker, started and followed through the `adb` program.
//!
//! Contract: every call has a deadline; a phone that goes away is waited for and, if it stays away, told as a reason;
//! whatever we put on a phone or changed there is taken back on every way out that leaves us a connection.

mod binary;
mod cool;
mod device;
mod elf;
mod error;
mod launch;
mod list;
mod options;
mod own;
pub mod parcel;
mod phone;
mod program;
mod push;
mod session;

pub use binary::find as find_binary;
pub use device::Device;
pub use device::quote;
pub use error::AdbError;
pub use list::{Listed, choose, list};
pub use options::PhoneOptions;
pub use phone::Phone;
pub use program::{Adb, Limit, Program};
pub use push::{Pusher, free_kib};
pub use session::{read_sources, runs};

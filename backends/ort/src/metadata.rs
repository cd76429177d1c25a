//! What a provider says of a device of its: pairs of names and values that each provider chooses for itself.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};

use ort::AsPointer;
use ort::device::Device;

/// The pairs of the provider, in which what is known of the hardware stands too.
pub(crate) fn of(device: &Device<'_>) -> BTreeMap<String, String> {
    let api = ort::api();
    let (mut keys, mut values, mut count) = (std::ptr::null(), std::ptr::null(), 0);
    let mut pairs = BTreeMap::new();
    // SAFETY: the device is the environment's and lives as long as it. What it gives is its own: two arrays of `count` zero-terminated
    // strings, or nothing.
    unsafe {
        let metadata = (api.EpDevice_EpMetadata)(device.ptr());
        if metadata.is_null() {
            return pairs;
        }
        (api.GetKeyValuePairs)(metadata, &mut keys, &mut values, &mut count);
        for index in 0..count {
            pairs.insert(text(*keys.add(index)), text(*values.add(index)));
        }
    }
    pairs
}

/// # Safety
/// `pointer` is null or points to a zero-terminated string.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: by the contract of this function.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

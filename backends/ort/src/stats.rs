//! What ONNX Runtime's allocator says of itself.

use std::ffi::{CStr, c_char};

use ditbench_backend_api::MemoryReport;
use ort::AsPointer;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;

/// Statistics of the session's arena in the processor's memory. Without an arena, or where the library is too old to
/// tell, everything is `None`.
pub(crate) fn arena(session: &Session) -> MemoryReport {
    read(session).unwrap_or_default()
}

fn read(session: &Session) -> ort::Result<MemoryReport> {
    let info = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Arena, MemoryType::Default)?;
    let allocator = Allocator::new(session, info)?;
    let mut pairs = std::ptr::null_mut();
    // SAFETY: the allocator lives until the end of this function, `pairs` is a place for one pointer, and the call's
    // status is turned into an error before `pairs` is used.
    unsafe { ort::Error::result_from_status((ort::api().AllocatorGetStats)(allocator.ptr(), &mut pairs)) }?;
    let (mut keys, mut values, mut count) = (std::ptr::null(), std::ptr::null(), 0);
    let mut report = MemoryReport::default();
    // SAFETY: `pairs` was made by the call above, which succeeded. GetKeyValuePairs gives two arrays of `count`
    // zero-terminated strings that live as long as `pairs`, which is released after the last use of them.
    unsafe {
        (ort::api().GetKeyValuePairs)(pairs, &mut keys, &mut values, &mut count);
        for index in 0..count {
            let value = text(*values.add(index)).parse().ok();
            match text(*keys.add(index)).as_str() {
                "InUse" => report.in_use = value,
                "MaxInUse" => report.peak = value,
                "TotalAllocated" => report.reserved = value,
                _ => {}
            }
        }
        (ort::api().ReleaseKeyValuePairs)(pairs);
    }
    Ok(report)
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

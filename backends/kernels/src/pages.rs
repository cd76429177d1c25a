//! Memory that results are written to.

/// Bytes from which on it pays to ask: a huge page of 2 MiB lies inside for certain.
const LARGE: usize = 4 << 20;

/// Asks the system to give a result that nobody has written yet huge pages where it is large. Memory of that size comes fresh from the system
/// and goes back to it, for each result anew, and taking it a page of 4 KiB at a time can take as long as the kernel that fills it.
///
/// Only a request: nothing is read or written, and a system that knows no huge pages, or is told not to use them, does as before.
pub fn huge_pages(result: &mut [f32]) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if size_of_val(result) >= LARGE {
        // Whole pages, of the largest size that a system's ordinary pages have.
        const PAGE: usize = 64 << 10;
        let first = result.as_ptr().addr().next_multiple_of(PAGE);
        let length = (result.as_ptr_range().end.addr() - first) / PAGE * PAGE;
        let at = result.as_mut_ptr().with_addr(first);
        // SAFETY: whole pages of memory that is ours alone; the advice changes how the system backs them, not what is in them.
        unsafe { libc::madvise(at.cast(), length, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (result, LARGE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays() {
        for len in [0, 1, LARGE / 4 - 1, LARGE / 4, LARGE + 12345] {
            let mut result: Vec<f32> = (0..len).map(|i| i as f32).collect();
            huge_pages(&mut result);
            assert!(result.iter().enumerate().all(|(i, v)| *v == i as f32), "{len} floats");
        }
        // What candle and tract hand in need not begin at a page.
        huge_pages(&mut vec![0.0; 2 * LARGE][3..]);
    }
}

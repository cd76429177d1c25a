//! Memory that results are written to.

use std::ops::Range;

/// Bytes from which on it pays to ask: a huge page of 2 MiB lies inside for certain.
const LARGE: usize = 4 << 20;

/// The largest size that a system's ordinary pages have.
const PAGE: usize = 64 << 10;

/// Asks the system to give a result that nobody has written yet huge pages where it is large. Memory of that size often comes fresh from the
/// system (with glibc's allocator always above 32 MiB) and goes back to it, for each result anew, and taking it a page of 4 KiB at a time can
/// take as long as the kernel that fills it.
///
/// Only a request: nothing is read or written. A system that knows no huge pages, or is told not to use them, ignores it; one that is short
/// of them may first move memory together.
pub fn huge_pages(result: &mut [f32]) {
    let Range { start, end } = result.as_mut_ptr_range();
    if size_of_val(result) < LARGE {
        return;
    }
    let pages = whole_pages(start.addr()..end.addr());
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: whole pages of memory that is ours alone; the advice changes how the system backs them, not what is in them.
    unsafe {
        libc::madvise(start.with_addr(pages.start).cast(), pages.len(), libc::MADV_HUGEPAGE)
    };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = pages;
}

/// The whole pages in some memory.
fn whole_pages(bytes: Range<usize>) -> Range<usize> {
    bytes.start.next_multiple_of(PAGE)..bytes.end / PAGE * PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_results_have_a_whole_huge_page_and_no_neighbours_is_asked_for() {
        const HUGE: usize = 2 << 20;
        for (start, length) in
            [(0, LARGE), (4, LARGE), (HUGE - 4, LARGE), (HUGE + 16, LARGE + 12345), (PAGE, 3 * LARGE)]
        {
            let pages = whole_pages(start..start + length);
            assert!(pages.start.is_multiple_of(PAGE) && pages.end.is_multiple_of(PAGE), "{pages:?}");
            assert!(start <= pages.start && pages.end <= start + length, "{pages:?}");
            assert!(pages.start.next_multiple_of(HUGE) + HUGE <= pages.end, "{pages:?}");
        }
    }

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

//! A file that is no library: in a process of its own, because a process loads one library for good.

use ditbench_backend_api::Backend;
use ditbench_ort::OrtBackend;

#[test]
fn a_file_that_is_no_library_is_an_error_and_no_panic() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"not a library").unwrap();
    for _ in 0..2 {
        let devices = OrtBackend::with_library(file.path()).devices();
        let missing = devices[0].state.as_ref().unwrap_err();
        assert!(missing.cure.contains("ditbench devices --fetch") && !missing.why.contains('\n'), "{missing:?}");
    }
}
